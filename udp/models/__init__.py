"""Diffusion models behind one small interface."""

from udp.models.base import Conditioning, DiffusionModel
from udp.models.latent import LatentDiffusionModel, StableDiffusion
from udp.models.loading import FAMILIES, is_small, load_model
from udp.models.memory import MemoryOptions, peak_memory, reset_peak_memory
from udp.models.registry import MODELS, ModelRow, available_models
from udp.models.sdxl import StableDiffusionXL
from udp.models.unconditional import PixelDiffusion, UnconditionalLatentDiffusion

__all__ = [
    "FAMILIES",
    "MODELS",
    "Conditioning",
    "DiffusionModel",
    "LatentDiffusionModel",
    "MemoryOptions",
    "ModelRow",
    "PixelDiffusion",
    "StableDiffusion",
    "StableDiffusionXL",
    "UnconditionalLatentDiffusion",
    "available_models",
    "is_small",
    "load_model",
    "peak_memory",
    "reset_peak_memory",
]
