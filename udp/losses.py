"""The denoising loss, as a small object."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from udp.models import DiffusionModel
from udp.timesteps import TimestepDistribution


@dataclass(frozen=True)
class DenoisingLoss:
    """E over t and noise of || prediction(x_t, t, text) - target ||^2 (Ho et al. 2020, eq. 14, with any target).

    The same object serves the surrogate, which descends it, the images, which ascend it, and the imitator's fine-tune.
    """

    model: DiffusionModel
    text: torch.Tensor
    timesteps: TimestepDistribution

    def __call__(self, unet: torch.nn.Module, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Scalar mean over `latents` (N, C, h, w); timesteps and noise come from `generator` (on the CPU)."""
        timesteps = self.timesteps.sample(len(latents), generator).to(latents.device)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        return self.at(unet, latents, noise, timesteps).mean()

    def at(
        self, unet: torch.nn.Module, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each sample, (N,), at given noise and timesteps."""
        noisy = self.model.add_noise(latents, noise, timesteps)
        prediction = self.model.denoise(unet, noisy, timesteps, self.text)
        target = self.model.target(latents, noise, timesteps)
        return (prediction - target).square().flatten(1).mean(1)
