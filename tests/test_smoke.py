"""`udp check-model`: it passes on models that work, and fails, check by check, on what does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.families import build
from udp.cli import main
from udp.evaluation import smoke
from udp.evaluation.smoke import check_model, drawn_photos
from udp.imitation.recipes import LoRA
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "RECIPE", dataclasses.replace(smoke.RECIPE, steps=20, learning_rate=1e-2))
    monkeypatch.setattr(smoke, "METHOD", dataclasses.replace(smoke.METHOD, rounds=1, surrogate_steps=1, pgd_steps=2))


@pytest.mark.parametrize(("family", "pipeline"), [("flux", "FluxPipeline"), ("z_image", "ZImagePipeline")])
def test_the_command_passes_on_a_tiny_flow_and_leaves_it_as_it_was(
    family: str, pipeline: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(build(family, tmp_path / family))
    before = {key: value.clone() for key, value in load_model(folder).network.state_dict().items()}
    assert main(["check-model", folder]) == 0
    said = capsys.readouterr().out
    assert "all 5 checks passed" in said and said.count("ok    ") == 5 and f"{pipeline}, 32 px" in said
    after = load_model(folder).network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_it_passes_on_the_embedded_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "RECIPE", dataclasses.replace(smoke.RECIPE, steps=10, learning_rate=None))
    for name in ("mini", "mini-pixel"):
        model = load_model(name)
        checks = list(check_model(model, drawn_photos(model.resolution, 1), tmp_path))
        assert [check.name for check in checks if not check.passed] == [], checks
        assert ("loads none" in checks[3].found) == (name == "mini-pixel")


def broken(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "budget":
        monkeypatch.setattr(smoke, "LEVELS", 1)
    elif kind == "learns":
        monkeypatch.setattr(smoke, "clean_loss", lambda *arguments: 1.0)
    elif kind == "adapters":

        def save(self: LoRA, tuned: smoke.FineTuned, folder: Path) -> Path:
            for name, weight in tuned.network.named_parameters():
                if ".lora_B." in name:
                    weight.data.neg_()
            return plain_save(self, tuned, folder)

        plain_save = LoRA.save
        monkeypatch.setattr(LoRA, "save", save)
    elif kind in ("flat", "not finite"):
        value = float("nan") if kind == "not finite" else 0.5
        monkeypatch.setattr(DiffusionModel, "sample", lambda *arguments: torch.full((1, 3, 32, 32), value))


@pytest.mark.parametrize(("kind", "number"), [("budget", 0), ("learns", 2), ("adapters", 3), ("not finite", 4)])
def test_what_does_not_work_is_named(
    kind: str, number: int, tiny_model: DiffusionModel, photos: list[Photo], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    broken(kind, monkeypatch)
    checks = list(check_model(tiny_model, photos[:1], tmp_path))
    assert [index for index, check in enumerate(checks) if not check.passed] == [number], checks


def test_a_protection_in_the_wrong_direction_is_named(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    """Nothing is farther from itself than the photos are: as "protected", they fail."""
    check = smoke._direction(tiny_model, photos[:1], photos[:1])
    assert not check.passed and "to rise" in check.found


def test_the_command_says_that_it_failed(
    tiny_model_folder: Path,
    photo_files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken("flat", monkeypatch)
    assert main(["check-model", str(tiny_model_folder), "--photos", str(photo_files[0].parent)]) == 1
    said = capsys.readouterr().out
    assert "FAILED  pictures are finite and not flat" in said and "of 5 checks FAILED" in said
    assert main(["check-model", "no such model"]) == 2
