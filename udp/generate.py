"""Sampling pictures from a base model or a fine-tune, with the diffusers pipeline of the base model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from udp.images import to_pixels
from udp.models import LatentDiffusionModel
from udp.types import OnProgress, Progress, ignore_progress


def generate(
    model: LatentDiffusionModel,
    unet: torch.nn.Module,
    prompt: str,
    seeds: Sequence[int],
    steps: int = 20,
    guidance: float = 2.0,
    on_progress: OnProgress = ignore_progress,
    arm: str = "",
) -> list[np.ndarray]:
    """One uint8 picture (S, S, 3) a seed, all in one batch; the same seed starts from the same noise in every arm."""
    scheduler = model.pipeline.scheduler
    # A scheduler keeps the state of a run: each gets its own.
    components = {**model.pipeline.components, "unet": unet, "scheduler": type(scheduler).from_config(scheduler.config)}
    pipeline = StableDiffusionPipeline(**components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)

    def report(pipeline: StableDiffusionPipeline, step: int, timestep: int, values: dict) -> dict:
        on_progress(Progress("generating", step + 1, steps, None, arm))
        return values

    images = pipeline(
        prompt=[prompt] * len(seeds),
        height=model.resolution,
        width=model.resolution,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
        callback_on_step_end=report,
    ).images
    return [to_pixels(image) for image in images]
