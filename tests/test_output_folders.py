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
from udp import attack, protect_folder
from udp.cli import main
from udp.errors import InvalidInput
from udp.photos import Photo, read_photo, write_png
from udp.protection.folder import Protection
from udp.protection.methods import RandomNoise
from udp.protection.output import UNFINISHED, check_free
from udp.reports.trial import check_attack_free


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


@pytest.mark.parametrize("place", ["", "controls/clean", "controls/random"])
@pytest.mark.parametrize("door", ["command line", "Python", "a link", "evaluate"])
def test_photos_are_not_replaced_by_what_is_made_of_them(
    place: str, door: str, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    """Another method for the photos in a set's own controls, in the same folder: the originals would be gone."""
    base = tmp_path / "out" if door == "evaluate" else tmp_path
    out = base / "protected"
    assert protects(camera(tmp_path / "in", "a", "b"), out, tiny_model_folder) == 0
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    source = out / place
    if door == "a link":
        (tmp_path / "links").mkdir()
        (tmp_path / "links" / "a.png").symlink_to(source / "a.png")
        source = tmp_path / "links"
    words = "another folder than that of the photos"
    if door in ("Python", "a link"):
        with pytest.raises(InvalidInput, match=words):
            protect_folder(source, out, str(tiny_model_folder), "random", budget=4 / 255)
    else:
        line = ["evaluate", str(source), "--out", str(base), "--model", str(tiny_model_folder), "--method", "random"]
        assert (main(line) if door == "evaluate" else protects(source, out, tiny_model_folder)) == 2
        assert words in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


def test_an_attack_writes_nothing_among_the_controls(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert protects(camera(tmp_path / "in", "a"), out, tiny_model_folder) == 0
    for place in ("controls/clean", "controls/random"):
        assert main(["attack", "--instance", str(out), "--out", str(out / place)]) == 2
        assert "another folder than that of the photos" in capsys.readouterr().err


@pytest.mark.parametrize("there", ["a protected set", "a photo called like a result"])
def test_an_attack_replaces_nothing_of_somebody_elses(
    there: str, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    photos, out = camera(tmp_path / "in", "a"), tmp_path / "out"
    if there == "a protected set":
        assert protects(photos, out, tiny_model_folder) == 0
    else:
        camera(out, "protected-1")
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    assert main(["attack", "--instance", str(photos), "--out", str(out), "--model", str(tiny_model_folder)]) == 2
    assert "or one that `attack` wrote" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


@pytest.mark.parametrize("flag", ["--clean", "--random"])
def test_photos_that_were_named_and_are_not_there_are_not_passed_over(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    line = ["attack", "--instance", str(camera(tmp_path / "in", "a")), "--out", str(tmp_path / "out")]
    assert main([*line, flag, str(tmp_path / "nowhere")]) == 2
    assert "nowhere', which does not exist" in capsys.readouterr().err


def test_a_killed_attack_does_not_stand_in_the_next_ones_way(tmp_path: Path) -> None:
    camera(tmp_path / "out", "clean-0", "base-0")
    (tmp_path / "out" / UNFINISHED).write_text('{"recipe": "lora"}')
    check_attack_free(tmp_path / "out")


IN_THE_WAY = [
    ("protect", "controls", "file"),
    ("protect", "controls/clean", "file"),
    ("protect", "manifest.json", "folder"),
    ("attack", "learned", "file"),
    ("attack", "losses.csv", "folder"),
    ("evaluate", "cells", "file"),
    ("evaluate", "report.html", "folder"),
    ("evaluate", "protected", "file"),
    ("evaluate", "protected/controls/random", "file"),
]


@pytest.mark.parametrize(("command", "name", "kind"), IN_THE_WAY)
def test_what_is_in_the_way_is_found_before_the_work(
    command: str, name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    photos, way = camera(tmp_path / "in", "a"), tmp_path / "out" / name
    way.mkdir(parents=True)
    if kind == "file":
        way.rmdir()
        way.touch()
    given = ["--instance", str(photos)] if command == "attack" else [str(photos)]
    assert main([command, *given, "--out", str(tmp_path / "out"), "--model", "no such model"]) == 2
    said = capsys.readouterr().err
    assert f"got a {kind}" in said or f"got the {kind}" in said
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == ([way] if kind == "file" else [])


@pytest.mark.parametrize("out", ["in/a.png", "in/a.png/below", "x" * 300, "a\0b", "/proc/nothing"])
def test_a_folder_that_cannot_be_is_said_so_in_python_too(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    photos = camera(tmp_path / "in", "a")
    with pytest.raises(InvalidInput, match=r"expected the output folder \(--out\) to be a folder"):
        protect_folder(photos, tmp_path / out, "no such model", "random")
    if "\0" not in out:
        assert main(["protect", str(photos), "--out", str(tmp_path / out), "--model", "no such model"]) == 2
        assert "expected the output folder (--out) to be a folder" in capsys.readouterr().err


def test_the_home_folder_is_meant_by_its_sign(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell leaves it in `--out=~/x`, and Python does everywhere: there would be a folder called "~"."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    camera(tmp_path / "in", "a")
    protect_folder("~/in", "~/python", str(tiny_model_folder), "random")
    line = ["protect", "~/in", "--out=~/line", "--model", str(tiny_model_folder), "--method", "random"]
    assert main(line) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "line", "python"]


def test_python_trains_on_no_half_written_set(tmp_path: Path, tiny_model_folder: Path) -> None:
    camera(tmp_path / "out", "a")
    (tmp_path / "out" / UNFINISHED).write_text("{}")
    with pytest.raises(InvalidInput, match="writing was interrupted"):
        attack(camera(tmp_path / "in", "a"), tmp_path / "out", str(tiny_model_folder))


@pytest.mark.parametrize("command", ["protect", "attack", "evaluate"])
def test_a_folder_that_takes_no_results_is_found_before_the_work(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = camera(tmp_path / "in", "a")

    def full(**_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("udp.files.tempfile.TemporaryFile", full)
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
        not (out / UNFINISHED).exists() or main(["attack", "--instance", str(out), "--out", str(tmp_path / "x")]) == 2
    )
    capsys.readouterr()
    sets[1].write(out)
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    places = ("", "controls/clean/", "controls/random/")
    assert left == sorted(["manifest.json", *(f"{place}{name}.png" for place in places for name in "cd")])
