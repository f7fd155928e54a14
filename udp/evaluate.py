"""The attack as a fair trial: arms that differ in their photos and in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from udp.errors import InvalidInput, NothingLearned
from udp.finetune import Recipe
from udp.generate import generate
from udp.metrics import clean_loss, diversity, features, noise_level, similarity
from udp.models import LatentDiffusionModel
from udp.types import OnProgress, Photo, Progress, ignore_progress

# One sampling step of a batch with guidance costs about as much as one training step.
FINAL_SHARE = 20


@dataclass(frozen=True)
class Trial:
    """What the imitator does, besides choosing a recipe: prompts, seeds and how pictures are sampled."""

    instance_prompt: str = "a photo of sks"
    prompt: str = "a photo of sks"
    seed: int = 0
    pictures: int = 4
    sampling_steps: int = 20
    guidance: float = 2.0


@dataclass(frozen=True)
class Arm:
    """The outcome for one set of photos: generated pictures (uint8), training losses and figures (`metrics`)."""

    name: str
    images: tuple[np.ndarray, ...]
    losses: tuple[float, ...]
    metrics: dict[str, float]


@dataclass(frozen=True)
class Report:
    """Arms in the order they were run, the base model's own pictures as `base`, and a sentence on what was seen."""

    base: Arm
    arms: tuple[Arm, ...]
    verdict: str

    def arm(self, name: str) -> Arm | None:
        """The arm called `name`, if it was run."""
        return next((arm for arm in self.arms if arm.name == name), None)


def attack(
    arms: Mapping[str, Sequence[Photo]],
    model: LatentDiffusionModel,
    recipe: Recipe,
    trial: Trial | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Report:
    """Fine-tune a copy of `model` on every arm's photos and sample each, with the same seeds, steps and prompts.

    `arms` maps names to photos; the arm "clean" is the reference for the figures, and without it the first arm is.
    Raises `NothingLearned` if a fine-tune left weights or pictures unchanged.
    """
    trial = trial or Trial()
    if not arms:
        raise InvalidInput("expected at least one arm of photos, got none")
    reference = arms.get("clean") or next(iter(arms.values()))
    seeds = [trial.seed + index for index in range(trial.pictures)]
    unit = recipe.steps + trial.sampling_steps
    total = unit * len(arms) + trial.sampling_steps

    def sample(unet, offset: int, name: str) -> list[np.ndarray]:
        return generate(
            model, unet, trial.prompt, seeds, trial.sampling_steps, trial.guidance,
            lambda p: on_progress(Progress(p.stage, p.done, p.total, None, name, (offset + p.done) / total)), name,
        )  # fmt: skip

    before = sample(model.unet, 0, "base")
    real, origin_features = features(model, [p.pixels for p in reference]), features(model, before)
    origin = origin_features.mean(0)

    def figures(unet, images: Sequence[np.ndarray]) -> dict[str, float]:
        found = features(model, images)
        return {
            "clean_loss": round(clean_loss(model, unet, reference, trial.instance_prompt), 4),
            "similarity": round(similarity(found, real, origin), 3),
            "diversity": round(diversity(found), 3),
            "noise_level": round(noise_level(images), 2),
        }

    base = Arm("base", tuple(before), (), figures(model.unet, before))
    results = []
    for index, (name, photos) in enumerate(arms.items()):
        offset = trial.sampling_steps + unit * index

        def report(p: Progress, offset: int = offset, name: str = name) -> None:
            on_progress(Progress(p.stage, p.done, p.total, p.loss, name, (offset + p.done) / total))

        tuned = recipe.fit(photos, model, trial.instance_prompt, trial.seed, report, name)
        images = sample(tuned.unet, offset + recipe.steps, name)
        if all(np.array_equal(a, b) for a, b in zip(images, before, strict=True)):
            raise NothingLearned(
                f"expected fine-tuning on {name!r} to change the generated pictures, got the same ones"
            )
        tail = max(1, len(tuned.losses) // 5)
        metrics = figures(tuned.unet, images)
        metrics["final_training_loss"] = round(float(np.mean(tuned.losses[-tail:])), 4)
        metrics["weight_change"] = round(tuned.weight_change, 5)
        results.append(Arm(name, tuple(images), tuned.losses, metrics))
        on_progress(Progress("finished", 1, 1, None, name, (offset + unit) / total, tuple(images)))
    return Report(base, tuple(results), verdict(base, results))


def learned(base: Arm, arm: Arm, clean: Arm) -> float:
    """How much of what the clean arm learned about the real photos this arm learned too (1 = all, 0 = nothing).

    The drop of the denoising loss on the clean photos, over the clean arm's drop; negative if the arm knows less than
    the base model did.
    """
    gain = base.metrics["clean_loss"] - clean.metrics["clean_loss"]
    return (base.metrics["clean_loss"] - arm.metrics["clean_loss"]) / gain if gain > 0 else float("nan")


def verdict(base: Arm, arms: Sequence[Arm]) -> str:
    """One honest sentence: controls decide, and a trial whose clean arm learned nothing decides nothing."""
    by_name = {arm.name: arm for arm in arms}
    clean, random, protected = (by_name.get(name) for name in ("clean", "random", "protected"))
    if clean is None or protected is None:
        return "No verdict: a comparison needs a clean and a protected arm."
    drop = 1 - clean.metrics["clean_loss"] / base.metrics["clean_loss"]
    if drop < 0.1:
        return f"No verdict: fine-tuning on the clean photos hardly learned them (loss down {drop:.0%}). Train longer."
    share = learned(base, protected, clean)
    noise = learned(base, random, clean) if random else None
    beside = f", random noise of the same budget left {noise:.0%}" if noise is not None else ""
    found = f"the imitator learned {max(0.0, share):.0%} of what the clean photos teach{beside}"
    if noise is not None and share > noise - 0.1:
        return f"The protection did not beat random noise: {found}."
    if share < 0.5:
        return f"The protection held in this trial: {found}."
    return f"The protection hindered the imitator but did not stop it: {found}."
