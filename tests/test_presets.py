"""Which models are on offer, and which settings each of them gets."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from udp.cli import build_parser, main
from udp.cli.common import apply_preset
from udp.cli.flags import from_flags
from udp.errors import InvalidInput
from udp.evaluation.trial import Trial
from udp.imitation.prompts import PRESETS
from udp.imitation.recipes import RECIPES, DreamBooth, LoRA, TextualInversion
from udp.models.base import DiffusionModel
from udp.models.loading import is_small, load_model
from udp.models.registry import MODELS, available_models
from udp.models.training import Trainer, TrainingSettings
from udp.photos import Photo
from udp.protection.methods import ASPL, EUDP
from udp.settings import blank, check_settings, explain, for_model, given


def test_a_model_without_weights_is_offered_once_they_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = dataclasses.replace(MODELS["mini-pixel"], name="fresh", source=str(tmp_path / "weights"))
    monkeypatch.setitem(MODELS, "fresh", row)
    (tmp_path / "weights").mkdir()  # an empty folder is no model
    assert "fresh" not in available_models() and {"mini", "sd15", "sdxl"} <= set(available_models())
    (tmp_path / "weights" / "model_index.json").write_text("{}")
    assert available_models()[-1] == "fresh"
    with pytest.raises(SystemExit):
        build_parser().parse_args(["protect", "--help"])
    assert "fresh, a local" in " ".join(capsys.readouterr().out.split())


def test_rows_say_what_the_model_will(tiny_model: DiffusionModel) -> None:
    for name in available_models():
        if not MODELS[name].needs_gpu:
            assert load_model(name).small is MODELS[name].small is is_small(name) is True
    assert not is_small("sd15") and tiny_model.small


def test_a_network_of_stable_diffusions_size_is_not_small(tiny_model: DiffusionModel) -> None:
    with torch.device("meta"):  # 860 million weights that take no memory
        unet = UNet2DConditionModel(cross_attention_dim=768)
    large = copy.copy(tiny_model)
    large.network = unet
    assert not large.small
    assert for_model(Trial(), large.small) == Trial(guidance=7.5, sampling_steps=50)
    assert for_model(Trial(), tiny_model.small) == Trial(guidance=3.0, sampling_steps=20)
    assert for_model(Trial(guidance=3.0), large.small) == Trial(guidance=3.0, sampling_steps=50)


# Names, the field, and what it is for a small model and for one of Stable Diffusion's size.
OWN = [
    (LoRA, "learning_rate", 4e-3, 1e-4),
    (DreamBooth, "learning_rate", 1e-3, 5e-6),
    (TextualInversion, "learning_rate", 5e-3, 5e-4),
    (EUDP, "surrogate_learning_rate", 1e-4, 5e-6),
    (ASPL, "surrogate_learning_rate", 1e-4, 5e-7),
    (partial(EUDP, surrogate="adapters"), "surrogate_learning_rate", 4e-3, 1e-4),
    (partial(ASPL, surrogate="adapters"), "surrogate_learning_rate", 4e-3, 1e-5),
]


@pytest.mark.parametrize(("kind", "name", "small", "published"), OWN)
def test_a_setting_left_open_is_what_suits_the_models_size(
    kind: Callable, name: str, small: float, published: float
) -> None:
    check_settings(kind())
    assert getattr(for_model(kind(), small=True), name) == small
    assert getattr(for_model(kind(), small=False), name) == published
    chosen = kind(**{name: 2e-5})
    filled = for_model(chosen, small=False)
    assert getattr(filled, name) == 2e-5 and for_model(filled, small=True) is filled
    item = next(item for item in dataclasses.fields(kind()) if item.name == name)
    assert f"{small:g}" in explain(item) and f"{published:g}" in explain(item)
    assert given(item, 0.0) is given(item, blank(item)) is None and given(item, 2e-5) == 2e-5
    with pytest.raises(InvalidInput, match=f"expected {name} between"):
        check_settings(kind(**{name: -1e-3}))


def test_fine_tunes_and_surrogates_learn_at_the_models_rate(
    monkeypatch: pytest.MonkeyPatch, photos: list[Photo], tiny_model: DiffusionModel
) -> None:
    rates: list[float] = []
    start = Trainer.__init__

    def spy(self: Trainer, parameters: object, settings: TrainingSettings) -> None:
        rates.append(settings.learning_rate)
        start(self, parameters, settings)

    monkeypatch.setattr(Trainer, "__init__", spy)
    recipe, method = DreamBooth(steps=10, batch_size=1), EUDP(rounds=1, surrogate_steps=1, pgd_steps=1)
    plain = recipe.fit(photos[:1], tiny_model, "a photo of sks")
    method(photos[:1], tiny_model)
    monkeypatch.setattr("udp.models.base.SMALL_NETWORK", 1)
    careful = recipe.fit(photos[:1], tiny_model, "a photo of sks")
    method(photos[:1], tiny_model)
    assert rates == [1e-3, 1e-4, 5e-6, 5e-6]
    assert careful.weight_change < plain.weight_change / 20


def test_a_rate_of_0_never_reaches_the_optimiser() -> None:
    with pytest.raises(InvalidInput, match="expected a learning rate above 0, got 0"):
        Trainer(torch.nn.Linear(2, 2).parameters(), TrainingSettings(0.0))


def test_manifests_show_the_rate_that_was_used(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, model = str(photo_files[0].parent), ["--model", str(tiny_model_folder)]
    quick = ["--rounds", "1", "--surrogate-steps", "1", "--pgd-steps", "1"]
    assert main(["protect", source, "--out", str(tmp_path / "safe"), *quick, *model]) == 0
    settings = json.loads((tmp_path / "safe" / "manifest.json").read_text())["settings"]
    assert settings["surrogate_learning_rate"] == 1e-4
    attacked = ["attack", "--instance", source, "--out", str(tmp_path / "attack"), *model]
    assert main([*attacked, "--steps", "10", "--pictures", "1", "--sampling-steps", "2", "--guidance", "3"]) == 0
    manifest = json.loads((tmp_path / "attack" / "manifest.json").read_text())
    assert manifest["settings"]["learning_rate"] == 4e-3
    assert (manifest["trial"]["sampling_steps"], manifest["trial"]["guidance"]) == (2, 3.0)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        build_parser().parse_args(["attack", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for owner, rate in (
        ("lora", "0.004 / 0.0001"),
        ("dreambooth", "0.001 / 5e-06"),
        ("textual_inversion", "0.005 / 0.0005"),
    ):
        assert f"{rate} for {owner}" in text
    assert "default 3 for a small model such as the embedded one, 7.5 for Stable Diffusion's size" in text
    with pytest.raises(SystemExit):
        build_parser().parse_args(["protect", "--help"])
    surrogates = " ".join(capsys.readouterr().out.split())
    assert "0.0001 / 5e-06 (with surrogate adapters 0.004 / 0.0001) for eudp" in surrogates


def options_of(*arguments: str) -> argparse.Namespace:
    options = build_parser().parse_args([*arguments, "--out", "out"])
    apply_preset(PRESETS[options.preset], options)
    return options


def test_the_default_preset_is_what_the_recipes_assume() -> None:
    options, known = options_of("attack", "--instance", "photos"), PRESETS["object"]
    for kind in RECIPES.values():
        assert from_flags(kind, options) == kind()
    trial = Trial()
    assert (options.instance_prompt, options.prompt) == (trial.instance_prompt, trial.prompt)
    assert options_of("protect", "photos").prompt == options_of("evaluate", "photos").prompt == known.instance_prompt


def test_a_preset_sets_prompts_and_word_together() -> None:
    style = ("--preset", "style")
    options = options_of("attack", "--instance", "photos", *style)
    assert options.instance_prompt == options.prompt == "a painting in the style of sks"
    assert from_flags(TextualInversion, options).initial_word == "painting"
    lab = options_of("evaluate", "photos", *style)
    assert lab.prompt == "a painting in the style of sks"
    assert from_flags(TextualInversion, lab, "recipe-").initial_word == "painting"
    assert options_of("protect", "photos", *style).prompt == "a painting in the style of sks"


def test_flags_that_are_given_win_over_the_preset() -> None:
    flags = "--instance p --preset style --initial-word art --class-prompt art --instance-prompt"
    options = options_of("attack", *flags.split(), "art of qz")
    assert options.instance_prompt == options.prompt == "art of qz"
    assert from_flags(TextualInversion, options).initial_word == from_flags(LoRA, options).class_prompt == "art"
    assert options_of("attack", "--instance", "p", "--prompt", "a dog").prompt == "a dog"
    assert options_of("evaluate", "p", "--recipe-initial-word", "art").__dict__["recipe-initial_word"] == "art"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fits_textual_inversion(name: str, photos: list[Photo], tiny_model: DiffusionModel) -> None:
    preset = PRESETS[name]
    recipe = TextualInversion(steps=10, batch_size=1, initial_word=preset.initial_word)
    assert recipe.word in preset.prompt.split()
    assert recipe.fit(photos[:1], tiny_model, preset.instance_prompt).weight_change > 0
