"""A source or an output that is another than a catalogue takes it for: nothing of anybody's is lost, no row tells of another photo."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import udp.catalogue.many as many
from tests.catalogues import contents, rows, write_rows, write_tar
from tests.conftest import save_picture
from udp import protect_folders
from udp.catalogue.layout import Layout
from udp.catalogue.listing import list_sets
from udp.catalogue.many import Catalogue, protect_many
from udp.catalogue.notes import Notes
from udp.catalogue.shares import Share
from udp.cli import main
from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.photo_files import file_digest
from udp.photos import read_photo
from udp.progress import Progress, Stage
from udp.protection.methods import METHODS, RandomNoise

OTHERS = {"metadata.jsonl": "precious", "failures.json": "precious", "index.parquet": "precious"}


def is_of(row: dict, out: Path, photo: Path) -> bool:
    """Whether a row and its picture are both of this photo."""
    made, clean = (read_photo(path).pixels.astype(int) for path in (out / row["file_name"], photo))
    return row["original_sha256"] == many.known_digest(photo) and np.abs(made - clean).max() <= 8


def once(do: Callable[[], object]) -> Callable[[Progress], None]:
    """A listener that does something when the first photo is worked on."""
    waiting = [do]

    def listen(progress: Progress) -> None:
        if progress.stage is Stage.NOISE and waiting:
            waiting.pop()()

    return listen


@pytest.mark.parametrize("name", OTHERS)
def test_records_of_somebody_else_are_not_replaced(
    name: str, tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(OTHERS[name])
    for _ in range(2):  # the notes that a refused run leaves are no sign that a catalogue was begun
        with pytest.raises(InvalidInput, match=f"somebody else's '{name}', which would be replaced"):
            protect_folders(tree, out, tiny_model, "random")
    assert (out / name).read_text() == OTHERS[name] and not list(out.rglob("*.png"))


def test_another_source_does_not_replace_the_results_of_the_first_and_one_that_was_moved_goes_on(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    protect_folders(tree, out, tiny_model, "random")
    before = contents(out)
    save_picture(other / "a.png", 99)
    save_picture(other / "more" / "z.png", 98)
    with pytest.raises(InvalidInput, match=r"the source that 'out' was begun with, got .*no set has a photo"):
        protect_folders(other, out, tiny_model, "random")
    assert contents(out) == before
    assert str(tree) not in "".join(path.read_text(errors="replace") for path in out.rglob("*.json"))
    tree.rename(tmp_path / "moved")
    save_picture(tmp_path / "moved" / "new" / "n.png", 97)
    assert protect_folders(tmp_path / "moved", out, tiny_model, "random").made == 1


def test_processes_that_begin_at_once_do_not_trip_over_each_others_notes(tree: Path, tmp_path: Path) -> None:
    groups = list_sets(tree, Layout(), tmp_path / "notes").groups

    def begin(source: Path) -> None:
        for number in range(100):
            Notes(tmp_path / "out").agree_on_source(source / str(number), groups)
        os._exit(0)

    both = [get_context("fork").Process(target=begin, args=(tmp_path / name,)) for name in ("a", "b")]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]


def test_a_photo_that_is_replaced_while_its_set_is_made_is_made_again(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    photo, out = tree / "cats" / "tom.png", tmp_path / "out"

    def run(on_progress: Callable[[Progress], None]) -> int:
        return protect_folders(tree, out, tiny_model, "random", on_progress=on_progress).made

    save_picture(tree / "cats" / "al.png", 41)
    assert run(once(lambda: save_picture(tree / "b.png", 42))) == 3, "it is made a second time before the run ends"
    told = {row["original"]: row for row in rows(out)}
    assert is_of(told["b.png"], out, tree / "b.png") and is_of(told["cats/tom.png"], out, photo)
    assert run(lambda _: None) == 0


def test_a_metadata_file_that_is_corrected_meanwhile_costs_no_work(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    write_rows(tree, {"file_name": "a.png", "text": "x"}, {"file_name": "cats/tom.png", "text": "y"})
    longer = ({"file_name": "a.png", "text": "x" * 50}, {"file_name": "cats/tom.png", "text": "yy"})
    found = protect_folders(
        tree, tmp_path / "out", tiny_model, "random", on_progress=once(lambda: write_rows(tree, *longer))
    )
    assert found.complete and not found.failed and found.made == 3
    told = {row["original"]: row.get("text") for row in rows(tmp_path / "out")}
    assert told["a.png"] == "x" * 50 and told["cats/tom.png"] == "yy" and told["b.png"] is None
    assert protect_folders(tree, tmp_path / "out", tiny_model, "random").made == 0
    last = {"file_name": "dogs/small/x.png", "text": "last"}  # of the last set, changed when all has been read
    out, shorter = tmp_path / "late", shutil.copytree(tree / "dogs", tmp_path / "dogs")
    write_rows(shorter, {"file_name": "small/x.png", "text": "first"})
    protect_folders(
        shorter, out, tiny_model, "random",
        on_progress=once(lambda: write_rows(shorter, {**last, "file_name": "small/x.png"})),
    )  # fmt: skip
    assert [row.get("text") for row in rows(out)] == ["last", None]


def test_a_metadata_file_that_is_broken_meanwhile_takes_no_columns(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    write_rows(tree, *({"file_name": name, "text": name} for name in ("a.png", "cats/tom.png", "dogs/small/x.png")))
    whole = (tree / "metadata.jsonl").read_text()
    groups = list_sets(tree, Layout(), tmp_path / "notes").groups
    (tree / "metadata.jsonl").write_text(whole[:-5])
    for group in groups:
        with pytest.raises(InvalidInput, match=r"every line of 'metadata\.jsonl' to be a JSON object.*line 3"):
            group.more()
    (tree / "metadata.jsonl").write_text(whole)
    assert [group.more()[0] for group in groups] == [{"text": group.originals()[0]} for group in groups]


@pytest.mark.parametrize("form", ["imagefolder", "webdataset"])
def test_a_set_that_changed_is_not_told_of_as_finished_by_another_part(
    form: str, tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    """Sets in order: the tree's own, cats, dogs/small; the last of three parts ends last, and has cats not to do."""
    out, line = tmp_path / "out", {"method": "random", "format": form}
    assert not protect_folders(tree, out, tiny_model, shard="1/3", **line).complete
    protect_folders(tree, out, tiny_model, shard="2/3", **line)
    save_picture(tree / "cats" / "tom.png", 77)
    late = protect_folders(tree, out, tiny_model, shard="3/3", **line)
    assert (
        late.made == 1 and not late.complete and not (out / "metadata.jsonl").exists() and not (out / "shards").exists()
    )
    done = protect_folders(tree, out, tiny_model, shard="2/3", **line)
    assert done.made == 1 and done.complete and not done.failures["sets"]
    if form == "imagefolder":
        (row,) = (row for row in rows(out) if row["set"] == "cats")
        assert is_of(row, out, tree / "cats" / "tom.png")
        return
    save_picture(
        tree / "cats" / "tom.png", 78
    )  # now it is packed, and cannot be made again; whichever part ends last says so
    for shard in ("3/3", "2/3"):
        found = protect_folders(tree, out, tiny_model, shard=shard, **line)
        assert found.made == 0 and "as they were when it was packed" in found.failures["sets"]["cats"]
        assert "packed" in json.loads((out / "failures.json").read_text())["sets"]["cats"]


