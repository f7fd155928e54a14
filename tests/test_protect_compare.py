"""The comparison of methods: equal cost, resuming, and refusing what it does not understand."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks import compare_methods
from benchmarks.compare_methods import gradients_of, learned, main, parse_method, parse_recipe
from benchmarks.subjects import tiled
from udp.errors import InvalidInput
from udp.imitation.recipes import LoRA
from udp.models.latent import LatentDiffusionModel
from udp.photos import Photo
from udp.protection.methods import METHODS


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


def test_learned_is_relative_to_the_clean_arm() -> None:
    clean = {"base_loss": 1.0, "clean_loss": 0.6}
    assert learned({"clean_loss": 0.6}, clean) == pytest.approx(1)
    assert learned({"clean_loss": 0.9}, clean) == pytest.approx(0.25)
    assert learned({"clean_loss": 1.1}, clean) < 0


def test_a_second_run_reads_the_cells_of_the_first(
    photo_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    made = []

    def measure(photos, method, options) -> dict:
        made.append(method)
        if method is None:
            return {"base_loss": 1.0, "clean_loss": 0.5}
        known = {"psnr_db": 33.0, "ssim": 0.9, "gradients": gradients_of(method), "seconds": 1.0}
        return {**known, "clean_loss": 0.5 if method.name == "random" else 0.8}

    monkeypatch.setattr(compare_methods, "measure", measure)
    command = ["--photos", str(photo_files[0].parent.parent), "--subjects", photo_files[0].parent.name]
    command += ["--out", str(tmp_path), "--budgets", "8", "--gradients", "20"]
    assert main([*command, "--methods", "photoguard"]) == 0
    table = capsys.readouterr().out
    assert "| photoguard | 8/255 | 33.0 dB, 0.900 | 100% | 40% |" in table and len(made) == 3
    assert main([*command, "--methods", "photoguard"]) == 0
    assert len(made) == 3 and capsys.readouterr().out == table, "nothing is measured twice"
    assert main([*command, "--methods", "photoguard", "--steps", "20"]) == 0
    assert len(made) == 6, "cells made with other settings must be made again"
    assert main([*command, "--methods", "nope"]) == 2


def test_a_cell_is_measured_on_the_model(
    photos: list[Photo], tiny_model_folder: Path, tiny_model: LatentDiffusionModel
) -> None:
    options = argparse.Namespace(model=str(tiny_model_folder), seed=0, cleaning="jpeg75", recipe="dreambooth", steps=10)
    method = parse_method("photoguard", 8 / 255, 2)
    figures = compare_methods.measure(photos[:1], method, options)
    assert figures["largest_difference_levels"] <= 8 and figures["psnr_db"] > 25 and figures["gradients"] == 2
    clean = compare_methods.measure(photos[:1], None, options)
    assert clean["base_loss"] > 0 and clean["clean_loss"] != clean["base_loss"]
