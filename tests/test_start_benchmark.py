"""The figures of the square that PGD can start from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import start
from udp.models.latent import LatentDiffusionModel
from udp.protection.start import laid, square


@pytest.mark.parametrize("moved", [(0, 0), (5, 60), (33, 7)])
def test_the_square_is_found_where_it_lies(moved: tuple[int, int]) -> None:
    noise = torch.randn((1, 3, 128, 128), generator=torch.Generator().manual_seed(0))
    assert start.place_of(laid(square(), (128, 128), moved)[None] + noise) == moved


def test_from_photos_to_the_table(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(start, "STEPS", 3)
    line = ["--photos", str(photo_files[0].parent), "--out", str(tmp_path), "--model", str(tiny_model_folder)]
    assert start.main([*line, "--methods", "eudp:rounds=1,pgd_steps=2"]) == 0
    (row,) = json.loads((tmp_path / "start.json").read_text())["rows"]
    found = row["distance"]
    assert list(found)[:4] == ["clean", "random signs", "the square", "PGD, 3 steps"] and len(found) == 8
    assert all(value > 0 for value in found.values())
    shown = capsys.readouterr().out
    assert all(f"| {name} |" in shown for name in found)
    assert start.main([*line, "--methods", "soap"]) == 2 and "expected a method" in capsys.readouterr().out


def test_pgd_raises_the_distance_and_taking_the_square_out_lowers_it(
    tiny_model: LatentDiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "STEPS", 3)
    clean, budget = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1, 8 / 255
    distances = start.Distances(tiny_model, clean)
    before, attacked, square = (
        distances.least([picture])
        for picture in (clean, start.attacked(distances, budget), start.with_square(clean, budget, (9, 20)))
    )
    assert attacked > before
    out = start.taken_out(distances, start.with_square(clean, budget, (9, 20)), budget)
    assert out <= min(square, before) + 1e-6, "all of it is among what is tried, and gives the photo back"
