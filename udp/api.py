"""Attacking in one call, for a notebook; `udp.protect` is the other half."""

from __future__ import annotations

from typing import Any

from udp import evaluate
from udp.errors import InvalidInput
from udp.evaluate import Report, Trial
from udp.finetune import RECIPES
from udp.metrics_pretrained import Pretrained, load_pretrained
from udp.models import DiffusionModel
from udp.projection import largest_difference
from udp.protect import RandomNoise
from udp.protect.quick import Photos, as_model, as_photos, with_settings
from udp.types import OnProgress, ignore_progress

# The smallest budget that the control accepts, in levels of 255.
LEAST_LEVELS = 2


def attack(
    clean: Photos,
    protected: Photos | None = None,
    model: str | DiffusionModel = "mini",
    recipe: str = "lora",
    trial: Trial | None = None,
    on_progress: OnProgress = ignore_progress,
    pretrained_metrics: bool | Pretrained = False,
    **settings: Any,
) -> Report:
    """Fine-tune on the clean photos, on random noise of the same budget and on the protected ones, and compare.

    `protected` are the same photos in the same order; without them the clean photos are fine-tuned on alone. `settings`
    are the fields of the recipe, such as `steps=300`; `trial` holds prompts, seeds and sampling. The report has an arm
    a set of photos (`report.arm("protected").images`, uint8) and says in `report.verdict` what the controls allow to
    say. `pretrained_metrics` adds CLIP and DINOv2 figures: True takes the usual models, which are downloaded unless they
    are here, and what `udp.metrics_pretrained.load_pretrained` gives takes others. Raises `InvalidInput` for unknown
    recipes, settings or photos that do not match, `NothingLearned` if a fine-tune changed nothing, and
    `ModelUnavailable`.
    """
    if recipe not in RECIPES:
        raise InvalidInput(f"expected a recipe among {', '.join(RECIPES)}, got {recipe!r}")
    model, chosen = as_model(model), with_settings(RECIPES[recipe], settings)
    pretrained = load_pretrained() if pretrained_metrics is True else pretrained_metrics
    trial = trial or Trial.for_model(model)
    arms = {"clean": as_photos(clean)}
    if protected is not None:
        after = as_photos(protected)
        if [photo.size for photo in after] != [photo.size for photo in arms["clean"]]:
            raise InvalidInput("expected protected photos of the same number, order and sizes as the clean ones")
        levels = max(largest_difference(a.pixels, b.pixels) for a, b in zip(arms["clean"], after, strict=True))
        noise = RandomNoise(budget=max(levels, LEAST_LEVELS) / 255)
        arms["random"] = noise(arms["clean"], model, trial.instance_prompt, trial.seed)
        arms["protected"] = after
    return evaluate.attack(arms, model, chosen, trial, on_progress, pretrained or None)
