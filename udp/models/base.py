"""What protection and attack see of any diffusion model, whatever its autoencoder, text encoders and scheduler.

The rest of the project speaks of pixels in [0, 1], latents, timesteps, conditioning and predictions. A model family is
one subclass; "latents" are whatever its U-Net denoises, which for a pixel-space model are the pixels in [-1, 1].
"""

from __future__ import annotations

import abc
import contextlib
import copy
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from udp.models.recent import recall

if TYPE_CHECKING:  # seconds to import: whoever has a pipeline has paid for it
    from diffusers import DiffusionPipeline
from udp.tensors import fit_square

# U-Nets with fewer weights count as small. The embedded ones have 5 to 20 million, CIFAR-10's DDPM 36, Stable Diffusion 860.
SMALL_UNET = 100_000_000
MOST_PROMPTS = 8  # kept encoded; a run needs four at most
# What a U-Net is told beside the noisy latents: a tensor, a tuple of tensors or None. Only its own family looks inside.
Conditioning = Any


def side_by_side(parts: Sequence[tuple[Conditioning, int]]) -> Conditioning:
    """One conditioning for a batch in which each of `parts` is that many samples, in order."""
    kind = parts[0][0]
    if isinstance(kind, tuple):
        return tuple(side_by_side([(part[index], count) for part, count in parts]) for index in range(len(kind)))
    return torch.cat([part.expand(count, *part.shape[1:]) for part, count in parts])


