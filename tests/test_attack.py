"""Fine-tuning recipes and the trial: they learn, they are fair, and they notice when nothing happened."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import torch

from udp.errors import InvalidInput, NothingLearned, Stopped
from udp.evaluation.bench import Bench, run_trial
from udp.evaluation.found import FoundPhotos, found_photos
from udp.evaluation.metrics.features import clean_loss
from udp.evaluation.trial import Trial
from udp.imitation.recipes import RECIPES, DreamBooth, LoRA, TextualInversion
from udp.imitation.recipes.base import Recipe
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.progress import Progress
from udp.protection.methods import RandomNoise
from udp.settings import for_model

QUICK = {"cat": {"autoencoder_steps": 20}, "noise_word": {"class_images": 4}}
TABLE: dict[str, Recipe] = {
    name: kind(steps=30, batch_size=3, learning_rate=2e-3, **QUICK.get(name, {})) for name, kind in RECIPES.items()
}
each_recipe = pytest.mark.parametrize("recipe", TABLE.values(), ids=TABLE)
SMALL = Trial(pictures=2, sampling_steps=3)


@each_recipe
def test_it_learns_and_leaves_the_base_alone(recipe: Recipe, tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    before = [p.detach().clone() for p in tiny_model.network.parameters()]
    tuned = recipe.fit(photos, tiny_model, "a photo of sks")
    assert tuned.weight_change > 0 and len(tuned.losses) == recipe.steps
    # At fixed timesteps and noise: the losses of the steps themselves differ mostly by what each drew.
    untuned = tiny_model.seen_through(tuned.model)  # the same latents for both
    first, last = (
        clean_loss(model, network, photos, "a photo of sks")
        for model, network in ((untuned, tiny_model.network), (tuned.model, tuned.network))
    )
    assert last < first
    assert all(torch.equal(a, b) for a, b in zip(before, tiny_model.network.parameters(), strict=True))
    assert not any("lora" in name for name, _ in tiny_model.network.named_modules())


@each_recipe
def test_same_seed_same_pictures(recipe: Recipe, tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    recipe = dataclasses.replace(recipe, steps=10)
    torch.manual_seed(1)
    first = run_trial({"clean": photos}, tiny_model, recipe, SMALL)
    torch.manual_seed(2)
    second = run_trial({"clean": photos}, tiny_model, recipe, SMALL)
    assert first.arms[0].losses == second.arms[0].losses
    assert all(np.array_equal(a, b) for a, b in zip(first.arms[0].images, second.arms[0].images, strict=True))
    assert first.arms[0].metrics == second.arms[0].metrics


def test_arms_with_equal_photos_come_out_equal(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    """Fairness: the arm's name and place in the order must change nothing."""
    report = run_trial({"clean": photos, "random": photos}, tiny_model, LoRA(steps=10), SMALL)
    clean, other = report.arms
    assert clean.losses == other.losses
    assert all(np.array_equal(a, b) for a, b in zip(clean.images, other.images, strict=True))


