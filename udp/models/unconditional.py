"""Models without prompts, the paper's first setting: DDPM on pixels, and latent diffusion without text."""

from __future__ import annotations

from typing import ClassVar

import torch

from udp.models.base import DiffusionModel
from udp.models.latent import LatentDiffusionModel


class Unconditional(DiffusionModel):
    """What both have in common: a prompt changes nothing."""

    takes_prompts: ClassVar[bool] = False

    def encode_prompt(self, prompt: str) -> None:
        """None, whatever the prompt."""

    def predict(
        self, network: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: None
    ) -> torch.Tensor:
        """See `DiffusionModel.predict`. A U-Net that also predicts a variance has it left out."""
        return network(noisy, timesteps).sample[:, : noisy.shape[1]]


class PixelDiffusion(Unconditional):
    """A DDPM on pixels (Ho et al. 2020, arXiv 2006.11239): the latents are the pixels in [-1, 1]."""

    pipelines: ClassVar[tuple[str, ...]] = ("DDPMPipeline", "DDIMPipeline")
    has_encoder: ClassVar[bool] = False

    @property
    def resolution(self) -> int:
        """See `DiffusionModel.resolution`."""
        return self.network.config.sample_size

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) in [0, 1] to [-1, 1]."""
        return pixels * 2 - 1

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """[-1, 1] to pixels in [0, 1], clamped."""
        return (latents / 2 + 0.5).clamp(0, 1)


class UnconditionalLatentDiffusion(Unconditional, LatentDiffusionModel):
    """Latent diffusion without text (Rombach et al. 2022, arXiv 2112.10752), with a VQ or a KL autoencoder."""

    pipelines: ClassVar[tuple[str, ...]] = ("LDMPipeline",)
