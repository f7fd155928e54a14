"""The denoising loss, as a small object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from udp.models.base import Conditioning, DiffusionModel
from udp.models.timesteps import TimestepDistribution


@dataclass(frozen=True)
class DenoisingLoss:
    """E over t and noise of || prediction(x_t, t, text) - target ||^2 (Ho et al. 2020, eq. 14, with any target).

    The same object serves the surrogate, which descends it, the images, which ascend it, and the imitator's fine-tune.
    `text` is a conditioning for one sample, or for each of a batch.
    """

    model: DiffusionModel
    text: Conditioning
    timesteps: TimestepDistribution

    def __call__(self, network: torch.nn.Module, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Scalar mean over `latents` (N, C, h, w); timesteps and noise come from `generator` (on the CPU)."""
        timesteps, noise = self.draw(latents, generator)
        return self.at(network, latents, noise, timesteps).mean()

    def told(self, text: Conditioning) -> DenoisingLoss:
        """The same loss with another text."""
        return replace(self, text=text)

    def draw(self, latents: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """A timestep (N,) and a noise of the latents' shape for each sample."""
        timesteps = self.timesteps.sample(len(latents), generator).to(latents.device)
        return timesteps, torch.randn(latents.shape, generator=generator).to(latents.device)

    def score_distillation(
        self, network: torch.nn.Module, latents: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The same scalar, with the network's Jacobian left out of its gradient (Poole et al. 2022, 2209.14988, eq. 3).

        The gradient for the latents is the residual of the noise itself, so the network runs forward only.
        """
        timesteps, noise = self.draw(latents, generator)
        with torch.no_grad():
            prediction, target = self.pair(network, latents, noise, timesteps)
            value = (prediction - target).square().mean()
            residual = self.model.schedule.noise_residual(prediction - target, timesteps)
        carrier = (residual * latents).flatten(1).sum(1).mean()
        return value + carrier - carrier.detach()

    def at(
        self, network: torch.nn.Module, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each sample, (N,), at given noise and timesteps."""
        prediction, target = self.pair(network, latents, noise, timesteps)
        return (prediction - target).square().flatten(1).mean(1)

    def pair(
        self, network: torch.nn.Module, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `network` predicts for the noisy latents, and what it should, both of the latents' shape."""
        schedule = self.model.schedule
        noisy = schedule.add_noise(latents, noise, timesteps)
        prediction = self.model.denoise(network, noisy, schedule.times.to(timesteps.device)[timesteps], self.text)
        return prediction, schedule.target(latents, noise, timesteps)
