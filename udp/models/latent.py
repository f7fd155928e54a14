"""A text-to-image latent diffusion model, seen as protection and attack see it.

Wraps any `StableDiffusionPipeline` (the embedded model, Stable Diffusion 1.x and 2.x) so that the rest of the project
speaks of pixels in [0, 1], latents, timesteps and predictions, and never of a particular autoencoder or scheduler.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence

import torch
from diffusers import AutoencoderTiny, DDPMScheduler, StableDiffusionPipeline

from udp.images import fit_square


class LatentDiffusionModel:
    """A frozen base model. Nothing here changes its weights: surrogates and fine-tunes work on copies (`copy_unet`).

    `resolution` is the square side in pixels that its U-Net was trained on.
    """

    def __init__(self, name: str, pipeline: StableDiffusionPipeline) -> None:
        self.name = name
        self.pipeline = pipeline
        self.vae, self.unet, self.text_encoder = pipeline.vae, pipeline.unet, pipeline.text_encoder
        for module in (self.vae, self.unet, self.text_encoder):
            module.requires_grad_(False).eval()
        self.noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.resolution = self.unet.config.sample_size * pipeline.vae_scale_factor
        self._prompts: dict[str, torch.Tensor] = {}
        self._lock = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.unet.device

    @property
    def alphas_cumprod(self) -> torch.Tensor:
        """alpha_bar_t of the noise scheduler, shape (T,), on the CPU."""
        return self.noise_scheduler.alphas_cumprod

    def copy_unet(self) -> torch.nn.Module:
        """A float32, trainable copy of the U-Net in training mode; the base stays as it is."""
        with self._lock:
            return copy.deepcopy(self.unet).float().requires_grad_(True).train()

    def prepare(self, photos: Sequence[torch.Tensor], positions: Sequence[float] | None = None) -> torch.Tensor:
        """Photos (each (1, 3, H, W) in [0, 1]) to one batch (N, 3, resolution, resolution), differentiable.

        `positions` slide each crop along the photo's longer side (default 0.5, the centre crop).
        """
        positions = positions or [0.5] * len(photos)
        squares = [fit_square(photo, self.resolution, at) for photo, at in zip(photos, positions, strict=True)]
        return torch.cat(squares).to(self.device)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) in [0, 1] to scaled latents (N, C, S/f, S/f), differentiable.

        The mean of the posterior, not a sample: a sample would add noise to the image gradient.
        """
        scaled = (pixels * 2 - 1).to(self.vae.dtype)
        if isinstance(self.vae, AutoencoderTiny):
            latents = self.vae.encode(scaled).latents
        else:
            latents = self.vae.encode(scaled).latent_dist.mean
        return latents.float() * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Scaled latents to pixels (N, 3, S, S) in [0, 1]."""
        pixels = self.vae.decode((latents / self.vae.config.scaling_factor).to(self.vae.dtype)).sample
        return (pixels.float() / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def embed(self, prompt: str) -> torch.Tensor:
        """The text encoder's output for one prompt, (1, L, D). Computed once per prompt and kept."""
        if prompt not in self._prompts:
            tokenizer = self.pipeline.tokenizer
            tokens = tokenizer(
                prompt,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            self._prompts[prompt] = self.text_encoder(tokens.input_ids.to(self.device))[0].float()
        return self._prompts[prompt]

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise."""
        return self.noise_scheduler.add_noise(latents, noise, timesteps)

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the U-Net is trained to predict: the noise, or the velocity (Salimans & Ho 2022)."""
        if self.noise_scheduler.config.prediction_type == "v_prediction":
            return self.noise_scheduler.get_velocity(latents, noise, timesteps)
        return noise

    def denoise(
        self, unet: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        """The prediction of `unet` (the base's, a surrogate or a fine-tune) for `noisy` (N, C, h, w) in float32."""
        dtype = next(unet.parameters()).dtype
        text = text.expand(len(noisy), -1, -1).to(dtype)
        return unet(noisy.to(dtype), timesteps.to(noisy.device), encoder_hidden_states=text).sample.float()
