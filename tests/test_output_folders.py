"""Where results go: found unusable before the work, never mixed with other pictures."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import picture
from udp.cli import main
from udp.photos import Photo, read_photo, write_png
from udp.protection.folder import Protection
from udp.protection.methods import RandomNoise
from udp.protection.output import UNFINISHED, check_free


def protects(photos: Path, out: Path, model: Path) -> int:
    return main(["protect", str(photos), "--out", str(out), "--model", str(model), "--method", "random"])


def camera(place: Path, *names: str) -> Path:
    place.mkdir(parents=True)
    for index, name in enumerate(names):
        write_png(place / f"{name}.png", Photo(name, picture(index)))
    return place


def test_a_second_set_takes_the_place_of_the_first(tmp_path: Path, tiny_model_folder: Path) -> None:
    out = tmp_path / "out"
    for names in (("a", "b", "c"), ("c", "d")):
        assert protects(camera(tmp_path / names[0], *names), out, tiny_model_folder) == 0
        for place in (out, out / "controls" / "clean", out / "controls" / "random"):
            assert sorted(path.stem for path in place.glob("*.png")) == list(names)
        manifest = json.loads((out / "manifest.json").read_text())
        assert [row["file"] for row in manifest["photos"]] == [f"{name}.png" for name in names]


@pytest.mark.parametrize("place", ["", "controls/clean"])
def test_pictures_of_somebody_elses_are_neither_mixed_in_nor_deleted(
    place: str, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    camera(out / place, "holiday")
    assert protects(camera(tmp_path / "in", "a"), out, tiny_model_folder) == 2
    assert "with other pictures, such as 'holiday.png'" in capsys.readouterr().err
    assert [path.name for path in out.rglob("*.*")] == ["holiday.png"]


def test_evaluate_deletes_nobodys_pictures(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    camera(out / "protected", "holiday")
    line = ["evaluate", str(camera(tmp_path / "in", "a")), "--out", str(out), "--model", str(tiny_model_folder)]
    assert main(line) == 2 and "with other pictures, such as 'holiday.png'" in capsys.readouterr().err
    assert [path.name for path in out.rglob("*.*")] == ["holiday.png"]


def test_an_attack_with_fewer_pictures_leaves_none_of_an_earlier_one(tmp_path: Path, tiny_model_folder: Path) -> None:
    photos, out = camera(tmp_path / "in", "a"), tmp_path / "out"
    line = ["attack", "--instance", str(photos), "--out", str(out), "--model", str(tiny_model_folder)]
    line += ["--steps", "10", "--sampling-steps", "1", "--pictures"]
    assert main([*line, "2"]) == 0
    (out / "clean-5.png.part").touch()
    (out / "clean-view.png").touch()  # not ours
    assert main([*line, "1"]) == 0
    found = {path.name for path in out.glob("*.png*")}
    assert found == {"base-0.png", "clean-0.png", "clean-view.png", "grid.png"}
    assert len(json.loads((out / "manifest.json").read_text())["figures"]) == 2


@pytest.mark.parametrize("flag", ["--clean", "--random", "--instance"])
def test_an_attack_writes_nothing_among_the_photos(flag: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    places = {name: camera(tmp_path / name[2:], "a") for name in ("--clean", "--random", "--instance")}
    arguments = [part for name, place in places.items() for part in (name, str(place))]
    assert main(["attack", *arguments, "--out", str(places[flag])]) == 2
    assert "another folder than that of the photos" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["protect", "attack", "evaluate"])
def test_a_folder_that_takes_no_results_is_found_before_the_work(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = camera(tmp_path / "in", "a")

    def full(**_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("udp.cli.common.tempfile.TemporaryFile", full)
    given = ["--instance", str(place)] if command == "attack" else [str(place)]
    assert main([command, *given, "--out", str(tmp_path / "new" / "out"), "--model", "no such model"]) == 2
    assert "can be written to, got" in (said := capsys.readouterr().err) and "No space left" in said
    assert not (tmp_path / "new").exists()


def test_killed_at_any_moment_a_folder_holds_whole_files_and_takes_the_next_set(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    sets = []
    for names in (("a", "b", "c"), ("c", "d")):
        photos = [Photo(name, picture(index)) for index, name in enumerate(names)]
        after = RandomNoise()(photos, None)
        sets.append(Protection(photos, after, RandomNoise(), "mini", "x", 0, after))
    out, moments = tmp_path / "out", random.Random(0)
    interrupted, usual = 0, 0.0
    for number in range(51):
        start, child = time.monotonic(), os.fork()
        if child == 0:
            while True:
                for one in sets:
                    one.write(out)
                if number == 0:  # how long it takes here and now, undisturbed
                    os._exit(0)
        if number:
            time.sleep(moments.uniform(0.05, 1.5) * usual)
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        usual = usual or time.monotonic() - start
        for path in out.rglob("*.png"):
            read_photo(path)
        check_free(out)
        interrupted += (out / UNFINISHED).exists()
        assert (out / UNFINISHED).exists() or not out.exists() or (out / "manifest.json").exists()
    assert interrupted > 5
    assert (
        main(["attack", "--instance", str(out), "--out", str(tmp_path / "x")]) == 2 or not (out / UNFINISHED).exists()
    )
    capsys.readouterr()
    sets[1].write(out)
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    places = ("", "controls/clean/", "controls/random/")
    assert left == sorted(["manifest.json", *(f"{place}{name}.png" for place in places for name in "cd")])
