"""Imitators who train against protections: an autoencoder that learns the photos first, and a word for the noise."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.families import pipeline
from udp.errors import InvalidInput
from udp.evaluation import bench
from udp.evaluation.bench import run_trial
from udp.evaluation.trial import Trial
from udp.imitation.recipes import CAT, DreamBooth, NoiseWord
from udp.imitation.recipes.cat import SIGHT_STEP
from udp.models.base import DiffusionModel
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import FAMILIES, load_model
from udp.photos import Photo
from udp.progress import Progress, Stage
from udp.tensors import to_tensor

PROMPT = "a photo of sks"


def family(name: str) -> DiffusionModel:
    built = pipeline(name)
    return FAMILIES[type(built).__name__](name, built)


def squares_of(model: DiffusionModel, photos: list[Photo]) -> torch.Tensor:
    return model.prepare([to_tensor(photo.pixels)[None] for photo in photos])


@torch.no_grad()
def error(model: DiffusionModel, squares: torch.Tensor) -> float:
    return float((model.decode(model.encode(squares)) - squares).square().mean())


@pytest.mark.parametrize("name", ["embedded", "sd1", "sd3"])
def test_the_autoencoder_learns_the_photos_and_the_base_keeps_its_own(
    name: str, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    model = tiny_model if name == "embedded" else family(name)
    squares, heard = squares_of(model, photos), []
    before = [tensor.clone() for tensor in model.vae.state_dict().values()]
    own = CAT(autoencoder_steps=40, autoencoder_learning_rate=1e-2, batch_size=3).sight(model, squares, 0, heard.append)
    assert error(own, squares) < 0.9 * error(model, squares)
    assert all(torch.equal(a, b) for a, b in zip(before, model.vae.state_dict().values(), strict=True))
    assert own.vae.state_dict().keys() == model.vae.state_dict().keys(), "adapters are folded in"
    assert not any(parameter.requires_grad for parameter in own.vae.parameters())
    assert [progress.done for progress in heard][-1] == 40 and heard[0].total == 40


def test_the_fine_tune_and_its_pictures_go_through_what_was_learned(
    tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    recipe = CAT(steps=10, autoencoder_steps=10, autoencoder_learning_rate=1e-2)
    heard: list[Progress] = []
    tuned = recipe.fit(photos, tiny_model, PROMPT, on_progress=heard.append, arm="clean")
    plain = DreamBooth(steps=10).fit(photos, tiny_model, PROMPT)
    assert tuned.losses != plain.losses, "other latents"
    again = recipe.fit(photos, tiny_model, PROMPT)
    assert tuned.losses == again.losses and {progress.arm for progress in heard} == {"clean"}
    shares = [progress.overall for progress in heard]
    assert shares == sorted(shares) and shares[-1] == 1, "one bar for both parts"
    assert {progress.stage for progress in heard if progress.loss is None} == {Stage.ADAPTING}
    squares = squares_of(tiny_model, photos)
    saved = load_model(str(recipe.save(tuned, tmp_path)))
    assert error(saved, squares) == pytest.approx(error(tuned.model, squares)) != error(tiny_model, squares)
    seen = tuned.model.seen_through(tiny_model)
    assert seen.vae is tiny_model.vae and tuned.model.vae is not tiny_model.vae
    assert torch.equal(seen.encode(squares), tiny_model.encode(squares)), (
        "losses of all arms are about the same latents"
    )


def test_class_images_are_the_base_models_own(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    prior = CAT.prior
    monkeypatch.setattr(CAT, "prior", lambda self, model, *given: asked.append(model) or prior(self, model, *given))
    recipe = CAT(steps=10, autoencoder_steps=10, prior_preservation="yes", class_images=2)
    recipe.fit(photos, tiny_model, PROMPT)
    assert asked == [tiny_model]


def test_an_arm_counts_the_steps_of_the_autoencoder() -> None:
    assert (
        CAT(steps=10, autoencoder_steps=100).arm_steps == 10 + 100 * SIGHT_STEP and DreamBooth(steps=10).arm_steps == 10
    )


@pytest.mark.parametrize("recipe", [CAT(steps=10), NoiseWord(steps=10)], ids=lambda recipe: recipe.name)
def test_a_model_of_pixels_is_refused_before_any_work(recipe: DreamBooth, photos: list[Photo]) -> None:
    model = family("ddpm")
    expected = "expected a model with an autoencoder" if recipe.name == "cat" else "expected a model that takes prompts"
    with pytest.raises(InvalidInput, match=expected):
        recipe.check_prompts(model, "", "")
    with pytest.raises(InvalidInput, match=expected):
        recipe.fit(photos, model, "")


def test_the_noise_has_a_word_and_class_images_are_without_it(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_model.suited(NoiseWord(steps=10, class_images=2, class_prompt="a toy", noise_word="xjy"))
    assert recipe.prompts_of(photos[:2], tiny_model, PROMPT) == [f"{PROMPT} with xjy noise"] * 2
    named = [dataclasses.replace(photo, caption="a dog") for photo in photos[:1]]
    assert recipe.prompts_of(named, tiny_model, PROMPT) == ["a dog with xjy noise"]
    prior = recipe.prior(tiny_model, 0, lambda progress: None)
    assert prior.prompt == "a toy without xjy noise" and len(prior.latents) == 2
    asked = []
    embed = type(tiny_model).embed
    monkeypatch.setitem(vars(tiny_model), "embed", lambda prompt: asked.append(prompt) or embed(tiny_model, prompt))
    recipe.fit(photos[:1], tiny_model, PROMPT)
    assert {f"{PROMPT} with xjy noise", "a toy without xjy noise"} <= {*asked}
    with pytest.raises(InvalidInput, match="expected"):
        NoiseWord(steps=10, noise_word="狗").fit(photos, tiny_model, PROMPT)
    with pytest.raises(InvalidInput, match="a word for the noise, got none"):
        NoiseWord(steps=10, noise_word=" ").fit(photos, tiny_model, PROMPT)


def test_pictures_are_asked_for_without_the_noise(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    made = bench.generate

    def generate(model, network, prompt, *given):
        asked.append(prompt)
        return made(model, network, prompt, *given)

    monkeypatch.setattr(bench, "generate", generate)
    trial = Trial(PROMPT, PROMPT, pictures=1, sampling_steps=1)
    run_trial({"clean": photos}, tiny_model, NoiseWord(steps=10, class_images=2), trial)
    assert asked == [PROMPT, f"{PROMPT} without xjy noise"], "the base is asked as ever"


def test_a_caption_that_leaves_no_room_for_the_word_is_refused(photos: list[Photo]) -> None:
    model = family("sd1")
    captioned = [dataclasses.replace(photos[0], caption=" ".join(["toy"] * (model.tokenizers[0].model_max_length - 4)))]
    with pytest.raises(InvalidInput, match="expected a prompt"):
        NoiseWord(steps=10).prompts_of(captioned, model, PROMPT)