class DiffusionModel(abc.ABC):
    """A frozen base model. Nothing here changes its weights: surrogates and fine-tunes work on copies (`copy_unet`).

    `resolution` is the square side in pixels that its U-Net was trained on, `modules` are all of its frozen parts.
    """

    pipelines: ClassVar[tuple[str, ...]]  # `_class_name`s of model_index.json that this family loads
    takes_prompts: ClassVar[bool] = True
    has_encoder: ClassVar[bool] = True  # whether latents differ from pixels

    def __init__(self, name: str, pipeline: DiffusionPipeline) -> None:
        from diffusers import DDPMScheduler

        self.name = name
        self.pipeline = pipeline
        self.unet = pipeline.unet
        self.modules = tuple(m for m in pipeline.components.values() if isinstance(m, torch.nn.Module))
        for module in self.modules:
            module.requires_grad_(False).eval()
        self.noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.autocast = False
        self._prompts: dict[str, Conditioning] = {}
        self._lock = threading.Lock()

    @property
    @abc.abstractmethod
    def resolution(self) -> int:
        """Square side in pixels."""

    @abc.abstractmethod
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) in [0, 1] to latents (N, C, h, w), float32, differentiable."""

    @abc.abstractmethod
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to pixels (N, 3, S, S) in [0, 1]."""

    def check_prompt(self, prompt: str) -> None:  # noqa: B027, a model without prompts takes any
        """Raise `InvalidInput` if the text encoders would not see all of `prompt`."""

    @abc.abstractmethod
    def encode_prompt(self, prompt: str) -> Conditioning:
        """The conditioning for one prompt, differentiable with respect to the text encoders; `embed` keeps it."""

    @abc.abstractmethod
    def predict(
        self, unet: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """`unet`'s raw output for `noisy` (N, C, h, w), both in `unet`'s dtype; conditioning is for one sample, or
        for each of the N."""

    @property
    def small(self) -> bool:
        """Whether it is of the embedded model's size, and takes other learning rates and sampling than published ones.

        Settings that differ have a `udp.settings.BySize`.
        """
        return sum(parameter.numel() for parameter in self.unet.parameters()) < SMALL_UNET

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.unet.parameters()).device

    @property
    def alphas_cumprod(self) -> torch.Tensor:
        """alpha_bar_t of the noise scheduler, shape (T,), on the CPU."""
        return self.noise_scheduler.alphas_cumprod

    def copy_unet(self, trainable: bool = True) -> torch.nn.Module:
        """A copy of the U-Net; the base stays as it is. A trainable copy is float32 whatever the base's dtype.

        A copy that is not trainable has modules of its own, for adapters, around the base's very weights: it costs no
        memory, and nothing may change those in place. In evaluation mode: dropout would draw from torch's global state,
        and arms of a trial would differ by chance.
        """
        shared = () if trainable else (*self.unet.parameters(), *self.unet.buffers())
        with self._lock:
            unet = copy.deepcopy(self.unet, {id(tensor): tensor for tensor in shared}).eval()
        return unet.float().requires_grad_(True) if trainable else unet

    def replaced(self, **parts: Any) -> DiffusionModel:
        """The same model with other parts of its pipeline (`unet=`, `text_encoder=` ...); the base stays as it is."""
        pipeline = copy.copy(self.pipeline)
        pipeline._internal_dict = copy.deepcopy(self.pipeline._internal_dict)
        pipeline.register_modules(**{**self.pipeline.components, **parts})
        other = type(self)(self.name, pipeline)
        other.autocast = self.autocast
        return other

    def prepare(self, photos: Sequence[torch.Tensor], positions: Sequence[float] | None = None) -> torch.Tensor:
        """Photos (each (1, 3, H, W) in [0, 1]) to one batch (N, 3, resolution, resolution), differentiable.

        `positions` slide each crop along the photo's longer side (default 0.5, the centre crop).
        """
        positions = positions or [0.5] * len(photos)
        squares = [fit_square(photo, self.resolution, at) for photo, at in zip(photos, positions, strict=True)]
        return torch.cat(squares).to(self.device)

    @torch.no_grad()
    def embed(self, prompt: str) -> Conditioning:
        """The conditioning for one prompt. Computed once for each of the latest prompts."""
        return recall(self._prompts, prompt, lambda: self.encode_prompt(prompt), MOST_PROMPTS)

    def embed_nothing(self) -> Conditioning:
        """The conditioning that classifier-free guidance steers away from."""
        return self.embed("")

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise."""
        return self.noise_scheduler.add_noise(latents, noise, timesteps)

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the U-Net is trained to predict: noise, velocity (Salimans & Ho 2022, arXiv 2202.00512) or the latents."""
        kind = self.noise_scheduler.config.prediction_type
        if kind == "v_prediction":
            return self.noise_scheduler.get_velocity(latents, noise, timesteps)
        return {"epsilon": noise, "sample": latents}[kind]

    def denoise(
        self, unet: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """The prediction of `unet` (the base's, a surrogate or a fine-tune) for `noisy` (N, C, h, w), in float32."""
        dtype = next(unet.parameters()).dtype
        mixed = torch.autocast(noisy.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with mixed:
            return self.predict(unet, noisy.to(dtype), timesteps.to(noisy.device), conditioning).float()

    def sampler(self) -> Any:
        """A scheduler to sample with, fresh, because it keeps the state of a run.

        DDPM's own needs a thousand steps; the deterministic DDIM (Song et al. 2021, arXiv 2010.02502) stands in for it.
        """
        from diffusers import DDIMScheduler, DDPMScheduler

        scheduler = self.pipeline.scheduler
        kind = DDIMScheduler if isinstance(scheduler, DDPMScheduler) else type(scheduler)
        return kind.from_config(scheduler.config)

    @property
    def guidance_rescale(self) -> float:
        """How far a guided prediction gets back the spread that it had without guidance, in [0, 1].

        Noise schedules that end without signal overexpose guided pictures; 0.7 is what Lin et al. recommend for them
        (2024, arXiv 2305.08891, section 3.4).
        """
        return 0.7 if self.pipeline.scheduler.config.get("rescale_betas_zero_snr") else 0.0

    @torch.no_grad()
    def sample(
        self,
        unet: torch.nn.Module,
        prompt: str,
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        on_step: Callable[[int, int], None],
    ) -> torch.Tensor:
        """Pictures (N, 3, S, S) in [0, 1], one a seed; the same seed starts from the same noise whatever the weights.

        Classifier-free guidance (Ho & Salimans 2022) where the model takes prompts and `guidance` exceeds 1, rescaled by
        `guidance_rescale`.
        `on_step(done, total)` is called after each step.
        """
        scheduler = self.sampler()
        scheduler.set_timesteps(steps)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        side = self.unet.config.sample_size
        shape = (1, self.unet.config.in_channels, side, side)
        latents = torch.cat([torch.randn(shape, generator=generator) for generator in generators]).to(self.device)
        latents = latents * scheduler.init_noise_sigma
        draws = {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
        total = len(scheduler.timesteps)
        for index, timestep in enumerate(scheduler.timesteps):
            noisy = scheduler.scale_model_input(latents, timestep)
            batch = timestep.expand(len(seeds))
            prediction = self.denoise(unet, noisy, batch, self.embed(prompt))
            if self.takes_prompts and guidance > 1:
                plain = self.denoise(unet, noisy, batch, self.embed_nothing())
                guided = plain + guidance * (prediction - plain)
                if self.guidance_rescale:
                    spread = prediction.flatten(1).std(1) / guided.flatten(1).std(1)
                    rescaled = guided * spread.view(-1, *[1] * (guided.ndim - 1))
                    guided = torch.lerp(guided, rescaled, self.guidance_rescale)
                prediction = guided
            latents = scheduler.step(prediction, timestep, latents, **draws).prev_sample
            on_step(index + 1, total)
        return self.decode(latents)
