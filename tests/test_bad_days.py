"""Bad days: processes that are killed, files that are cut short, folders that belong to somebody else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import picture
from udp.errors import InvalidInput
from udp.evaluation.arms import Arm
from udp.evaluation.cells import FolderStore
from udp.files import finished, finishing
from udp.models.base import DiffusionModel
from udp.photos import Photo, write_picture
from udp.protection.folder import Protection, protect_once
from udp.protection.methods import RandomNoise
from udp.ui.state.context import note_uploads
from udp.ui.state.sessions import LOCK, Session, Sessions, _close, remove_orphans

ARM = Arm("clean", (picture(0), picture(1)), (0.5, 0.4), {"fid": 1.0}, ({"fid": 1.0},), {"fid": (0.5, 2.0)})


def edited(folder: Path, **values: object) -> None:
    cell = json.loads((folder / "cell.json").read_text())
    (folder / "cell.json").write_text(json.dumps({**cell, **values}))


WOUNDS: dict[str, Callable[[Path], object]] = {
    "no cell": lambda folder: (folder / "cell.json").unlink(),
    "cut cell": lambda folder: (folder / "cell.json").write_text((folder / "cell.json").read_text()[:40]),
    "empty cell": lambda folder: (folder / "cell.json").write_text(""),
    "other JSON": lambda folder: (folder / "cell.json").write_text("[1]"),
    "not text": lambda folder: (folder / "cell.json").write_bytes(b"\xff\xfe\x00"),
    "parts missing": lambda folder: (folder / "cell.json").write_text('{"key": "k", "images": []}'),
    "no picture": lambda folder: (folder / "cell-1.png").unlink(),
    "cut picture": lambda folder: (folder / "cell-1.png").write_bytes((folder / "cell-1.png").read_bytes()[:300]),
    "another picture": lambda folder: write_picture(folder / "cell-1.png", Image.new("RGB", (8, 8))),
    "no figures": lambda folder: edited(folder, figures={}),
    "figures that are none": lambda folder: edited(folder, figures={"fid": "x"}),
    "no losses": lambda folder: edited(folder, losses=[None]),
    "no pictures named": lambda folder: edited(folder, images=[]),
    "another arm": lambda folder: edited(folder, arm="random"),
    "no folder": lambda folder: [path.unlink() for path in folder.iterdir()] and folder.rmdir(),
}


@pytest.mark.parametrize("wound", WOUNDS)
def test_a_damaged_cell_is_made_again(wound: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "cells")
    store.save("cell", "k", ARM)
    whole = store.load("cell", "k")
    assert whole and np.array_equal(whole.images[1], ARM.images[1]) and whole.intervals == ARM.intervals
    WOUNDS[wound](tmp_path / "cells")
    assert store.load("cell", "k") is None
    store.save("cell", "k", ARM)
    assert store.load("cell", "k").losses == ARM.losses


def test_a_kill_between_two_pictures_leaves_no_old_cell_with_new_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    store.save("cell", "old", ARM)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("udp.files.write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save("cell", "new", Arm("clean", ARM.images[::-1], (), {}))
    assert store.load("cell", "old") is None


CELL_OF_AN_EARLIER_VERSION = """{
 "key": "k",
 "arm": "clean",
 "figures": {
  "fid": 1.0
 },
 "intervals": {
  "fid": [
   0.5,
   2.0
  ]
 },
 "losses": [
  0.5,
  0.4
 ],
 "images": [
  "cell-0.png",
  "cell-1.png"
 ]
}
"""


def test_a_cell_of_an_earlier_version_resumes(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.save("cell", "k", ARM)
    (tmp_path / "cell.json").write_text(CELL_OF_AN_EARLIER_VERSION)
    kept = store.load("cell", "k")
    assert kept and kept.losses == ARM.losses and kept.runs == ARM.runs and kept.intervals == ARM.intervals
    assert store.load("cell", "another key") is None


@pytest.mark.parametrize("ending", ["\n", "", "\r\n"])
def test_a_protected_set_of_an_earlier_version_resumes(
    ending: str, tmp_path: Path, photos: list[Photo], tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`key.txt` holds the digest of what the set was made from, and nothing else."""
    first = protect_once(tmp_path, photos, RandomNoise(), tiny_model, "a toy", 0)
    key = (tmp_path / "key.txt").read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", key)
    (tmp_path / "key.txt").write_bytes((key.strip() + ending).encode())
    monkeypatch.setattr(Protection, "make", None)
    again = protect_once(tmp_path, photos, RandomNoise(), tiny_model, "a toy", 0)
    for arm, photos_of in first.items():
        assert [p.pixels.tobytes() for p in again[arm]] == [p.pixels.tobytes() for p in photos_of]


