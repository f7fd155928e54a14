"""What each recipe promises beyond learning: files that diffusers reads, words, priors, timesteps, float32 masters."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from tests.families import SIDE, build
from udp.cli.flags import shown_default
from udp.errors import InvalidInput
from udp.imitation.recipes import DreamBooth, LoRA, TextualInversion
from udp.imitation.recipes.base import FineTuned, Recipe, evenly_drawn
from udp.imitation.recipes.lora import KOHYA_FILE
from udp.models.base import DiffusionModel, side_by_side
from udp.models.loading import load_model
from udp.models.loss import DenoisingLoss
from udp.models.sampling import generate
from udp.models.training import Trainer, TrainingSettings
from udp.photos import Photo
from udp.protection.methods import AdvDM
from udp.settings import check_settings, explain, for_model
from udp.tensors import to_pixels
from udp.ui.state.work import MINI_STEPS, protection_units

PROMPT = "a photo of sks"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {name: build(name, root / name) for name in ("sd1", "sdxl", "ddpm")}


@pytest.fixture(scope="module")
def sd1(folders: dict[str, Path]) -> DiffusionModel:
    return load_model(str(folders["sd1"]))


def theirs(pipeline: DiffusionPipeline, prompt: str = PROMPT, **more) -> np.ndarray:
    generator = torch.Generator().manual_seed(3)
    (image,) = pipeline(
        prompt,
        height=SIDE,
        width=SIDE,
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=generator,
        output_type="pt",
        **more,
    ).images
    return to_pixels(image).astype(int)


def ours(model: DiffusionModel, unet: torch.nn.Module, prompt: str = PROMPT) -> np.ndarray:
    return generate(model, unet, prompt, [3], steps=3, guidance=3.0)[0].astype(int)


def state(*modules: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for module in modules for p in module.parameters()]


def same(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_adapters_load_in_diffusers_and_give_the_same_pictures(
    family: str, folders: dict[str, Path], photos: list[Photo], tmp_path: Path
) -> None:
    model = load_model(str(folders[family]))
    recipe = LoRA(steps=10, learning_rate=1e-2, rank=4, train_text_encoder=True)
    tuned = recipe.fit(photos, model, PROMPT)
    recipe.save(tuned, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [KOHYA_FILE, "pytorch_lora_weights.safetensors"]
    assert recipe.files(tuned) == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    pipeline = DiffusionPipeline.from_pretrained(folders[family], use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    base = theirs(pipeline)
    pipeline.load_lora_weights(tmp_path, adapter_name="subject")
    learned = theirs(pipeline)
    assert np.abs(learned - ours(tuned.model, tuned.network)).max() <= 1 < np.abs(learned - base).max()
    pipeline.set_adapters("subject", 0.0)
    assert np.array_equal(theirs(pipeline), base)
    pipeline.delete_adapters("subject")
    pipeline.load_lora_weights(tmp_path, weight_name=KOHYA_FILE, adapter_name="other")
    assert np.abs(theirs(pipeline).astype(int) - learned).max() <= 1
    names = list(load_file(tmp_path / KOHYA_FILE))
    text = "lora_te1_" if family == "sdxl" else "lora_te_"
    assert f"{text}text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight" in names
    assert any(name.startswith("lora_unet_down_blocks_") and name.endswith(".alpha") for name in names)


def test_a_word_is_learned_and_nothing_else(
    sd1: DiffusionModel, folders: dict[str, Path], photos: list[Photo], tmp_path: Path
) -> None:
    before = state(*sd1.modules)
    recipe = TextualInversion(steps=10, learning_rate=5e-2)
    tuned = recipe.fit(photos, sd1, PROMPT)
    assert same(before, state(*sd1.modules)) and tuned.weight_change > 0 and tuned.network is sd1.network
    assert np.array_equal(ours(tuned.model, tuned.network, "a toy"), ours(sd1, sd1.network, "a toy"))
    learned = ours(tuned.model, tuned.network)
    assert np.abs(learned - ours(sd1, sd1.network)).max() > 0
    pipeline = DiffusionPipeline.from_pretrained(folders["sd1"], use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    # In this tiny vocabulary "sks" is a token already, so diffusers needs another name for the learned one.
    recipe.save(tuned, tmp_path)
    pipeline.load_textual_inversion(tmp_path, weight_name="learned_embeds.safetensors", token="<subject>")
    assert np.abs(theirs(pipeline, "a photo of <subject>") - learned).max() <= 1


def test_a_word_outside_the_vocabulary_gets_a_token(sd1: DiffusionModel, photos: list[Photo]) -> None:
    tuned = TextualInversion(steps=10, word="qzxv", learning_rate=5e-2).fit(photos, sd1, "a photo of qzxv")
    assert len(tuned.model.tokenizers[0]("qzxv", add_special_tokens=False).input_ids) == 1
    assert len(sd1.tokenizers[0]("qzxv", add_special_tokens=False).input_ids) > 1


def test_text_needs_prompts_and_words_need_to_be_in_them(
    sd1: DiffusionModel, folders: dict[str, Path], photos: list[Photo], tmp_path: Path
) -> None:
    ddpm = load_model(str(folders["ddpm"]))
    with pytest.raises(InvalidInput, match="takes no prompts"):
        TextualInversion(steps=10).fit(photos, ddpm, PROMPT)
    with pytest.raises(InvalidInput, match="expected a prompt with the word 'sks'"):
        TextualInversion(steps=10).fit(photos, sd1, "a photo of a toy")
    recipe = LoRA(steps=10, scope="attention")
    with pytest.raises(InvalidInput, match="got DDPMPipeline"):
        recipe.save(recipe.fit(photos, ddpm, ""), tmp_path)


def test_dreambooth_trains_its_own_text_encoder_and_saves_a_pipeline(
    sd1: DiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    before = state(*sd1.modules)
    recipe = DreamBooth(steps=10, train_text_encoder=True)
    tuned = recipe.fit(photos, sd1, PROMPT)
    assert same(before, state(*sd1.modules))
    assert not same(state(sd1.text_encoder), state(tuned.model.text_encoder))
    assert not torch.equal(tuned.model.embed(PROMPT), sd1.embed(PROMPT))
    loaded = load_model(str(recipe.save(tuned, tmp_path / "tuned")))
    assert np.array_equal(ours(loaded, loaded.network), ours(tuned.model, tuned.network))


def test_prior_preservation_keeps_the_class(sd1: DiffusionModel, photos: list[Photo]) -> None:
    settings = {"steps": 30, "learning_rate": 3e-3, "prior_weight": 2.0, "class_prompt": "a toy", "class_images": 3,
                "batch_size": 4}  # fmt: skip
    plain, kept = (DreamBooth(prior_preservation=choice, **settings) for choice in ("no", "yes"))
    prior = kept.prior(sd1, 0, lambda progress: None)
    assert prior.latents.shape[0] == 3 and prior.prompt == "a toy" and plain.prior(sd1, 0, print) is None

    def class_loss(tuned: FineTuned) -> float:
        loss = DenoisingLoss(sd1, sd1.embed("a toy"), sd1.schedule.usual_timesteps())
        with torch.no_grad():
            return float(loss(tuned.network, prior.latents.repeat(8, 1, 1, 1), torch.Generator().manual_seed(5)))

    assert class_loss(kept.fit(photos, sd1, PROMPT)) < class_loss(plain.fit(photos, sd1, PROMPT))


def test_without_prompts_or_a_base_there_is_no_prior_to_keep(folders: dict[str, Path], sd1: DiffusionModel) -> None:
    ddpm = load_model(str(folders["ddpm"]))
    kept = DreamBooth(prior_preservation="yes", class_images=40)
    assert kept.prior(ddpm, 0, print) is None
    assert dataclasses.replace(kept, from_scratch=True).prior(sd1, 0, print) is None
    # Of a small model 16 at a time and 20 steps, of a large one as many as photos.
    assert for_model(kept, small=True).sampling_before(True, 50) == 60
    assert for_model(kept, small=False).sampling_before(False, 50) == 500


@pytest.mark.parametrize(
    ("recipe", "mini", "pixel"),
    [
        (DreamBooth(), (3e-3, 4), (1e-3, 8)),
        (DreamBooth(from_scratch=True), (1e-3, 8), (1e-3, 8)),
        (LoRA(), (4e-3, 4), (4e-3, 8)),
        (TextualInversion(), (5e-3, 8), (5e-3, 8)),
        (DreamBooth(learning_rate=1e-4, batch_size=2), (1e-4, 2), (1e-4, 2)),
    ],
    ids=["dreambooth", "from random weights", "lora", "textual inversion", "asked for"],
)
def test_the_embedded_model_learns_at_rates_of_its_own(
    recipe: Recipe, mini: tuple[float, int], pixel: tuple[float, int]
) -> None:
    """Its weights were moved to where fine-tunes are quick; other small models, and random weights, begin elsewhere."""
    model = load_model("mini")
    copied = model.with_network(model.copy_network())
    for one, expected in ((model, mini), (copied, mini), (load_model("mini-pixel"), pixel)):
        suited = one.suited(recipe)
        assert (suited.learning_rate, suited.batch_size) == expected


def test_the_embedded_models_rate_is_in_what_people_read() -> None:
    found = {item.name: item for item in dataclasses.fields(DreamBooth)}
    assert "(0.003 for the embedded one without from_scratch)" in explain(found["learning_rate"])
    assert shown_default(found["learning_rate"]).startswith("0.003 with mini without from_scratch, 0.001 / 5e-06")
    assert shown_default(found["batch_size"]).startswith("4 with mini without from_scratch, 8 / 4")


def test_a_step_of_protection_counts_for_more_where_fine_tunes_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    one = AdvDM(pgd_steps=100)
    assert protection_units(one, 4, "mini") == pytest.approx(MINI_STEPS * protection_units(one, 4, "mini-pixel"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert protection_units(one, 4, "mini") == protection_units(one, 4, "mini-pixel")


def test_a_prior_is_kept_when_asked_and_batches_follow_the_model() -> None:
    assert for_model(DreamBooth(), small=True) == DreamBooth(
        learning_rate=1e-3, batch_size=8, prior_preservation="no", prior_weight=0.2
    )
    large = for_model(LoRA(), small=False)
    assert (large.prior_preservation, large.prior_weight) == ("no", 1.0) and large.sampling_before(False, 50) == 0
    assert large.batch_size == 4
    assert for_model(LoRA(prior_preservation="yes"), small=True).sampling_before(True, 20) == 80
    with pytest.raises(InvalidInput, match="expected prior_preservation to be one of yes, no, got 'maybe'"):
        check_settings(DreamBooth(prior_preservation="maybe"))


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_two_prompts_in_one_batch_predict_as_each_alone(folders: dict[str, Path], family: str) -> None:
    model = load_model(str(folders[family]))
    noisy = torch.randn(3, model.network.config.in_channels, 16, 16, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([10, 500, 900])
    together = model.denoise(
        model.network, noisy, timesteps, side_by_side([(model.embed("a toy"), 2), (model.embed(""), 1)])
    )
    for rows, text in ((slice(0, 2), "a toy"), (slice(2, 3), "")):
        alone = model.denoise(model.network, noisy[rows], timesteps[rows], model.embed(text))
        assert torch.allclose(together[rows], alone, atol=1e-4)
    assert not torch.allclose(
        together[2:], model.denoise(model.network, noisy[2:], timesteps[2:], model.embed("a toy")), atol=1e-4
    )


def test_first_timestep_leaves_the_low_ones_out(sd1: DiffusionModel, photos: list[Photo]) -> None:
    drawn = sd1.schedule.usual_timesteps(0.6).sample(500, torch.Generator().manual_seed(0))
    assert 600 <= drawn.min() < 610 and 990 < drawn.max() <= 999
    low, high = (DreamBooth(steps=10, first_timestep=first).fit(photos, sd1, PROMPT) for first in (0.0, 0.9))
    assert low.losses != high.losses


@pytest.mark.parametrize(("total", "count"), [(5, 8), (3, 8), (1, 4), (8, 8), (20, 8)])
def test_no_photo_is_drawn_oftener_than_the_others(total: int, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [evenly_drawn(total, count, generator) for _ in range(50)]
    for batch in batches:
        times = torch.bincount(batch, minlength=total)
        assert len(batch) == count and times.max() - times.min() <= 1
    assert len({tuple(batch.tolist()) for batch in batches}) > (0 if total == 1 else 3)


def test_mirror_images_are_learned_only_when_asked(sd1: DiffusionModel, photos: list[Photo]) -> None:
    mirrored = [dataclasses.replace(photo, pixels=np.ascontiguousarray(photo.pixels[:, ::-1])) for photo in photos]
    plain, flipped, both = (
        DreamBooth(steps=10, random_flip=flip).fit(shown, sd1, PROMPT).losses
        for flip, shown in ((False, photos), (True, photos), (False, [*photos, *mirrored]))
    )
    assert flipped == pytest.approx(both, rel=1e-4) and flipped != pytest.approx(plain, rel=1e-2)
    assert TextualInversion().random_flip and not (DreamBooth().random_flip or LoRA().random_flip)  # as published


def test_from_scratch_starts_at_random_weights_of_its_seed(folders: dict[str, Path], photos: list[Photo]) -> None:
    model = load_model(str(folders["ddpm"]))
    recipe = DreamBooth(steps=10, from_scratch=True)
    first, again, other = (recipe.trainable(model, seed) for seed in (1, 1, 2))
    assert same(state(first), state(again)) and not same(state(first), state(other))
    assert not same(state(first), state(model.network))
    losses = recipe.fit(photos, model, "").losses
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_bfloat16_weights_do_not_move_and_ours_do(folders: dict[str, Path], photos: list[Photo]) -> None:
    """At 5e-7, what public surrogates use, an update is far below half a step of bfloat16."""
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = torch.optim.AdamW([weight], lr=5e-7, weight_decay=0)
    for _ in range(20):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert torch.equal(weight, torch.ones_like(weight)), "this is why there are float32 master weights"
    with pytest.raises(InvalidInput, match="float32 master weights"):
        Trainer([weight], TrainingSettings(5e-7))
    model = load_model(str(folders["sd1"]), torch.bfloat16)
    assert model.network.dtype == torch.bfloat16
    for recipe in (LoRA(steps=10, learning_rate=5e-7), DreamBooth(steps=10, learning_rate=5e-7)):
        tuned = recipe.fit(photos, model, PROMPT)
        assert tuned.weight_change > 0 and np.isfinite(tuned.losses).all()
