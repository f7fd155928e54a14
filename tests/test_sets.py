"""A large folder: divided by a rule, protected set after set, written as it goes, and gone on with after any end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import picture
from udp import protect, protect_folder
from udp.cli import main
from udp.errors import InvalidInput, UnreadablePhoto
from udp.models.base import DiffusionModel
from udp.photo_files import survey
from udp.photos import Photo, read_photo, write_png
from udp.progress import Progress
from udp.protection import division, output
from udp.protection.division import SET_MEGAPIXELS, SET_PHOTOS, divide, set_seed
from udp.protection.folder import Protection
from udp.protection.methods import EUDP, RandomNoise
from udp.protection.output import UNFINISHED
from udp.protection.sets import protect_files
from udp.ui.state.results import MOST_MEGAPIXELS, MOST_PHOTOS

QUICK = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 1}
FLAGS = ["--rounds", "1", "--surrogate-steps", "1", "--pgd-steps", "1"]


@pytest.fixture
def sets_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "SET_PHOTOS", 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five photos."""
    place = tmp_path / "in"
    place.mkdir()
    for index, name in enumerate("abcde"):
        write_png(place / f"{name}.png", Photo(name, picture(index, 64, 48)))
    return place


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@given(st.lists(st.tuples(st.integers(32, 12_000), st.integers(32, 5_000)), min_size=1, max_size=300))
def test_sets_are_as_few_as_hold_the_limits_and_nearly_equal(sizes: list[tuple[int, int]]) -> None:
    sets = divide(sizes)
    assert [index for part in sets for index in part] == list(range(len(sizes)))
    assert max(map(len, sets)) <= SET_PHOTOS and max(map(len, sets)) - min(map(len, sets)) <= 1
    assert all(sum(sizes[i][0] * sizes[i][1] for i in part) <= SET_MEGAPIXELS * 1e6 or len(part) == 1 for part in sets)


def test_sets_by_number_by_area_and_of_what_the_app_takes() -> None:
    assert [len(part) for part in divide([(100, 100)] * 51)] == [26, 25]
    assert [len(part) for part in divide([(4000, 3000)] * 150)] == [15] * 10
    assert [len(part) for part in divide([(100, 100)] * SET_PHOTOS)] == [SET_PHOTOS]
    assert MOST_PHOTOS <= SET_PHOTOS and MOST_MEGAPIXELS <= SET_MEGAPIXELS
    assert set_seed(7, 0) == 7 and len({set_seed(seed, index) for seed in (0, 1) for index in range(100)}) == 200


