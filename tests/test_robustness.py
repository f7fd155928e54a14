"""The benchmark of cleanings: the worst case comes first, and is one imitator for each set and seed."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from benchmarks import robustness
from benchmarks.robustness import PROTECTED, RANDOM, table
from udp.evaluation.trial import Trial


def row(name: str, seed: int, cleaning: str, learned: float) -> dict:
    near = {"structure_similarity": 0.5}
    arms = {"clean": near, RANDOM: {"learned": 1.0, **near}, PROTECTED: {"learned": learned, **near}}
    return {"set": name, "seed": seed, "recipe": "lora", "cleaning": cleaning, "arms": arms}


def test_the_worst_case_comes_first_and_is_counted_for_each_set_and_seed() -> None:
    rows = [row("a", 0, "none", 0.1), row("a", 0, "half", 0.5), row("b", 0, "none", 0.7), row("b", 0, "half", 0.4)]
    _, _, half, none, worst = table(rows).splitlines()
    assert half.startswith("| lora, half | 100% (100% to 100%) | 45% (40% to 50%) | 0.50 / 0.50 / 0.50 |")
    assert none.startswith("| lora, none |") and "40% (10% to 70%)" in none
    assert "60% (50% to 70%)" in worst, "half for a, none for b"


def test_from_photos_to_the_table(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(robustness, "Trial", functools.partial(Trial, sampling_steps=1))
    line = ["--photos", str(photo_files[0].parent), "--model", str(tiny_model_folder), "--pictures", "1"]
    line += ["--out", str(tmp_path), "--method", "photoguard:pgd_steps=1", "--recipes", "dreambooth:steps=10"]
    assert robustness.main([*line, "--cleanings", "none", "half+jpeg75"]) == 0
    rows = json.loads((tmp_path / "robustness.json").read_text())["rows"]
    assert [row["cleaning"] for row in rows] == ["none", "half+jpeg75"]
    assert rows[0]["changes"] == rows[1]["changes"] and rows[0]["arms"] != rows[1]["arms"]
    drawn = [path.name for path in (tmp_path / "robustness").rglob("*.png") if path.parent.name == "seed0"]
    assert len(drawn) == 2 and sum(name.endswith("-half+jpeg75.png") for name in drawn) == 1
    assert "| dreambooth:steps=10, half+jpeg75 |" in capsys.readouterr().out
    assert robustness.main([*line, "--cleanings", "soap"]) == 2 and "expected cleanings" in capsys.readouterr().out
