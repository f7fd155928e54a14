"""Which sets a catalogue has, and whose they are: folders, groups, columns and shares."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import save_picture
from udp.catalogue.layout import Layout
from udp.catalogue.listing import PhotoGroup, list_sets
from udp.catalogue.shares import Share, own_process, share_of
from udp.catalogue.similar import alike, in_order
from udp.errors import InvalidInput


def names(source: Path, tmp_path: Path, **layout: object) -> dict[str, tuple[str, ...]]:
    return {group.name: group.files for group in list_sets(source, Layout(**layout), tmp_path / "notes").groups}


def test_a_tree_is_a_set_a_folder_and_hidden_ones_are_passed_over(tree: Path, tmp_path: Path) -> None:
    save_picture(tree / ".thumbnails" / "t.png", 9)
    save_picture(tree / "controls" / "clean" / "c.png", 9)
    (tree / "notes.txt").write_text("x")
    shutil.copy(tree / "a.png", tree / "cats" / "without-an-ending")
    assert names(tree, tmp_path) == {
        "": ("a.png", "b.png"),
        "cats": ("tom.png", "without-an-ending"),
        "controls_/clean": ("c.png",),
        "dogs/small": ("x.png", "y.png"),
    }
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
    before = looked.read_text()
    looked.write_text(before[:-9])  # but if the note is damaged
    names(tmp_path / "flat", tmp_path, groups="similar", group_size=4)
    assert looked.read_text() == before
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


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", f"1/{'9' * 5000}"])
def test_a_share_that_is_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="--shard as i/n with i from 1 to n"):
        share_of(text, {})


@pytest.mark.parametrize("environment", [{"ID": "x", "COUNT": "2"}, {"ID": "1"}, {"ID": "7", "COUNT": "2"}])
def test_a_job_array_that_cannot_be_shared_by(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="give --shard i/n"):
        share_of(None, {f"SLURM_ARRAY_TASK_{name}": value for name, value in environment.items()})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STEP", "0", r"TASK_STEP to be a whole number from 1 on, got '0': give --shard i/n"),
        ("STEP", "", "TASK_STEP to be a whole number from 1 on, got ''"),
        ("COUNT", "0", "TASK_COUNT to be a whole number from 1 on, got '0'"),
        ("COUNT", None, "TASK_COUNT to be a whole number from 1 on, got none"),
        ("ID", "-1", "TASK_ID to be a whole number from 0 on, got '-1'"),
        ("MIN", "1.5", r"TASK_MIN to be a whole number from 0 on, got '1\.5'"),
        ("ID", "9" * 5000, "TASK_ID to be a whole number from 0 on, got '999"),
    ],
)
def test_a_variable_of_slurm_that_is_no_number_is_named(name: str, value: str | None, said: str) -> None:
    environment = {"ID": "1", "COUNT": "3", "MIN": "0", "STEP": "1", name: value}
    with pytest.raises(InvalidInput, match=said):
        share_of(None, {f"SLURM_ARRAY_TASK_{key}": text for key, text in environment.items() if text is not None})


def test_a_number_of_processes_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InvalidInput, match="WORLD_SIZE to be a whole number from 1 on, got 'two'"):
        own_process()
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidInput, match="what a launcher sets beside WORLD_SIZE"):
        own_process()


def test_parts_of_one_launch_know_their_sets() -> None:
    parts = [Share(index, 2, "now", 2).within(Share(1, 3)) for index in range(2)]
    assert [part.index for part in parts] == [2, 3] and {part.launch for part in parts} == {"now"}
    for part in parts:
        assert [number for number in range(12) if part.beside(number)] == [2, 3, 8, 9]


def test_a_group_says_what_its_photos_are_without_reading_them(tmp_path: Path) -> None:
    group = PhotoGroup("x", tmp_path, ("a.png", "gone.png"), "inside")
    (tmp_path / "a.png").write_bytes(b"12345")
    assert [size for size, _ in group.stats()] == [5, 0] and group.originals() == ["inside/a.png", "inside/gone.png"]


def test_metadata_may_name_what_is_not_below(tree: Path, tmp_path: Path) -> None:
    named = ["/etc/nothing.png", "a.png"]
    (tree / "metadata.jsonl").write_text("\n".join(json.dumps({"file_name": name}) for name in named))
    listing = list_sets(tree, Layout(), tmp_path)
    assert "/etc/nothing.png" in listing.missing
