"""The comparison of methods: equal cost, resuming, and refusing what it does not understand."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ablation, compare_methods, robustness
from benchmarks.grids import tiled
from benchmarks.paper import shortened
from benchmarks.texts import gradients_of, parse_method, parse_recipe
from udp.errors import InvalidInput
from udp.evaluation.trial import Trial
from udp.imitation.recipes import LoRA
from udp.protection.methods import EUDP, METHODS


@pytest.mark.parametrize("name", [name for name in METHODS if name != "random"])
def test_every_method_gets_the_same_gradients(name: str) -> None:
    assert gradients_of(parse_method(name, 8 / 255, 200)) == pytest.approx(200, abs=6)


def test_settings_in_a_method_text() -> None:
    method = parse_method("eudp:momentum=1,augment=jpeg,draws=4", 8 / 255, 200)
    assert (method.momentum, method.augment, method.draws, method.rounds) == (1.0, "jpeg", 4, 10)
    for text, words in (("nope", "a method among"), ("udp:x=1", "a setting of udp"), ("udp:draws=a", "to be a int"),
                        ("udp:draws=99", "draws between")):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            parse_method(text, 8 / 255, 200)


def test_settings_in_a_recipe_text() -> None:
    recipe = parse_recipe("dreambooth:batch_size=16,from_scratch=true", 30)
    assert (recipe.batch_size, recipe.from_scratch, recipe.steps) == (16, True, 30)
    assert parse_recipe("lora").steps == LoRA().steps
    for text, words in (("nope", "a recipe among"), ("lora:x=1", "a setting of lora"), ("lora:rank=a", "to be a int"),
                        ("dreambooth:from_scratch=yes", "to be a bool")):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            parse_recipe(text)


@pytest.mark.parametrize(("side", "count", "squares"), [(128, 3, 3), (32, 35, 3), (160, 1, 1), (64, 3, 1)])
def test_small_pictures_share_a_square_of_the_grid(side: int, count: int, squares: int) -> None:
    pictures = [np.full((side, side, 3), index, np.uint8) for index in range(count)]
    found = tiled(pictures)
    assert len(found) == squares and all(square.shape[0] == max(side, 128) for square in found)
    if side == 32:
        assert found[0][:32, 32:64].max() == 1 and found[0][32, 0, 0] == 4 and found[1][0, 0, 0] == 16
        assert found[2].mean() > 200 and found[2][0, 0, 0] == 32


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ablation, compare_methods, robustness):
        monkeypatch.setattr(module, "Trial", functools.partial(Trial, sampling_steps=1))


def command(photo_files: list[Path], tiny_model_folder: Path, out: Path) -> list[str]:
    line = ["--photos", str(photo_files[0].parent), "--model", str(tiny_model_folder), "--pictures", "1"]
    return [*line, "--out", str(out)]


def test_methods_are_compared_at_equal_cost(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, quick: None
) -> None:
    line = [*command(photo_files, tiny_model_folder, tmp_path), "--budgets", "8", "4", "--gradients", "2"]
    line += ["--methods", "photoguard", "advdm:momentum=1", "--recipe", "dreambooth:steps=10"]
    assert compare_methods.main(line) == 0
    shown = [row for row in capsys.readouterr().out.splitlines() if row.startswith("| ")]
    assert shown[1].startswith("| clean | | 100% |")
    assert [row.split(" | ")[1] for row in shown[2:]] == ["4/255"] * 3 + ["8/255"] * 3
    facts = json.loads((tmp_path / "methods.json").read_text())
    (row,) = facts["rows"]
    assert {change["gradients"] for arm, change in row["changes"].items() if "random" not in arm} == {2}
    learned = {arm: figures["learned"] for arm, figures in row["arms"].items() if arm != "base"}
    clean, base, made = (row["arms"][arm]["clean_loss"] for arm in ("clean", "base", "photoguard 8/255"))
    assert learned["clean"] == 1
    assert learned["photoguard 8/255"] == pytest.approx(
        (base - made) / (base - clean), abs=5e-3 + 2e-4 / abs(base - clean)
    )
    own = ["--gradients", "0", "--budgets", "8", "--methods", "photoguard:pgd_steps=3"]
    assert compare_methods.main([*line, *own]) == 0
    (row,) = json.loads((tmp_path / "methods.json").read_text())["rows"]
    assert row["changes"]["photoguard:pgd_steps=3 8/255"]["gradients"] == 3, "a method's own"
    assert compare_methods.main([*line, "--methods", "nope"]) == 2
    assert "expected a method among" in capsys.readouterr().out


def test_each_variant_of_the_ablation_differs_in_what_its_name_says() -> None:
    first, *others = (method for arm, method in ablation.variants().items() if arm != ablation.NOISE)
    assert (first.encoder_weight, first.surrogate_steps) == (EUDP().encoder_weight, EUDP().surrogate_steps)
    assert len({repr(method) for method in others}) == len(others) == 10
    assert [method.augment for method in others].count("none") == 1
    plain = ablation.variants()["no such term, frozen, uniform"]
    assert (plain.encoder_weight, plain.surrogate_steps, plain.timestep_weights) == (0, 0, "uniform")


def test_the_ablation_asks_a_patient_and_a_hasty_imitator(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    few = {arm: shortened(method, 1) for arm, method in [*ablation.variants().items()][:2]}
    monkeypatch.setattr(ablation, "variants", lambda: few)
    monkeypatch.setattr(ablation, "IMITATORS", {"patient": "dreambooth:steps=20", "hasty": "dreambooth:steps=10"})
    ablation.main(command(photo_files, tiny_model_folder, tmp_path))
    rows = json.loads((tmp_path / "ablation.json").read_text())["rows"]
    assert [(row["recipe"], row["settings"]["steps"]) for row in rows] == [("patient", 20), ("hasty", 10)]
    assert rows[0]["changes"] == rows[1]["changes"] and rows[0]["arms"] != rows[1]["arms"]
    shown = capsys.readouterr().out.splitlines()
    assert sum(row.startswith(f"| {ablation.NOISE} | ") for row in shown) == 1
