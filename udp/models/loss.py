"""The denoising loss, as a small object."""

from __future__ import annotations

from dataclasses import dataclass

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

    def __call__(self, unet: torch.nn.Module, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Scalar mean over `latents` (N, C, h, w); timesteps and noise come from `generator` (on the CPU)."""
        timesteps, noise = self.draw(latents, generator)
        return self.at(unet, latents, noise, timesteps).mean()

    def draw(self, latents: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """A timestep (N,) and a noise of the latents' shape for each sample."""
        timesteps = self.timesteps.sample(len(latents), generator).to(latents.device)
        return timesteps, torch.randn(latents.shape, generator=generator).to(latents.device)

    def score_distillation(
        self, unet: torch.nn.Module, latents: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The same scalar, with the U-Net's Jacobian left out of its gradient (Poole et al. 2022, 2209.14988, eq. 3).

        The gradient for the latents is the residual of the noise itself, so the U-Net runs forward only.
        """
        timesteps, noise = self.draw(latents, generator)
        with torch.no_grad():
            prediction, target = self.pair(unet, latents, noise, timesteps)
            value = (prediction - target).square().mean()
            # With x_t = a x_0 + s noise fixed and v = a noise - s x_0, a residual of v or x_0 is one of the noise, scaled.
            alpha_bar = self.model.alphas_cumprod.to(latents.device)[timesteps].view(-1, *[1] * (latents.ndim - 1))
            scale = {
                "epsilon": torch.ones_like(alpha_bar),
                "v_prediction": alpha_bar.sqrt(),
                "sample": -(alpha_bar / (1 - alpha_bar)).sqrt(),
            }[self.model.noise_scheduler.config.prediction_type]
            residual = (prediction - target) * scale
        carrier = (residual * latents).flatten(1).sum(1).mean()
        return value + carrier - carrier.detach()

    def at(
        self, unet: torch.nn.Module, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """The loss of each sample, (N,), at given noise and timesteps."""
        prediction, target = self.pair(unet, latents, noise, timesteps)
        return (prediction - target).square().flatten(1).mean(1)

    def pair(
        self, unet: torch.nn.Module, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `unet` predicts for the noisy latents, and what it should, both of the latents' shape."""
        noisy = self.model.add_noise(latents, noise, timesteps)
        prediction = self.model.denoise(unet, noisy, timesteps, self.text)
        return prediction, self.model.target(latents, noise, timesteps)