@pytest.mark.parametrize("mark", ["mark.json", "key.txt"])
def test_a_result_is_read_only_if_it_is_finished_and_made_from_the_same(mark: str, tmp_path: Path) -> None:
    place = tmp_path / "new" / mark
    with pytest.raises(KeyError), finishing(place, "a"):
        raise KeyError
    assert finished(place, "a", dict) is None
    with finishing(place, "a") as content:
        content["figure"] = 1
    assert finished(place, "a", dict)["key"] == "a" and finished(place, "b", dict) is None
    assert finished(place, "a", lambda content: content["missing"]) is None
    with pytest.raises(KeyError), finishing(place, "b"):
        raise KeyError  # what was there was made from something else, and half of it may be written over
    assert not place.exists()


@pytest.mark.parametrize("wound", ["missing", "cut", "other size", "no text"])
def test_a_damaged_protected_set_is_made_again(
    wound: str, tmp_path: Path, photos: list[Photo], tiny_model: DiffusionModel
) -> None:
    def protected() -> list[Photo]:
        return protect_once(tmp_path, photos, RandomNoise(), tiny_model, "a toy", 0)["protected"]

    first, path = protected(), tmp_path / "view_1.png"
    if wound == "missing":
        path.unlink()
    elif wound == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif wound == "other size":
        path.write_bytes((tmp_path / "controls" / "clean" / "view_0.png").read_bytes()[:50])
    else:
        (tmp_path / "key.txt").write_bytes(b"\xff\xfe")
    for found, before in zip(protected(), first, strict=True):
        assert np.array_equal(found.pixels, before.pixels) and found.name == before.name
    assert path.is_file()


def test_a_container_that_starts_again_with_the_same_number_deletes_what_was_left(tmp_path: Path) -> None:
    left = tmp_path / f"udp-{os.getpid()}-left"
    (left / "visitor").mkdir(parents=True)
    (left / LOCK).touch()  # its process was killed: the lock went with it, the file did not
    (left / "visitor" / "photo.png").touch()
    running = Sessions(tmp_path)
    assert not left.exists() and running.root.exists()
    remove_orphans(tmp_path)
    assert running.root.exists()


def test_a_folder_that_never_got_its_name_goes_too(tmp_path: Path) -> None:
    for name in ("udp-new-old", "udp-new-young"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "udp-new-old", (1, 1))
    remove_orphans(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["udp-new-young"]


# What another process does to say that it lives, without the seconds that our own imports take.
OTHER = """
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""


def test_two_processes_in_one_folder_leave_each_others_visitors_alone(tmp_path: Path) -> None:
    shared, theirs = tmp_path / "hash" / "photo.png", tmp_path / "udp-999999999-theirs"  # a number of another container
    for folder in (shared.parent, theirs / "visitor"):
        folder.mkdir(parents=True)
    shared.touch()
    note_uploads(Session(theirs / "visitor"), [str(shared)])
    other = subprocess.Popen([sys.executable, "-c", OTHER, theirs / LOCK], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "locked\n"
        ours = Sessions(tmp_path, grace=0)
        note_uploads(ours.get("ours"), [str(shared)])
        ours._remove("ours")
        assert theirs.exists() and shared.exists()  # gone here, in use there
    finally:
        other.kill()
        other.wait()
    Sessions(tmp_path)
    assert not theirs.exists() and not shared.exists()


def test_the_end_of_a_process_takes_uploads_along_but_nobody_elses(tmp_path: Path) -> None:
    """gradio keeps them outside the folder that goes, and the notes of where go with it."""
    own, shared = (tmp_path / name / "photo.png" for name in ("own", "shared"))
    for path in (own, shared):
        path.parent.mkdir()
        path.touch()
    first, second = Sessions(tmp_path), Sessions(tmp_path)
    note_uploads(first.get("a"), [str(own), str(shared)])
    note_uploads(second.get("b"), [str(shared)])
    root = first.root
    _close(root, None)
    assert not root.exists() and not own.parent.exists() and shared.exists()
    _close(second.root, None)
    assert not shared.parent.exists()


@pytest.mark.parametrize("kind", ["a file", "somebody else's"])
def test_a_folder_that_cannot_be_written_to_is_a_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "gradio"
    if kind == "a file":
        place.touch()
    else:

        def refused(**_: object) -> str:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("udp.ui.state.sessions.tempfile.mkdtemp", refused)
    with pytest.raises(InvalidInput, match=r"that this user may write to, got .*: set GRADIO_TEMP_DIR"):
        Sessions(place)
