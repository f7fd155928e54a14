"""Diffusion models behind one small interface."""

from udp.models.latent import LatentDiffusionModel
from udp.models.registry import MODELS, ModelRow, load_model

__all__ = ["MODELS", "LatentDiffusionModel", "ModelRow", "load_model"]
