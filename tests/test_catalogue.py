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
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.catalogue import table
from tests.conftest import picture
from udp import protect_folder, protect_folders
from udp.catalogue import many, shards
from udp.catalogue.layout import Layout
from udp.catalogue.listing import PhotoGroup, list_sets
from udp.catalogue.shares import Share, share_of
from udp.catalogue.similar import alike, in_order
from udp.cli import main
from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.photos import read_photo

ROOT = Path(__file__).parents[1]


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, 48, 40)).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three sets of two, one photo and two, the first of them on top."""
    for seed, name in enumerate(("a.png", "b.png", "cats/tom.png", "dogs/small/x.png", "dogs/small/y.png")):
        save(tmp_path / "in" / name, seed)
    return tmp_path / "in"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]


def names(source: Path, tmp_path: Path, **layout: object) -> dict[str, tuple[str, ...]]:
    return {group.name: group.files for group in list_sets(source, Layout(**layout), tmp_path / "notes").groups}


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


def test_a_tree_is_a_set_a_folder_and_hidden_ones_are_passed_over(tree: Path, tmp_path: Path) -> None:
    save(tree / ".thumbnails" / "t.png", 9)
    save(tree / "controls" / "clean" / "c.png", 9)
    (tree / "notes.txt").write_text("x")
    shutil.copy(tree / "a.png", tree / "cats" / "without-an-ending")
    assert names(tree, tmp_path) == {
        "": ("a.png", "b.png"),
        "cats": ("tom.png", "without-an-ending"),
        "controls_/clean": ("c.png",),
        "dogs/small": ("x.png", "y.png"),
    }
    assert list_sets(tree, Layout(), tmp_path).others == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="expected photos in"):
        list_sets(tmp_path / "empty", Layout(), tmp_path)


@given(st.integers(1, 400), st.integers(1, 50))
def test_groups_by_number_are_full_but_the_last_and_photos_added_change_no_other(count: int, size: int) -> None:
    groups = in_order(count, size)
    assert [index for group in groups for index in group] == list(range(count))
    assert all(len(group) == size for group in groups[:-1]) and len(groups[-1]) < 1.5 * size
    assert len(groups) == 1 or len(groups[-1]) >= size / 2
    assert in_order(count + 1, size)[: len(groups) - 1] == groups[:-1]


def test_groups_that_look_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    colours = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
    for index in range(4):
        for name, colour in colours.items():
            pixels = np.clip(random.normal(colour, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
            path = tmp_path / "flat" / f"{index}-{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
    found = names(tmp_path / "flat", tmp_path, groups="similar", group_size=4)
    assert sorted(found) == ["group-00001", "group-00002", "group-00003"]
    assert {frozenset(name.split("-")[1] for name in files) for files in found.values()} == {
        frozenset({f"{colour}.png"}) for colour in colours
    }
    looked = next((tmp_path / "notes").glob("similar-*.json"))
    looked.write_text('{"groups": [[0, 1], [2]]}')  # what was found out is not found out again
    assert [len(files) for files in names(tmp_path / "flat", tmp_path, groups="similar", group_size=4).values()] == [
        2,
        1,
    ]


@given(st.integers(1, 120), st.integers(1, 50), st.integers(0, 3))
def test_alike_takes_each_once_in_nearly_equal_groups(count: int, size: int, seed: int) -> None:
    looks = np.random.default_rng(seed).random((count, 6), np.float32)
    groups = alike(looks, size)
    assert sorted(index for group in groups for index in group) == list(range(count))
    assert len(groups) == -(-count // size) and max(map(len, groups)) <= size
    assert groups == alike(looks, size)


def test_one_photo_a_set_is_as_if_each_were_alone(tmp_path: Path, tiny_model: DiffusionModel) -> None:
    for seed in range(3):
        save(tmp_path / "in" / f"{seed}.png", seed)
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


@pytest.mark.parametrize(
    ("text", "environment", "share"),
    [
        ("1/1", {}, Share()),
        ("2/5", {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "3"}, Share(1, 5)),
        (None, {}, Share()),
        (None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "10"}, Share(3, 10)),
        (None, {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_STEP": "2"}, Share(2, 3)),
    ],
)  # fmt: skip
def test_shares(text: str | None, environment: dict[str, str], share: Share) -> None:
    assert share_of(text, environment) == share
    parts = [Share(process, 2).within(Share(index, 3)) for index in range(3) for process in range(2)]
    assert sorted(index for part in parts for index in part.of(20)) == list(range(20))


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"])
def test_a_share_that_is_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="--shard as i/n with i from 1 to n"):
        share_of(text, {})


@pytest.mark.parametrize("environment", [{"ID": "x", "COUNT": "2"}, {"ID": "1"}, {"ID": "7", "COUNT": "2"}])
def test_a_job_array_that_cannot_be_shared_by(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="give --shard i/n"):
        share_of(None, {f"SLURM_ARRAY_TASK_{name}": value for name, value in environment.items()})


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
    save(tree / "cats" / "tom.png", 99)
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


def test_a_group_says_what_its_photos_are_without_reading_them(tmp_path: Path) -> None:
    group = PhotoGroup("x", tmp_path, ("a.png", "gone.png"), "inside")
    (tmp_path / "a.png").write_bytes(b"12345")
    assert [size for size, _ in group.stats()] == [5, 0] and group.originals() == ["inside/a.png", "inside/gone.png"]


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
        save(tmp_path / "in" / name / "x.png", seed)
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


def test_metadata_may_name_what_is_not_below(tree: Path, tmp_path: Path) -> None:
    named = ["/etc/nothing.png", "a.png"]
    (tree / "metadata.jsonl").write_text("\n".join(json.dumps({"file_name": name}) for name in named))
    listing = list_sets(tree, Layout(), tmp_path)
    assert "/etc/nothing.png" in listing.missing


def test_the_table_of_costs_is_what_the_record_says() -> None:
    record, page = (ROOT / "docs" / name for name in ("scale.json", "scale.md"))
    assert table(json.loads(record.read_text())) in page.read_text()