@pytest.mark.parametrize("method", [RandomNoise(), EUDP(**QUICK)], ids=lambda method: method.name)
def test_a_small_folder_is_as_if_held_in_memory(
    method: RandomNoise | EUDP, folder: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    photos = [read_photo(path) for path in sorted(folder.iterdir())]
    Protection.make(photos, method, tiny_model, "a toy", 3).with_control(tiny_model).write(tmp_path / "memory")
    protect_files(survey(folder), tmp_path / "files", method, tiny_model, "a toy", 3)
    assert contents(tmp_path / "memory") == contents(tmp_path / "files")
    assert "sets" not in json.loads((tmp_path / "files" / "manifest.json").read_text())


@pytest.mark.usefixtures("sets_of_two")
def test_every_door_divides_alike(folder: Path, tmp_path: Path, tiny_model_folder: Path, tiny_model) -> None:
    line = ["protect", str(folder), "--out", str(tmp_path / "line"), "--model", str(tiny_model_folder), *FLAGS]
    assert main(line) == 0
    manifest = protect_folder(folder, tmp_path / "python", str(tiny_model_folder), **QUICK)
    assert contents(tmp_path / "line") == contents(tmp_path / "python")
    assert sorted(row["photos"] for row in manifest["sets"]) == [1, 2, 2]
    assert [row["file"] for row in manifest["photos"]] == [f"{name}.png" for name in "abcde"]
    for photo in protect(folder, tiny_model, **QUICK):
        np.testing.assert_array_equal(photo.pixels, read_photo(tmp_path / "line" / f"{photo.name}.png").pixels)
    noise = [read_photo(p).pixels.astype(int) for p in sorted((tmp_path / "line/controls/random").iterdir())]
    clean = [read_photo(p).pixels for p in sorted(folder.iterdir())]
    patterns = {(a - b)[20:28, 30:38].tobytes() for a, b in zip(noise, clean, strict=True)}
    assert len(patterns) == 5  # another seed for every set, or its noise would tell where it is


class Killed(BaseException):
    """Like a kill: nothing of ours catches it."""


@pytest.mark.usefixtures("sets_of_two")
@pytest.mark.parametrize("at", ["in the second set", "while the second is written", "before the manifest"])
def test_after_a_kill_finished_sets_stay_and_the_end_is_the_same(
    at: str, folder: Path, tmp_path: Path, tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    protect_folder(folder, whole, tiny_model, **QUICK)
    with monkeypatch.context() as patch:
        written = 0

        def dying(path: Path, photo: Photo) -> Path:
            nonlocal written
            written += 1
            if written == 3 * 2 + 2:
                path.with_name(f"{path.name}.part").write_bytes(b"half")
                raise Killed
            return write_png(path, photo)

        def listen(progress: Progress) -> None:
            if at == "in the second set" and progress.overall > 0.45:
                raise Killed

        def no_manifest(path: Path, content: dict) -> None:
            if path.name == "manifest.json":
                raise Killed
            plain(path, content)

        plain = output.write_json
        if at == "while the second is written":
            patch.setattr(output, "write_png", dying)
        elif at == "before the manifest":
            patch.setattr(output, "write_json", no_manifest)
        with pytest.raises(Killed):
            protect_folder(folder, out, tiny_model, on_progress=listen, **QUICK)
    assert not (out / "manifest.json").exists() and (out / UNFINISHED).exists()
    done = {path: path.stat().st_mtime_ns for path in out.glob("[ab].png")}
    assert len(done) == 2
    heard: list[str] = []
    protect_folder(folder, out, tiny_model, on_progress=lambda progress: heard.append(progress.stage), **QUICK)
    assert heard[0] == "protected earlier"
    assert contents(out) == contents(whole)
    assert {path: path.stat().st_mtime_ns for path in done} == done  # not made again


@pytest.mark.usefixtures("sets_of_two")
@pytest.mark.parametrize("change", ["seed", "photo", "damage", "missing control", "mask"])
def test_a_set_made_from_something_else_is_made_again(
    change: str, folder: Path, tmp_path: Path, tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole, more = tmp_path / "out", tmp_path / "whole", {"method": "random"}
    with monkeypatch.context() as patch:
        patch.setattr(output.OutputFolder, "finish", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            protect_folder(folder, out, tiny_model, **more)
    if change == "seed":
        more["seed"] = 1
    elif change == "photo":
        write_png(folder / "a.png", Photo("a", picture(9, 64, 48)))
    elif change == "damage":
        (out / "a.png").write_bytes((out / "a.png").read_bytes()[:200])
    elif change == "missing control":
        (out / "controls" / "clean" / "a.png").unlink()
    else:
        (tmp_path / "masks").mkdir()
        Image.fromarray(np.full((48, 64), 255, np.uint8)).save(tmp_path / "masks" / "a.png")
        more["masks"] = tmp_path / "masks"
    with pytest.warns(UserWarning) if change == "mask" else monkeypatch.context():
        protect_folder(folder, out, tiny_model, **more)
    with pytest.warns(UserWarning) if change == "mask" else monkeypatch.context():
        protect_folder(folder, whole, tiny_model, **more)
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(
    "notes", ["", "{", "[]", "{}", '{"parts": [{}]}', '{"parts": [{"key": "x", "rows": 1, "files": 1}]}']
)
def test_damaged_notes_cost_the_work_and_nothing_else(
    notes: str, folder: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / UNFINISHED).write_text(notes)
    protect_folder(folder, tmp_path / "out", tiny_model, method="random")
    assert not (tmp_path / "out" / UNFINISHED).exists() and len(list((tmp_path / "out").glob("*.png"))) == 5


@pytest.mark.usefixtures("sets_of_two")
def test_a_file_that_changes_under_way_is_a_sentence_and_what_is_done_stays(
    folder: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    def swap(progress: Progress) -> None:
        if progress.overall > 0.5:
            shutil.copy(folder / "a.png", folder / "e.png")

    with pytest.raises(UnreadablePhoto, match=r"expected 'e\.png' to stay as it was"):
        protect_folder(folder, tmp_path / "out", tiny_model, on_progress=swap, **QUICK)
    assert (tmp_path / "out" / "a.png").exists()


@pytest.mark.usefixtures("sets_of_two")
def test_a_mask_that_does_not_fit_is_found_before_the_first_set(
    folder: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    (tmp_path / "masks").mkdir()
    for name, side in (("a", 48), ("e", 40)):
        Image.fromarray(np.full((side, 64), 255, np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    with pytest.warns(UserWarning, match="no mask for b; c; d"), pytest.raises(InvalidInput, match="mask for 'e'"):
        protect_folder(folder, tmp_path / "out", tiny_model, masks=tmp_path / "masks", **QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("sets_of_two")
def test_a_disk_that_fills_up_is_a_sentence_and_the_same_command_goes_on(
    folder: Path,
    tmp_path: Path,
    tiny_model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    line = ["protect", str(folder), "--model", str(tiny_model_folder), *FLAGS, "--out"]
    assert main([*line, str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as patch:
        plain, count = Image.Image.save, iter(range(100))

        def save(self: Image.Image, place: object, *given: object, **named: object) -> None:
            if next(count) == 8:
                raise OSError(28, "No space left on device")
            plain(self, place, *given, **named)

        patch.setattr(Image.Image, "save", save)
        assert main([*line, str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said and "run the same command again" in said and "Traceback" not in said
    assert main([*line, str(tmp_path / "out")]) == 0
    assert contents(tmp_path / "whole") == contents(tmp_path / "out")


@pytest.mark.usefixtures("sets_of_two")
def test_an_earlier_set_stays_until_the_first_of_the_new_is_there(
    folder: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out = tmp_path / "out"
    protect_folder(folder, out, tiny_model, method="random")
    before = contents(out)

    def stop(_: Progress) -> None:
        raise Killed

    with pytest.raises(Killed):
        protect_folder(folder / "a.png", out, tiny_model, on_progress=stop, **QUICK)
    assert contents(out) == before
    protect_folder(folder / "a.png", out, tiny_model, **QUICK)
    assert [path.name for path in out.rglob("*.png")] == ["a.png"] * 3
