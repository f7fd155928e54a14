"""A catalogue that is run again, or twice at once: what changed beside the photos, what was damaged, what another is at."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from multiprocessing import get_context
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.catalogues import contents, rows, times, write_rows
from udp import protect_folders
from udp.catalogue.notes import Notes
from udp.cli import main
from udp.errors import InvalidInput
from udp.models.base import DiffusionModel

HOLD = "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); time.sleep(600)"


def pictures(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.name.endswith(".png")}


def test_rows_that_changed_are_told_as_they_are_now_and_no_set_is_made_again(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out = tmp_path / "out"
    write_rows(tree, {"file_name": "a.png", "text": "old", "who": "ann"}, {"file_name": "cats/tom.png", "text": "tom"})
    protect_folders(tree, out, tiny_model, "random")
    before = times(out)
    write_rows(tree, {"file_name": "a.png", "text": "new"}, {"file_name": "b.png", "seed": 7})
    assert protect_folders(tree, out, tiny_model, "random").made == 0 and times(out) == before
    told = {row["original"]: row for row in rows(out)}
    assert told["a.png"]["text"] == "new" and "who" not in told["a.png"] and told["a.png"]["seed"] != 7
    assert told["b.png"]["source_seed"] == 7 and "text" not in told["cats/tom.png"]
    (tree / "metadata.jsonl").unlink()
    protect_folders(tree, out, tiny_model, "random")
    protect_folders(tree, tmp_path / "new", tiny_model, "random")
    assert (out / "metadata.jsonl").read_bytes() == (tmp_path / "new" / "metadata.jsonl").read_bytes()


def test_shards_tell_rows_as_they_are_now_and_the_index_has_what_is_in_the_source(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out, line = tmp_path / "out", {"method": "random", "format": "webdataset"}
    write_rows(tree, {"file_name": "a.png", "text": "old"})
    protect_folders(tree, out, tiny_model, **line)
    (shard,) = (out / "shards").glob("*.tar")
    before = pictures(shard)
    write_rows(tree, {"file_name": "a.png", "text": "new"})
    shutil.rmtree(tree / "cats")
    (out / "shards" / "shard-000000.json").write_text("{")  # what it said is in the shard
    found = protect_folders(tree, out, tiny_model, **line)
    assert found.made == 0 and found.complete and found.failures["gone"] == ["cats"] and not found.failed
    assert pictures(shard) == before
    with tarfile.open(shard) as tar:
        assert json.load(tar.extractfile("000000-000000.json"))["text"] == "new"
    index = pq.read_table(out / "index.parquet").to_pylist()
    assert [row["set"] for row in index] == ["", "", "dogs/small", "dogs/small"]
    assert [row["key"][-1] for row in index] == ["0", "1", "3", "4"]
    assert json.loads(index[0]["columns"]) == {"text": "new"}
    Notes(out).mark("dogs/small").write_text("{")  # a set in a shard is made again for its note alone
    kept = contents(out / "shards")
    assert protect_folders(tree, out, tiny_model, **line).made == 1 and contents(out / "shards") == kept
    for path in (shard, shard.with_suffix(".json")):
        path.write_text("{")
    with pytest.raises(InvalidInput, match="got both damaged: delete the two"):
        protect_folders(tree, out, tiny_model, **line)


def test_a_set_that_another_process_is_at_is_left_to_it_and_taken_when_that_died(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out = tmp_path / "out"
    claim = Notes(out).claim("cats")
    claim.parent.mkdir(parents=True)
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(claim)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline().strip() == b"held"
        found = protect_folders(tree, out, tiny_model, "random")
        assert (found.made, found.elsewhere, found.complete, found.failed) == (2, 1, False, {})
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
    found = protect_folders(tree, out, tiny_model, "random")
    assert (found.made, found.elsewhere, found.complete) == (1, 0, True)


def test_the_same_twice_at_once_is_as_one_alone(tree: Path, tmp_path: Path, tiny_model: DiffusionModel) -> None:
    protect_folders(tree, tmp_path / "one", tiny_model, "random")

    def run() -> None:
        found = protect_folders(tree, tmp_path / "two", tiny_model, "random")
        os._exit(len(found.failed))

    both = [get_context("fork").Process(target=run) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_captions_that_cannot_be_read_are_named(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    (tree / "cats" / "tom.txt").write_bytes(b"caf\xe9")
    (tree / "a.txt").write_text("x" * 100_001)
    (tree / "b.txt").symlink_to(tree / "nowhere")
    (tree / "dogs" / "small" / "x.txt").write_text("a dog")
    found = protect_folders(tree, tmp_path / "out", tiny_model, "random")
    assert found.failures["captions"] == {
        "": ["a.txt: it has 100,001 bytes, more than the 100,000 of a caption", "b.txt: it is a link to nothing"],
        "cats": ["tom.txt: it is not UTF-8"],
    }
    off = protect_folders(tree, tmp_path / "off", tiny_model, "random", captions=False)
    assert off.failures["captions"] == {}
    line = ["--out", str(tmp_path / "typed"), "--method", "random", "--model", str(tiny_model_folder)]
    assert main(["protect-many", str(tree), *line]) == 0
    assert "whose photos went by the prompt: a.txt: it has 100,001 bytes" in (said := capsys.readouterr().err)
    assert "cats/tom.txt: it is not UTF-8" in said


def test_a_damaged_note_or_manifest_has_its_set_made_again_or_a_clear_error(
    tree: Path, tmp_path: Path, tiny_model: DiffusionModel
) -> None:
    out = tmp_path / "out"
    notes, manifest = Notes(out), out / "cats" / "manifest.json"
    protect_folders(tree, out, tiny_model, "random")
    sound = contents(out)
    for damaged, words in ((notes.mark("cats"), "{"), (notes.mark("cats"), "[]"), (manifest, "{"), (manifest, "")):
        damaged.write_text(words)
        assert protect_folders(tree, out, tiny_model, "random").made == 1
        assert contents(out).keys() == sound.keys() and json.loads(manifest.read_text())["method"] == "random"
    notes.mark("cats").write_text("{")
    assert not protect_folders(tree, out, tiny_model, "random", shard="1/3").complete  # it is the second's
    manifest.write_text("{")
    found = protect_folders(tree, out, tiny_model, "random")
    assert (
        "got a damaged file: if an earlier run made them, delete the PNGs in" in found.failed["cats"] and found.complete
    )
    notes.failure("cats").write_text("{")
    found = protect_folders(tree, out, tiny_model, "random", shard="1/3")
    assert found.failures["sets"] == {"cats": "the note of why is damaged"}
    for path in (manifest, *manifest.parent.glob("*.png")):
        path.unlink()
    assert protect_folders(tree, out, tiny_model, "random").failures["sets"] == {}
    (out / "catalogue.json").write_text("{")
    with pytest.raises(InvalidInput, match="got a damaged file: delete it if"):
        protect_folders(tree, out, tiny_model, "random")
    (out / "catalogue.json").unlink()
    assert protect_folders(tree, out, tiny_model, "random").made == 0
