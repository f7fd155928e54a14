"""The benchmark of what fine-tunes learn and in which time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import lessons


@pytest.fixture
def photos(photo_files: list[Path]) -> Path:
    return photo_files[0].parent


def test_more_steps_end_lower_and_the_table_is_of_the_record(
    tiny_model_folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out, fast = tmp_path / "lessons.json", "dreambooth:steps=10,batch_size=2"
    asked = [f"{tiny_model_folder}={recipe}" for recipe in (fast, fast.replace("10", "80"))]
    assert lessons.main(["--photos", str(photos), "--out", str(out), "--fine-tunes", *asked]) == 0
    record = json.loads(out.read_text(encoding="utf-8"))
    short, long = record["rows"]
    assert (short["set"], short["steps"], short["batch_size"]) == (photos.name, 10, 2)
    assert long["loss"] < short["loss"] < short["loss_before"] == long["loss_before"]
    assert short["seconds"] > 0
    printed = capsys.readouterr().out
    assert lessons.table(record["rows"]) in printed
    assert f"| 80 steps of 2 at {long['learning_rate']:g} |" in printed and f" to {long['loss']:.3f} |" in printed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mini", "expected a fine-tune as MODEL=RECIPE, got 'mini'"),
        ("=dreambooth", "expected a fine-tune as MODEL=RECIPE"),
        ("mini=dreambooth:stepz=3", "expected a setting of dreambooth among"),
        (
            "a/weights=dreambooth b/weights=dreambooth",
            "expected fine-tunes with names of their own, got ('weights', 'dreambooth')",
        ),
    ],
)
def test_a_text_that_is_no_fine_tune_is_refused(
    photos: Path, tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "lessons.json"
    assert lessons.main(["--photos", str(photos), "--out", str(out), "--fine-tunes", *text.split()]) == 2
    assert words in capsys.readouterr().out and not out.exists()
