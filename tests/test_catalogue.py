"""A catalogue of sets: listed by stated rules, each set made once and whole, failures told, and readable as a data set."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from benchmarks.catalogue_costs import table
from tests.catalogues import contents, rows, times, write_rows
from tests.conftest import save_picture
from udp import protect_folder, protect_folders
from udp.catalogue import many, shards
from udp.catalogue.layout import Layout
from udp.catalogue.listing import list_sets
from udp.cli import main
from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.photos import read_photo

ROOT = Path(__file__).parents[1]


def test_two_processes_one_killed_and_the_rerun_repeats_nothing_and_ends_as_one_alone(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    line = ["--model", str(tiny_model_folder), "--forked", "--out", str(tmp_path / "found.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    run = [sys.executable, "-m", "benchmarks.catalogue", "kill", *line]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())["kill"]
    assert found["sets"] == 40 and 0 < found["sets_before_the_rerun"] < 40
    assert found["repeated"] == [] and found["different"] == []


def test_one_photo_a_set_is_as_if_each_were_alone(tmp_path: Path, tiny_model: DiffusionModel) -> None:
    for seed in range(3):
        save_picture(tmp_path / "in" / f"{seed}.png", seed)
    quick = {"method": "advdm", "pgd_steps": 1}
    for size in (2, 3):
        protect_folders(tmp_path / "in", tmp_path / f"out-{size}", tiny_model, groups="one", group_size=size, **quick)
    found = {size: rows(tmp_path / f"out-{size}") for size in (2, 3)}
    assert [row["set"] for row in found[2]] == ["group-00001", "group-00001", "group-00002"]
    manifest = json.loads((tmp_path / "out-3" / "manifest.json").read_text())
    assert [row["photos"] for row in manifest["sets"]] == [1, 1, 1] and len(
        {row["seed"] for row in manifest["sets"]}
    ) == 3


def test_a_small_folder_gives_the_photos_that_protect_gives(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    quick = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 1}
    protect_folder(tree / "dogs" / "small", tmp_path / "one", tiny_model, seed=3, **quick)
    protect_folders(tree / "dogs" / "small", tmp_path / "many", tiny_model, seed=3, **quick)
    for name in ("x.png", "y.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    assert not (tmp_path / "many" / "controls").exists()


def test_a_metadata_file_gives_columns_and_sets_and_what_it_names_in_vain_is_told(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    said = [
        {"file_name": "a.png", "text": "a hat", "who": "ann", "seed": 7},
        {"file_name": "b.png", "text": "a bag", "who": "bob/by"},
        {"file_name": "cats/tom.png", "text": "tom", "who": "ann"},
        {"file_name": "cats/gone.png", "text": "gone"},
    ]
    (tree / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    found = protect_folders(tree, tmp_path / "out", tiny_model, "random", column="who")
    told = {row["file_name"]: row for row in rows(tmp_path / "out")}
    assert set(told) == {"ann/a.png", "bob-by/b.png", "cats/ann/tom.png", "dogs/small/x.png", "dogs/small/y.png"}
    assert told["ann/a.png"]["text"] == "a hat" and told["ann/a.png"]["source_seed"] == 7
    assert told["cats/ann/tom.png"]["original"] == "cats/tom.png" and "text" not in told["dogs/small/x.png"]
    assert found.complete and found.failures["missing"] == ["cats/gone.png"]
    assert json.loads((tmp_path / "out" / "failures.json").read_text()) == found.failures
    (tree / "metadata.jsonl").write_text('{"text": 1}\n')
    with pytest.raises(InvalidInput, match="every line of"):
        protect_folders(tree, tmp_path / "out", tiny_model, "random", column="who")


def test_parts_by_several_calls_are_the_whole_and_the_last_writes_the_index(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    protect_folders(tree, tmp_path / "whole", tiny_model, "random")
    found = [protect_folders(tree, tmp_path / "parts", tiny_model, "random", shard=f"{index}/2") for index in (2, 1)]
    assert [(one.sets, one.made, one.complete) for one in found] == [(1, 1, False), (2, 2, True)]
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")


def test_failures_are_collected_told_and_tried_again(
    tree: Path, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    good = (tree / "cats" / "tom.png").read_bytes()
    (tree / "cats" / "tom.png").write_bytes(good[:60])
    (tree / "b.png").write_bytes(b"no picture")
    line = [
        "protect-many",
        str(tree),
        "--out",
        str(tmp_path / "out"),
        "--method",
        "random",
        "--model",
        str(tiny_model_folder),
    ]
    assert main(line) == 2
    said = capsys.readouterr()
    assert "1 that failed" in said.err and "cats: expected 'tom.png'" in said.err and "Traceback" not in said.err
    assert "1 photos could not be read" in said.err and "2 sets in" in said.out
    failures = json.loads((tmp_path / "out" / "failures.json").read_text())
    assert list(failures["sets"]) == ["cats"] and "b.png" in failures["photos"][""][0]
    assert [row["file_name"] for row in rows(tmp_path / "out")] == ["a.png", "dogs/small/x.png", "dogs/small/y.png"]
    before = times(tmp_path / "out")
    (tree / "cats" / "tom.png").write_bytes(good)
    (tree / "b.png").write_bytes(good)
    assert main(line) == 0
    assert not (tmp_path / "out" / "failures.json").exists() and len(rows(tmp_path / "out")) == 5
    after = times(tmp_path / "out")
    assert {name: after[name] for name in before if name.startswith("dogs")} == {
        name: time for name, time in before.items() if name.startswith("dogs")
    }


def test_what_nobody_foresaw_fails_one_set_and_a_full_disk_all(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = many.protect_files
    for error in (RuntimeError("a device fell off"), OSError(28, "No space left on device")):

        def failing(photos: object, folder: Path, *more: object, error: Exception = error) -> dict:
            if folder.name == "cats":
                raise error
            return plain(photos, folder, *more)

        with monkeypatch.context() as patch:
            patch.setattr(many, "protect_files", failing)
            if isinstance(error, OSError):
                with pytest.raises(OSError, match="No space"):
                    protect_folders(tree, tmp_path / "full", tiny_model, "random")
            else:
                with pytest.warns(UserWarning, match="failed: cats: RuntimeError: a device fell off"):
                    found = protect_folders(tree, tmp_path / "out", tiny_model, "random")
                assert found.failed == {"cats": "RuntimeError: a device fell off"} and found.made == 2
    assert (tmp_path / "full" / "a.png").exists() and not (tmp_path / "full" / "metadata.jsonl").exists()
    for name in ("out", "full"):
        assert protect_folders(tree, tmp_path / name, tiny_model, "random").complete
    assert contents(tmp_path / "out") == contents(tmp_path / "full")


def test_a_set_is_made_again_if_its_photos_or_results_changed_and_not_for_a_copy(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out = tmp_path / "out"
    protect_folders(tree, out, tiny_model, "random")
    for path in tree.rglob("*.png"):
        os.utime(path, (1, 1))  # as in a copy: another time, the same bytes
    assert protect_folders(tree, out, tiny_model, "random").made == 0
    save_picture(tree / "cats" / "tom.png", 99)
    assert protect_folders(tree, out, tiny_model, "random").made == 1
    (out / "dogs" / "small" / "x.png").unlink()
    assert protect_folders(tree, out, tiny_model, "random").made == 1
    shutil.rmtree(tree / "cats")
    found = protect_folders(tree, out, tiny_model, "random")
    assert found.failures["gone"] == ["cats"] and (out / "cats" / "tom.png").exists()
    assert [row["set"] for row in rows(out)] == ["", "", "dogs/small", "dogs/small"]
    protect_folders(tree, tmp_path / "new", tiny_model, "random")
    assert (out / "metadata.jsonl").read_bytes() == (tmp_path / "new" / "metadata.jsonl").read_bytes()


def test_a_catalogue_is_of_one_kind_and_apart_from_its_source(
    tree: Path, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    line = ["protect-many", str(tree), "--model", str(tiny_model_folder), "--method", "random", "--out"]
    assert main([*line, str(tmp_path / "out")]) == 0
    before = contents(tmp_path / "out")
    for more, words in (
        (["--seed", "1"], "expected seed as 'out' was begun with, 0, got 1"),
        (["--group-size", "7"], "expected layout as 'out' was begun with"),
        (["--no-resume"], "expected a new folder (--out) with --no-resume"),
        (["--groups", "size", "--shard", "3/2"], "expected --shard as i/n"),
    ):
        assert main([*line, str(tmp_path / "out"), *more]) == 2
        assert words in capsys.readouterr().err
    for place in (tree, tree / "below", tmp_path):
        assert main([*line, str(place)]) == 2
        assert "apart from the source" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before and not (tree / "below").exists()


def test_an_image_folder_loads_with_its_clean_twins(tree: Path, tmp_path: Path, tiny_model: DiffusionModel) -> None:
    (tree / "cats").rename(tree / "test")  # which must not make it a split
    protect_folders(tree, tmp_path / "out", tiny_model, "random", twins=True, budget=4 / 255)
    place = {"data_dir": str(tmp_path / "out"), "cache_dir": str(tmp_path / "cache")}
    found = load_dataset("imagefolder", data_files={"train": "**"}, **place)["train"]
    assert len(found) == 5 and found.column_names[:2] == ["image", "clean"]
    for row in found:
        source = read_photo(tree / row["original"]).pixels.astype(int)
        np.testing.assert_array_equal(np.asarray(row["clean"]), source)
        largest = np.abs(np.asarray(row["image"]) - source).max()
        assert 0 < largest == row["largest_difference_levels"] <= row["budget_levels"] == 4
    assert set(found["method"]) == {"random"} and all(version.startswith("udp ") for version in found["version"])


def test_columns_that_name_other_files_go_on_as_text(tree: Path, tmp_path: Path, tiny_model: DiffusionModel) -> None:
    row = {"mask_file_name": "masks/a.png", "file_names": ["1.png"], "more": {"depth_file_name": "d.png"}, "image": "i"}
    write_rows(tree, {"file_name": "a.png", **row})
    protect_folders(tree, tmp_path / "out", tiny_model, "random", twins=True)
    place = {"data_dir": str(tmp_path / "out"), "cache_dir": str(tmp_path / "cache")}
    found = load_dataset("imagefolder", data_files={"train": "**"}, **place)["train"][0]
    assert found["image"].size == found["clean"].size == (48, 40)
    assert found["mask_file"] == "masks/a.png" and found["files"] == ["1.png"] and found["source_image"] == "i"
    assert found["more"] == {"depth_file": "d.png"}


def test_shards_are_read_and_written_and_a_run_that_dies_between_tar_and_record_packs_the_same_again(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, line = (
        tmp_path / "shards",
        {"method": "random", "format": "webdataset", "group_size": 2, "shard_megabytes": 1},
    )
    source.mkdir()
    photos = sorted(tree.rglob("*.png"))
    with tarfile.open(source / "old.tar", "w") as tar:
        for index, path in enumerate(photos):
            tar.add(path, f"../{index:03}.png")  # as an attacker would name it
            text = json.dumps({"caption": path.stem}).encode()
            member = tarfile.TarInfo(f"../{index:03}.json")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    monkeypatch.setattr(shards, "SIZE_UNIT", 8_000)  # so that a shard holds a set or two
    protect_folders(source, tmp_path / "whole", tiny_model, **line)

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:

        def dying(path: Path, content: dict) -> None:
            if path.name == "shard-000001.json":
                raise Killed
            plain(path, content)

        plain = shards.write_json
        patch.setattr(shards, "write_json", dying)
        with pytest.raises(Killed):
            protect_folders(source, tmp_path / "out", tiny_model, **line)
    found = protect_folders(source, tmp_path / "out", tiny_model, **line)
    assert found.made == 0 and found.complete and contents(tmp_path / "whole") == contents(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.png")) and not list((tmp_path / "out").rglob("unpacked/*"))

    files = sorted(map(str, (tmp_path / "out" / "shards").glob("*.tar")))
    loaded = load_dataset("webdataset", data_files={"train": files}, cache_dir=str(tmp_path / "cache"))["train"]
    index = pq.read_table(tmp_path / "out" / "index.parquet").to_pylist()
    assert len(files) > 1 and len(loaded) == len(index) == 5
    for sample, row, path in zip(loaded, index, photos, strict=True):
        assert sample["__key__"] == row["key"] and sample["__url__"].endswith(Path(row["shard"]).name)
        assert sample["json"]["caption"] == path.stem == json.loads(row["columns"])["caption"]
        source_pixels = read_photo(path).pixels.astype(int)
        assert 0 < np.abs(np.asarray(sample["png"]) - source_pixels).max() == row["largest_difference_levels"]

    with tarfile.open(source / "old.tar", "w") as tar:
        for index, path in enumerate(reversed(photos)):
            tar.add(path, f"../{index:03}.png")
    found = protect_folders(source, tmp_path / "out", tiny_model, **line)
    assert found.made == 0 and all("when it was packed into a shard" in said for said in found.failed.values())
    assert len(found.failed) == 3


def test_photos_beside_shards_are_refused(tree: Path, tmp_path: Path) -> None:
    with tarfile.open(tree / "some.tar", "w") as tar:
        tar.add(tree / "a.png", "0.png")
    with pytest.raises(InvalidInput, match="photos or shards in"):
        list_sets(tree, Layout(), tmp_path)
    (tree / "other.tar").write_text("no tar")
    with pytest.raises(InvalidInput, match=r"expected 'other\.tar' to be a tar"):
        list_sets(tree, Layout(), tmp_path)


@pytest.mark.parametrize("first", [True, False])
def test_captions_are_among_the_settings_that_may_not_change(
    first: bool, tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    (tree / "cats" / "tom.txt").write_text("a cat")
    quick = {"method": "advdm", "pgd_steps": 1}
    protect_folders(tree, tmp_path / "out", tiny_model, captions=first, **quick)
    manifest = json.loads((tmp_path / "out" / "cats" / "manifest.json").read_text())
    assert ("a cat" in json.dumps(manifest)) is first
    before = times(tmp_path / "out")
    with pytest.raises(InvalidInput, match="expected captions as 'out' was begun with"):
        protect_folders(tree, tmp_path / "out", tiny_model, captions=not first, **quick)
    assert times(tmp_path / "out") == before


def test_what_cannot_begin_binds_nobody(tree: Path, tmp_path: Path, tiny_model: DiffusionModel) -> None:
    line = ["protect-many", str(tree), "--out", str(tmp_path / "out"), "--method", "random"]
    assert main([*line, "--model", str(tmp_path / "no-model")]) == 2
    assert protect_folders(tree, tmp_path / "out", tiny_model, method="random").complete


def test_sets_called_like_the_records_and_a_shard_that_was_lost(tmp_path: Path, tiny_model: DiffusionModel) -> None:
    for seed, name in enumerate(("shards", "manifest.json", "metadata.jsonl", "plain")):
        save_picture(tmp_path / "in" / name / "x.png", seed)
    quick = {"method": "random", "format": "webdataset", "shard_megabytes": 1}
    for _ in range(2):
        found = protect_folders(tmp_path / "in", tmp_path / "out", tiny_model, **quick)
        assert found.complete and not found.failed
    (tar,) = (tmp_path / "out" / "shards").glob("*.tar")
    with tarfile.open(tar) as before:
        names = len(before.getnames())
    tar.unlink()
    again = protect_folders(tmp_path / "in", tmp_path / "out", tiny_model, **quick)
    (tar,) = (tmp_path / "out" / "shards").glob("*.tar")
    with tarfile.open(tar) as after:
        assert again.made == 4 and len(after.getnames()) == names


def test_the_table_of_costs_is_what_the_record_says() -> None:
    record, page = (ROOT / "docs" / name for name in ("scale.json", "scale.md"))
    assert table(json.loads(record.read_text())) in page.read_text()