def test_new_times_of_the_same_photos_are_read_once(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect_folders(tree, tmp_path / "out", tiny_model, "random")
    for path in tree.rglob("*.png"):
        os.utime(path, (1, 1))
    read: list[Path] = []
    monkeypatch.setattr("udp.catalogue.listing.file_digest", lambda path: read.append(path) or file_digest(path))
    assert protect_folders(tree, tmp_path / "out", tiny_model, "random").made == 0 and len(read) == 5
    assert protect_folders(tree, tmp_path / "out", tiny_model, "random").made == 0 and len(read) == 5


def test_a_set_that_is_finished_did_not_fail(tree: Path, tmp_path: Path, tiny_model: DiffusionModel) -> None:
    protect_folders(tree, tmp_path / "out", tiny_model, "random")
    failure = Notes(tmp_path / "out").failure("cats")
    failure.parent.mkdir(exist_ok=True)
    failure.write_text(json.dumps({"set": "cats", "error": "it was"}))
    assert not protect_folders(tree, tmp_path / "out", tiny_model, "random").failures["sets"]


def test_a_tar_that_is_cut_during_the_run_fails_its_set_alone(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    for number, name in enumerate(("a.png", "b.png")):
        write_tar(tmp_path / "s" / f"{number}.tar", ("0.png", (tree / name).read_bytes()))
    found = protect_folders(
        tmp_path / "s", tmp_path / "out", tiny_model, "random",
        on_progress=once(lambda: (tmp_path / "s" / "1.tar").write_bytes(b"cut")),
    )  # fmt: skip
    assert found.made == 1 and found.failed.keys() == {"1"} and found.complete
    assert "'1.tar' to be a tar that can be read, got: " in found.failed["1"]


def test_a_failure_of_an_earlier_launch_does_not_end_this_one(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    """The part with nothing to do ends first: with a status, a launcher would end the one that tries the set again."""
    catalogue = Catalogue(tree, tmp_path / "out", RandomNoise(), "tiny", "a photo", 0)
    damaged = tree / "cats" / "tom.png"
    damaged.write_bytes(b"x")

    def part(index: int, launch: str) -> many.Summary:
        return protect_many(catalogue, lambda: tiny_model, Share(index, 2, launch, 2))

    assert not part(0, "first").complete
    assert part(1, "first").failures["sets"].keys() == {"cats"}
    save_picture(damaged, 5)
    assert not part(0, "second").complete
    assert part(1, "second").complete and not (tmp_path / "out" / "failures.json").exists()
    alone = Catalogue(tree, tmp_path / "alone", RandomNoise(), "tiny", "a photo", 0)
    damaged.write_bytes(b"x")
    assert "cats" in protect_many(alone, lambda: tiny_model).failures["sets"]


def test_nothing_in_a_tar_is_passed_over_without_a_word(tree: Path, tmp_path: Path) -> None:
    photo, shards = (tree / "a.png").read_bytes(), tmp_path / "shards"
    members = (
        ("a.jpg_large", photo),
        ("b", photo),
        ("c.dng", b"raw"),
        ("t.txt", b"x"),
        (".d.png", photo),
        ("__MACOSX/e.png", photo),
    )
    write_tar(shards / "x.tar", *members)
    with tarfile.open(shards / "x.tar", "a") as tar:
        for name, kind in (("hard.png", tarfile.LNKTYPE), ("soft.png", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "b"
            tar.addfile(member)
    write_tar(shards / "._x.tar", ("z.png", photo))
    listing = list_sets(shards, Layout(), tmp_path / "notes")
    assert [group.files for group in listing.groups] == [("a.jpg_large", "b", "c.dng")]
    assert listing.notices == ("'x.tar' holds 2 links, such as 'hard.png': passed over; pack the files themselves",)


def test_a_tar_that_is_cut_or_goes_on_behind_its_end_is_told(tree: Path, tmp_path: Path) -> None:
    photo, tar = (tree / "a.png").read_bytes(), tmp_path / "s" / "x.tar"
    write_tar(tar, ("a.png", photo), ("b.png", photo))
    whole, member = tar.read_bytes(), 512 + -(-len(photo) // 512) * 512

    def found(content: bytes) -> tuple[tuple[str, ...], str]:
        tar.write_bytes(content)
        listing = list_sets(tmp_path / "s", Layout(), tmp_path / "notes")
        return listing.groups[0].files, " ".join(listing.notices)

    assert found(whole) == (("a.png", "b.png"), "")
    files, said = found(whole[:member])
    assert files == ("a.png",) and "no mark at its end: it may have been cut off" in said
    broken = bytearray(whole)
    broken[member + 148] ^= 1  # the checksum of the second member's header
    for damaged in (whole + whole, bytes(broken), whole[: member + 100]):
        with pytest.raises(InvalidInput, match=r"'x\.tar' to be whole, got a tar with something behind its end"):
            found(damaged)
    with pytest.raises(InvalidInput, match=r"'x\.tar' to be a tar that can be read"):
        found(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xed")  # the beginning of a compressed one


def test_names_that_are_too_long_with_our_endings_are_shortened(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    for number, name in enumerate(("a" * 248, "ü" * 124)):
        save_picture(tree / "long" / f"{name}.jpg", number)
    write_rows(tree, {"file_name": "a.png", "who": "x" * 300}, {"file_name": "b.png", "who": "y"})
    found = protect_folders(tree, tmp_path / "out", tiny_model, "random", column="who")
    assert found.complete and not found.failed and len(rows(tmp_path / "out")) == found.photos == 7


def test_a_photo_that_nobody_may_read_is_left_out_and_named(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tree / "b.png"
    plain, opened = Path.open, Image.open

    def forbidden(open_it: Callable, path: object, *arguments: object, **more: object) -> object:
        if path == photo:
            raise PermissionError(13, "Permission denied")
        return open_it(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", lambda self, *given, **more: forbidden(plain, self, *given, **more))
    monkeypatch.setattr(Image, "open", lambda path, *given, **more: forbidden(opened, path, *given, **more))
    found = protect_folders(tree, tmp_path / "out", tiny_model, "random")
    assert found.complete and not found.failed and "b.png" in " ".join(found.failures["photos"][""])
    monkeypatch.undo()
    assert protect_folders(tree, tmp_path / "out", tiny_model, "random").made == 1, "it can be read now"


def test_a_folder_that_is_called_like_a_photo_is_in_nobodys_way(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    save_picture(tree / "dir.webp" / "x.png", 3)
    save_picture(tree / "b.jpg.png" / "y.png", 4)
    shutil.copy(tree / "a.png", tree / "b.jpg.jpg")
    line = {"method": "random", "out": tmp_path / "out", "model": tiny_model}
    assert protect_folders(tree, **line).complete
    save_picture(tree / "a.png", 55)
    again = protect_folders(tree, **line)
    assert again.made == 1 and not again.failed


def test_settings_that_differ_are_named_alone(tree: Path, tmp_path: Path, tiny_model: DiffusionModel) -> None:
    line = {"source": tree, "out": tmp_path / "out", "model": tiny_model, "method": "photoguard"}
    catalogue = Catalogue(tree, tmp_path / "out", METHODS["photoguard"](), "tiny", "a photo", 0)
    catalogue.notes.agree(catalogue.made_with)
    other = replace(catalogue, method=METHODS["photoguard"](pgd_steps=7))
    with pytest.raises(InvalidInput, match=r'begun with, \{"pgd_steps": \d+\}, got \{"pgd_steps": 7\}: choose'):
        other.begin()
    for wrong, said in (
        ({"captions": "off"}, "captions to be True or False, got 'off'"),
        ({"twins": "no"}, "twins to be True or False, got 'no'"),
        ({"shard": 1}, "the shard to be a text, got int"),
    ):
        with pytest.raises(InvalidInput, match=said):
            protect_folders(**line, **wrong)


def test_a_file_that_is_no_shard_is_no_source_and_a_part_says_that_it_is_one(
    tree: Path, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match=r"a shard \(\.tar, not compressed\), got the file"):
        list_sets(tree / "a.png", Layout(), tmp_path)
    shutil.copy(tree / "a.png", tree / "cats" / "b.png")
    (tree / "metadata.jsonl").write_text(
        "".join(json.dumps({"file_name": name}) + "\n" for name in ("../up.png", "a.png", "a.png"))
    )
    said = " ".join(list_sets(tree, Layout(), tmp_path / "x").notices)
    assert "names 1 files by a path that leads out of its folder, such as '../up.png'" in said
    assert "more than one row of 1 files, such as 'a.png'" in said
    for name, value in (("ID", "1"), ("COUNT", "3"), ("MIN", "0")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    line = ["protect-many", str(tree), "--out", str(tmp_path / "out"), "--method", "random", "--model"]
    assert main([*line, str(tiny_model_folder)]) in (0, None)
    assert "part 2 of 3 of the sets, by SLURM_ARRAY_TASK_ID" in capsys.readouterr().err