def test_progress_shows_every_arm_and_never_goes_back(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    seen: list[Progress] = []
    noisy = RandomNoise()(photos, tiny_model)
    run_trial({"clean": photos, "random": noisy}, tiny_model, LoRA(steps=10), SMALL, seen.append)
    assert [p.overall for p in seen] == sorted(p.overall for p in seen) and seen[-1].overall == 1
    finished = [p for p in seen if p.images]
    assert [p.arm for p in finished] == ["base", "clean", "random"] and all(len(p.images) == 2 for p in finished)


def test_it_stops_when_asked(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "fine-tuning" and progress.done == 3:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        run_trial({"clean": photos}, tiny_model, LoRA(steps=10), SMALL, stop)


@dataclasses.dataclass(frozen=True)
class Lazy(Recipe):
    """A recipe whose training never reaches the weights, as a peer's users once had without noticing."""

    name: ClassVar[str] = "lazy"
    title: ClassVar[str] = "lazy"
    reference: ClassVar[str] = "test"

    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        return model.copy_network()

    def weight_change(self, model: DiffusionModel, unet: torch.nn.Module, words: DiffusionModel) -> float:
        return 0.0


def test_a_fine_tune_that_changed_nothing_is_an_error(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    with pytest.raises(NothingLearned, match="relative change of 0"):
        Lazy(steps=10).fit(photos, tiny_model, "a photo of sks")


def test_no_photos_and_no_arms_are_refused(tiny_model: DiffusionModel) -> None:
    with pytest.raises(InvalidInput, match="at least one photo"):
        LoRA(steps=10).fit([], tiny_model, "a")
    with pytest.raises(InvalidInput, match="at least one arm"):
        run_trial({}, tiny_model, LoRA(steps=10))


def test_seeds_repeat_the_trial_and_give_mean_and_spread(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    arms = {"clean": photos}
    trial = dataclasses.replace(SMALL, seeds=2, seed=5)
    seen: list[Progress] = []
    report = run_trial(arms, tiny_model, LoRA(steps=10), trial, seen.append)
    assert [p.overall for p in seen] == sorted(p.overall for p in seen) and seen[-1].overall == 1
    second = run_trial({"clean": photos}, tiny_model, LoRA(steps=10), dataclasses.replace(SMALL, seed=6))
    clean = report.arm("clean")
    assert len(clean.images) == 4 and len(clean.runs) == 2 and len(clean.losses) == 10
    assert clean.metrics["blur"] == pytest.approx(np.mean([run["blur"] for run in clean.runs]))
    assert clean.spread["final_training_loss"] > 0 and second.arm("clean").spread == {}
    assert clean.runs[1]["final_training_loss"] == second.arm("clean").metrics["final_training_loss"]
    assert trial.picture_seeds(0) == [5, 6] and trial.picture_seeds(1) == [7, 8]


def test_unprotected_share_swaps_in_clean_photos(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    noisy = RandomNoise()(photos, tiny_model)
    arms = {"clean": photos, "protected": noisy}
    for share, count in ((0.0, 0), (0.34, 1), (1.0, 3)):
        found = found_photos(arms, share)
        same = [np.array_equal(a.pixels, b.pixels) for a, b in zip(found["protected"], photos, strict=True)]
        assert same == [True] * count + [False] * (3 - count)
    report = run_trial(arms, tiny_model, LoRA(steps=10), dataclasses.replace(SMALL, unprotected_share=1.0))
    assert report.arm("protected").losses == report.arm("clean").losses
    with pytest.raises(InvalidInput, match="expected a clean arm"):
        FoundPhotos({"protected": noisy}, tiny_model, Trial(unprotected_share=0.5))


def test_cleaning_meets_every_arm_alike(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    arms = {"clean": photos, "random": photos}
    found = FoundPhotos(arms, tiny_model, Trial(cleaning="noise+jpeg75"))
    for a, b, original in zip(found.of("clean"), found.of("random"), photos, strict=True):
        assert np.array_equal(a.pixels, b.pixels) and not np.array_equal(a.pixels, original.pixels)


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (Trial(unprotected_share=1.5), "unprotected_share between 0 and 1"),
        (Trial(seeds=0), "expected seeds between 1 and 100, got 0"),
        (Trial(pictures=2.5), "expected pictures to be a whole number, got 2.5"),
        (Trial(guidance=-5), "expected guidance between 0 and 30, got -5"),
        (Trial(guidance="much"), "expected guidance between 0 and 30, got 'much'"),
        (Trial(cleaning="soap"), "got 'soap'"),
    ],
)
def test_a_bad_trial_is_refused(trial: Trial, words: str, tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    with pytest.raises(InvalidInput, match=words):
        run_trial({"clean": photos}, tiny_model, LoRA(steps=10), trial)


@pytest.mark.parametrize("settings", [{}, {"train_text_encoder": True}], ids=["frozen text", "text that learns"])
def test_a_filmstrip_shows_what_is_learned_and_changes_nothing(
    tiny_model: DiffusionModel, photos: list[Photo], settings: dict[str, bool]
) -> None:
    recipe, seen, film = DreamBooth(steps=12, batch_size=2, **settings), [], []
    trial = dataclasses.replace(SMALL, prompt="a photo of sks")
    plain = run_trial({"clean": photos, "random": photos[:2]}, tiny_model, recipe, trial, seen.append)
    filmed = run_trial({"clean": photos, "random": photos[:2]}, tiny_model, recipe, trial, film.append, filmstrip=True)
    for one, other in zip(plain.arms, filmed.arms, strict=True):
        assert one.losses == other.losses and one.metrics == other.metrics
        assert all(np.array_equal(a, b) for a, b in zip(one.images, other.images, strict=True))
    glimpses = [progress for progress in film if progress.glimpse is not None]
    for arm in ("clean", "random"):  # at the same time, on a machine with several cores
        assert [(p.done, p.total) for p in glimpses if p.arm == arm] == [(4, 12), (8, 12)]
    early, late = (progress.glimpse for progress in glimpses if progress.arm == "clean")
    assert early.dtype == np.uint8 and early.shape == plain.arms[0].images[0].shape and not np.array_equal(early, late)
    assert not any(progress.glimpse is not None for progress in seen)
    shares = [progress.overall for progress in film]
    assert shares == sorted(shares)


def test_the_filmstrip_draws_nothing_from_the_global_state(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    bench = Bench.start(tiny_model, photos, for_model(SMALL, True))
    bench.train("clean", photos, for_model(TextualInversion(steps=10), True), filmstrip=True)
    assert torch.equal(torch.get_rng_state(), before)
