"""Sampling pictures from a base model or a fine-tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.models.memory import enough_memory
from udp.progress import OnProgress, Progress, Stage, ignore_progress
from udp.settings import BySize
from udp.tensors import to_pixels

# Large models get the defaults of diffusers' StableDiffusionPipeline; the embedded one's were chosen for it.
STEPS, GUIDANCE = BySize(20, 50), BySize(3.0, 7.5)


def own_sampling(small: bool, usual: Mapping[str, Any] = MappingProxyType({})) -> tuple[int, float]:
    """Sampling steps and guidance that suit a model; `small` and `usual` are those of `DiffusionModel`."""
    return usual.get("sampling_steps", STEPS.of(small)), usual.get("guidance", GUIDANCE.of(small))


@enough_memory("generating", "Fewer pictures at a time or a smaller model need less.")
def generate(
    model: DiffusionModel,
    network: torch.nn.Module,
    prompt: str,
    seeds: Sequence[int],
    steps: int = STEPS.small,
    guidance: float = GUIDANCE.small,
    on_progress: OnProgress = ignore_progress,
    arm: str = "",
) -> list[np.ndarray]:
    """One uint8 picture (S, S, 3) a seed, all in one batch; the same seed starts from the same noise in every arm.

    For a recipe that trained words or text encoders, `model` is the fine-tune's own (`FineTuned.model`). Raises
    `InvalidInput` for no seeds, no steps or an autoencoder alone, `OutOfMemory`.
    """
    model.check_network()
    if not seeds or steps < 1:
        raise InvalidInput(f"expected at least one seed and one step, got {len(seeds)} and {steps}")

    def report(done: int, total: int) -> None:
        # Some schedulers call the U-Net more often than asked; progress counts in the steps that were asked for.
        on_progress(Progress(Stage.GENERATING, round(done * steps / total), steps, None, arm))

    images = model.sample(network, prompt, seeds, steps, guidance, report)
    return [to_pixels(image) for image in images]
