"""Nothing of a source is passed over without a word: links, tars, names and columns that nobody expects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.catalogues import rows, write_rows, write_tar
from tests.conftest import save_picture
from udp import protect_folders
from udp.catalogue.layout import Layout
from udp.catalogue.listing import Listing, list_sets
from udp.cli import main
from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.photos import read_photo


def listed(source: Path, tmp_path: Path, **layout: object) -> Listing:
    return list_sets(source, Layout(**layout), tmp_path / "out" / ".catalogue")


def named(listing: Listing) -> dict[str, str]:
    """What is said of each name in quotes that a notice begins with."""
    return {notice.split("'")[1]: notice for notice in listing.notices}


def test_links_to_folders_are_followed_and_no_folder_comes_twice(tree: Path, tmp_path: Path) -> None:
    save_picture(tmp_path / "elsewhere" / "deep" / "e.png", 7)
    save_picture(tree / ".store" / "s.png", 8)
    (tmp_path / "out").mkdir()
    for link, target in {
        "album": tmp_path / "elsewhere",
        "second": tmp_path / "elsewhere" / "deep",
        "stored": tree / ".store",
        "cats/round": tree,
        "aunt": tree / "cats",
        "up": tmp_path,
        "results": tmp_path / "out",
        "lost": tmp_path / "nowhere",
        "self": tree / "self",
    }.items():
        (tree / link).symlink_to(target)
    found = listed(tree, tmp_path)
    assert {group.name: group.files for group in found.groups} == {
        "": ("a.png", "b.png"),
        "album/deep": ("e.png",),
        "cats": ("tom.png",),
        "dogs/small": ("x.png", "y.png"),
        "stored": ("s.png",),
    }
    assert [group.name for group in found.groups] == sorted(group.name for group in found.groups)
    said = named(found)
    assert set(said) == {"second", "cats/round", "aunt", "up", "results", "lost", "self"}
    assert all("listed under another name" in said[name] for name in ("second", "cats/round", "aunt"))
    assert "the source lies in" in said["up"] and "results" in said["results"] and "to nothing" in said["lost"]


def test_archives_below_photos_and_folders_beside_shards_are_named(tree: Path, tmp_path: Path) -> None:
    photo = (tree / "a.png").read_bytes()
    write_tar(tree / "dogs" / "old.tar", ("0.png", photo))
    (tree / "dogs" / "all.zip").write_bytes(b"PK")
    save_picture(tree / "folder.tar" / "f.png", 9)  # a folder, whatever it is called
    found = listed(tree, tmp_path)
    assert set(named(found)) == {"dogs/old.tar", "dogs/all.zip"} and "folder.tar" in {g.name for g in found.groups}
    with pytest.raises(InvalidInput, match=r"got none: 'sub/old\.tar' is an archive"):
        write_tar(tmp_path / "only" / "sub" / "old.tar", ("0.png", photo))
        listed(tmp_path / "only", tmp_path)
    write_tar(tmp_path / "shards" / "one.tar", ("0.png", photo))
    write_tar(tmp_path / "shards" / "text.tar", ("0.txt", b"x"))
    save_picture(tmp_path / "shards" / "cats" / "tom.png", 9)
    found = listed(tmp_path / "shards", tmp_path)
    assert "folder beside shards" in named(found)["cats"] and "no file" in named(found)["text.tar"]
    assert [group.name for group in found.groups] == ["one"]


def test_of_a_name_that_a_tar_holds_twice_the_last_is_taken_and_that_is_said(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    old, new = ((tree / name).read_bytes() for name in ("a.png", "b.png"))
    first, last = (b'{"text": "old", "only": 1}', b'{"text": "new"}')
    write_tar(
        tmp_path / "s" / "x.tar", ("0.png", old), ("0.json", first), ("1.png", old), ("0.png", new), ("0.json", last)
    )
    with pytest.warns(UserWarning, match=r"'x\.tar' holds '0\.png' 2 times: the last of them is taken"):
        found = protect_folders(tmp_path / "s", tmp_path / "out", tiny_model, "random", twins=True)
    assert found.complete and not found.failed and len(found.failures["notices"]) == 2
    zero, one = rows(tmp_path / "out")
    for row, name in ((zero, "b.png"), (one, "a.png")):
        clean = read_photo(tmp_path / "out" / row["clean_file_name"])
        assert (clean.pixels == read_photo(tree / name).pixels).all()
    assert zero["text"] == "new" and "only" not in zero
    os.utime(tmp_path / "s" / "x.tar", (1, 1))  # which lets the digests be compared
    assert protect_folders(tmp_path / "s", tmp_path / "out", tiny_model, "random", twins=True).made == 0


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"got 'nosuch': there is no metadata\.jsonl"):
        listed(tree, tmp_path, column="nosuch")
    write_rows(tree, {"file_name": "a.png", "text": "x"}, {"file_name": "b.png", "who": "y"})
    with pytest.raises(InvalidInput, match="got 'nosuch': choose among text, who"):
        listed(tree, tmp_path, column="nosuch")
    assert {group.name for group in listed(tree, tmp_path, column="who").groups} >= {"", "y"}


def test_a_metadata_file_that_changes_during_the_run_lends_no_row_to_another_photo(tree: Path, tmp_path: Path) -> None:
    write_rows(tree, {"file_name": "a.png", "text": "x"}, {"file_name": "b.png", "text": "y"})
    group = listed(tree, tmp_path).groups[0]
    assert group.more() == [{"text": "x"}, {"text": "y"}]
    for other, told in (
        (({"file_name": "b.png", "text": "z"}, {"file_name": "a.png", "text": "x"}), [{"text": "x"}, {"text": "z"}]),
        (({"file_name": "a.png", "more": "x" * 99},), [{"more": "x" * 99}, {}]),
        ((), [{}, {}]),
    ):
        write_rows(tree, *other)
        assert group.more() == told
    (tree / "metadata.jsonl").write_text("x\n")
    with pytest.raises(InvalidInput, match=r"'metadata\.jsonl' to be a JSON object with file_name, got 'x.*, line 1"):
        group.more()
    (tree / "metadata.jsonl").unlink()
    with pytest.raises(InvalidInput, match="to be a file that can be read, got: No such file"):
        group.more()


def test_names_that_are_not_utf_8_are_written_with_question_marks(
    tree: Path, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    for folder in (b"caf\xe9", b"caf\xe8"):
        place = Path(os.fsdecode(os.fsencode(tree) + b"/" + folder))
        place.mkdir()
        for photo in (b"\xe9.png", b"\xe8.png"):
            shutil.copy(tree / "a.png", place / os.fsdecode(photo))
    (tree / os.fsdecode(b"link\xe9")).symlink_to(tree / "cats")
    half = {"file_name": "a.png", "text": "\ud83d", "\ud83d": ["\udcff"]}
    write_rows(tree, half, {"file_name": "\udcff.png"}, {"file_name": "\ud83d.png"}, {"file_name": "\0"})
    line = ["protect-many", str(tree), "--method", "random", "--model", str(tiny_model_folder), "--out"]
    assert main([*line, str(tmp_path / "out")]) == 0
    found = {row["original"]: row for row in rows(tmp_path / "out")}
    assert len(rows(tmp_path / "out")) == 9 and found["a.png"]["text"] == "\ufffd" and "caf\ufffd/\ufffd.png" in found
    assert (tmp_path / "out" / "caf\ufffd-2" / "\ufffd-2.png").exists()
    assert "'link\ufffd' is, by a link" in capsys.readouterr().err
    assert main([*line, str(tmp_path / "out"), "--column", "text"]) == 2  # another layout, told of as such
    assert main([*line, str(tmp_path / "columns"), "--column", "text"]) == 0
    assert (tmp_path / "columns" / "\ufffd" / "a.png").exists()
