"""An autoencoder without a network: all that the attacks on encoders need (PhotoGuard, Mist's textural mode)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from udp.errors import InvalidInput
from udp.models.encoders import KINDS, PUBLISHED, STRIDE, STUDENT
from udp.models.latent import LatentDiffusionModel

SIDE = 512  # pixels: what Stable Diffusion 1.x is fine-tuned at, and a crop that those of higher resolution see as well


def stands_alone(name: str) -> bool:
    """Whether a model's name means an autoencoder alone: a short name of one, or a local folder that holds no more."""
    if name in PUBLISHED or name == STUDENT:
        return True
    try:
        folder = Path(name).expanduser()
        said = json.loads((folder / "config.json").read_text()) if not (folder / "model_index.json").exists() else {}
    except (OSError, ValueError, RuntimeError):
        return False
    return isinstance(said, dict) and said.get("_class_name") in KINDS


class AutoencoderAlone(LatentDiffusionModel):
    """An autoencoder of diffusion models that nobody here has to run; it denoises nothing, so nothing can be trained on it."""

    pipelines: ClassVar[tuple[str, ...]] = ()
    takes_prompts: ClassVar[bool] = False
    has_network: ClassVar[bool] = False
    small: ClassVar[bool] = False

    def __init__(self, name: str, vae: AutoencoderTiny | AutoencoderKL) -> None:
        self.name, self.vae, self.modules = name, vae, (vae,)
        self.pipeline = self.network = self.schedule = None
        self.autocast, self.usual, self._prompts = False, {}, {}

    @property
    def resolution(self) -> int:
        """See `DiffusionModel.resolution`: `SIDE`."""
        return SIDE

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """See `DiffusionModel.latent_shape`."""
        return self.vae.config.latent_channels, SIDE // STRIDE, SIDE // STRIDE

    @property
    def device(self) -> torch.device:
        """See `DiffusionModel.device`."""
        return next(self.vae.parameters()).device

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        """Nothing, (0,): there is no network to tell."""
        return torch.empty(0)

    def predict(
        self, network: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: torch.Tensor
    ) -> torch.Tensor:
        """Raises `InvalidInput`."""
        raise InvalidInput(f"expected a model with a network, got the autoencoder {self.name!r} alone")
