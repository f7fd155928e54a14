"""Imitators with other networks and schedules: each for a few steps, from photos to the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import imitators, trials
from udp.models.loading import load_model
from udp.models.schedule import RectifiedFlow
from udp.photos import list_photos


@pytest.fixture(autouse=True)
def small_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(imitators.DEEPER, "block_out_channels", (32, 32, 32))
    trials.loaded.cache_clear()


def test_every_imitator_from_photos_to_the_table(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--photos", str(photo_files[0].parent), "--out", str(tmp_path), "--model", str(tiny_model_folder)]
    line += ["--steps", "10", "--pictures", "2", "--method", "photoguard:pgd_steps=1", "--also", str(tiny_model_folder)]
    assert imitators.main(line) == 0
    rows = json.loads((tmp_path / "imitators.json").read_text())["rows"]
    titles = [imitators.TRAINED, *imitators.VARIANTS, tiny_model_folder.name]
    assert [row["recipe"] for row in rows] == titles and len({row["key"] for row in rows}) == len(titles)
    (changes,) = {json.dumps(row["changes"]) for row in rows}
    assert json.loads(changes)["protected"]["gradients"] == 1, "protected once, for all of them"
    losses = {row["arms"]["clean"]["final_training_loss"] for row in rows[:-1]}
    assert len(losses) == len(titles) - 1, "each learns with a network and a schedule of its own"
    shown = capsys.readouterr().out
    random = [title + imitators.RANDOM_WEIGHTS for title in imitators.VARIANTS]
    assert all(f"| {title} |" in shown for title in [imitators.TRAINED, *random, tiny_model_folder.name])
    line[line.index("--also") + 1] = str(tmp_path / imitators.TRAINED)
    assert imitators.main(line) == 2 and "no other imitator has" in capsys.readouterr().out
    assert all(len(list_photos(path)) for path in tmp_path.glob("imitators/*/seed0"))


def test_a_variant_is_what_its_title_says(tiny_model_folder: Path, tmp_path: Path) -> None:
    base = load_model(str(tiny_model_folder))
    made = {
        title: load_model(str(imitators.write_variant(title, base.pipeline, tmp_path / str(number))))
        for number, title in enumerate(imitators.VARIANTS)
    }
    same, deeper, noise, flow = made.values()
    assert same.schedule.prediction == base.schedule.prediction and not same_weights(same.network, base.network)
    assert len([*deeper.network.parameters()]) > len([*base.network.parameters()])
    assert noise.schedule.prediction.value == "epsilon" and not noise.schedule.ends_without_signal
    assert isinstance(flow.schedule, RectifiedFlow)
    for model in made.values():
        assert same_weights(model.vae, base.vae)
    again = load_model(str(imitators.write_variant("rectified flow", base.pipeline, tmp_path / "again")))
    assert same_weights(again.network, flow.network)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(map(torch.equal, one.parameters(), other.parameters()))
