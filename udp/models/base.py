"""What protection and attack see of any diffusion model, whatever its autoencoder, text encoders and scheduler.

The rest of the project speaks of pixels in [0, 1], latents, timesteps, conditioning and predictions. A model family is
one subclass; "latents" are whatever its network denoises, which for a pixel-space model are the pixels in [-1, 1].
"""

from __future__ import annotations

import abc
import contextlib
import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from udp.digests import weights_digest
from udp.errors import InvalidInput
from udp.models.adapters import ATTENTION, LINEAR, WIDE
from udp.models.layers import HOOKS
from udp.models.recent import recall
from udp.models.schedule import Schedule, schedule_of
from udp.settings import Settings, for_model
from udp.tensors import fit_square

if TYPE_CHECKING:  # seconds to import: whoever has a pipeline has paid for it
    from diffusers import DiffusionPipeline, SchedulerMixin

# Networks with fewer weights count as small. The embedded ones have 4 million, CIFAR-10's DDPM 36, Stable Diffusion 860.
SMALL_NETWORK = 100_000_000
MOST_PROMPTS = 8  # kept encoded; a run needs four at most
# What a network is told beside the noisy latents: a tensor, a tuple of tensors or None. Only its own family looks inside.
Conditioning = Any


def side_by_side(parts: Sequence[tuple[Conditioning, int]]) -> Conditioning:
    """One conditioning for a batch in which each of `parts` is that many samples, in order."""
    kind = parts[0][0]
    if isinstance(kind, tuple):
        return tuple(side_by_side([(part[index], count) for part, count in parts]) for index in range(len(kind)))
    return torch.cat([part.expand(count, *part.shape[1:]) for part, count in parts])


class DiffusionModel(abc.ABC):
    """A frozen base model. Nothing here changes its weights: surrogates and fine-tunes work on copies (`copy_network`).

    `resolution` is the square side in pixels that its network was trained on, `modules` are all of its frozen parts, `usual`
    its own values of settings that are left to it, by the name of the field.
    """

    pipelines: ClassVar[tuple[str, ...]]  # `_class_name`s of model_index.json that this family loads
    takes_prompts: ClassVar[bool] = True
    has_encoder: ClassVar[bool] = True  # whether latents differ from pixels
    has_network: ClassVar[bool] = True  # whether it denoises, and can be trained
    network_part: ClassVar[str] = "unet"  # what its pipeline calls the network that denoises
    optional_parts: ClassVar[tuple[str, ...]] = ()  # of the pipeline, that people leave out to save memory
    # Names of the pipeline's (tokenizer, text encoder) pairs that a recipe may train.
    texts: ClassVar[tuple[tuple[str, str], ...]] = ()
    has_kohya_names: ClassVar[bool] = True  # whether diffusers knows kohya's names of the network's layers
    attention_layers: ClassVar[tuple[str, ...]] = ATTENTION
    wide_layers: ClassVar[tuple[str, ...]] = WIDE
    linear_layers: ClassVar[tuple[str, ...]] = LINEAR

    def __init__(self, name: str, pipeline: DiffusionPipeline) -> None:
        self.name = name
        self.pipeline = pipeline
        self.network = getattr(pipeline, self.network_part)
        self.modules = tuple(m for m in pipeline.components.values() if isinstance(m, torch.nn.Module))
        for module in self.modules:
            module.requires_grad_(False).eval()
        self.schedule = self.schedule_from(pipeline.scheduler)
        self.autocast = False
        self.usual: Mapping[str, Any] = {}
        self._prompts: dict[str, Conditioning] = {}

    @property
    @abc.abstractmethod
    def resolution(self) -> int:
        """Square side in pixels."""

    @abc.abstractmethod
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) in [0, 1] to latents (N, C, h, w), float32, differentiable."""

    @abc.abstractmethod
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to pixels (N, 3, S, S) in [0, 1], differentiable."""

    def check_network(self) -> None:
        """Raise `InvalidInput` if there is nothing to train or to sample from."""
        if not self.has_network:
            raise InvalidInput(
                f"expected a model that can be fine-tuned and sampled from, got the autoencoder {self.name!r} alone"
            )

    def check_own_text(self) -> None:
        """Raise `InvalidInput` if there is no text encoder that a recipe may train."""
        if not self.texts:
            why = "whose text encoder only reads" if self.takes_prompts else "which takes no prompts"
            raise InvalidInput(f"expected a model with a text encoder to train, got {self.name!r}, {why}")

    def check_autoencoder(self) -> None:
        """Raise `InvalidInput` if there is no autoencoder that a recipe may train."""
        raise InvalidInput(f"expected a model with an autoencoder to train, got {self.name!r}, which sees pixels")

    @classmethod
    def place(cls, pipeline: DiffusionPipeline, device: str) -> None:
        """Move a pipeline's parts to where they are to work."""
        pipeline.to(device)

    @classmethod
    def usual_dtype(cls, device: str) -> torch.dtype:
        """Of the frozen base, unless another is asked for."""
        return torch.float32

    def schedule_from(self, scheduler: SchedulerMixin) -> Schedule:
        """The schedule of the pipeline's scheduler; called before the subclass has set anything."""
        return schedule_of(scheduler)

    def suited(self, settings: Settings) -> Settings:
        """`settings` with what suits this model where a field is left to it; the same object if there is none."""
        return for_model(settings, self.small, self.usual)

    def check_prompt(self, prompt: str) -> None:  # noqa: B027, a model without prompts takes any
        """Raise `InvalidInput` if the text encoders would not see all of `prompt`."""

    @abc.abstractmethod
    def encode_prompt(self, prompt: str) -> Conditioning:
        """The conditioning for one prompt, differentiable with respect to the text encoders; `embed` keeps it."""

    @abc.abstractmethod
    def predict(
        self, network: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """`network`'s raw output for `noisy` (N, C, h, w), both in `network`'s dtype; conditioning is for one sample, or
        for each of the N."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one picture's latents."""
        config = self.network.config
        return config.in_channels, config.sample_size, config.sample_size

    @property
    def feature_layer(self) -> torch.nn.Module:
        """The part of `network` whose output tells pictures apart."""
        return self.network.mid_block

    def feature_map(self, output: Any) -> torch.Tensor:
        """What `feature_layer` returns as (N, D, h, w)."""
        return output

    @property
    def guidance_distilled(self) -> bool:
        """Whether its network is told how much guidance it is to give, and gives it in one pass."""
        return False

    def told_guidance(self, conditioning: Conditioning, guidance: float) -> Conditioning:
        """`conditioning` with that much guidance, for a network that is told it."""
        return conditioning

    def adapter_layers(self, scope: str) -> tuple[str, ...]:
        """Ends of the names of the layers that get an adapter; `scope` is one of `udp.models.adapters.SCOPES`."""
        return {"wide": self.wide_layers, "attention": self.attention_layers, "linear": self.linear_layers}[scope]

    @property
    def small(self) -> bool:
        """Whether it is of the embedded model's size, and takes other learning rates and sampling than published ones.

        Settings that differ have a `udp.settings.BySize`.
        """
        return sum(parameter.numel() for parameter in self.network.parameters()) < SMALL_NETWORK

    @functools.cached_property
    def fingerprint(self) -> str:
        """A short name for the weights (`weights_digest`), computed once: the base stays as it is."""
        return weights_digest(self.modules)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def copy_network(self, trainable: bool = True) -> torch.nn.Module:
        """A copy of the network; the base stays as it is. A trainable copy is float32 whatever the base's dtype.

        A copy that is not trainable has modules of its own, for adapters, around the base's very weights: it costs no
        memory, and nothing may change those in place. In evaluation mode: dropout would draw from torch's global state,
        and arms of a trial would differ by chance.
        """
        shared = () if trainable else (*self.network.parameters(), *self.network.buffers())
        with HOOKS:
            network = copy.deepcopy(self.network, {id(tensor): tensor for tensor in shared}).eval()
        return network.float().requires_grad_(True) if trainable else network

    def replaced(self, **parts: Any) -> DiffusionModel:
        """The same model with other parts of its pipeline (`text_encoder=` ...); the base stays as it is."""
        pipeline = copy.copy(self.pipeline)
        pipeline._internal_dict = copy.deepcopy(self.pipeline._internal_dict)
        pipeline.register_modules(**{**self.pipeline.components, **parts})
        other = type(self)(self.name, pipeline)
        other.autocast, other.usual = self.autocast, self.usual
        return other

    def with_network(self, network: torch.nn.Module) -> DiffusionModel:
        """The same model with another network; the base stays as it is."""
        return self.replaced(**{self.network_part: network})

    def with_own_text(self) -> DiffusionModel:
        """The same model with float32 copies of its tokenizers and text encoders, for a recipe that trains them.

        Raises `InvalidInput` where there are none.
        """
        self.check_own_text()
        own: dict[str, Any] = {}
        for tokenizer, encoder in self.texts:
            own[tokenizer] = copy.deepcopy(getattr(self.pipeline, tokenizer))
            own[encoder] = copy.deepcopy(getattr(self.pipeline, encoder)).float().to(self.device)
        return self.replaced(**own)

    def with_own_autoencoder(self) -> DiffusionModel:
        """The same model with a copy of its autoencoder, for a recipe that trains it; see `check_autoencoder`."""
        self.check_autoencoder()
        return self

    def seen_through(self, base: DiffusionModel) -> DiffusionModel:
        """This model with the autoencoder of `base`, so that losses of both are about the same latents."""
        return self

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

    def forget_prompts(self) -> None:
        """Let `embed` compute anew, after the text encoders have changed."""
        self._prompts.clear()

    def embed_nothing(self) -> Conditioning:
        """The conditioning that classifier-free guidance steers away from."""
        return self.embed("")

    def denoise(
        self, network: torch.nn.Module, noisy: torch.Tensor, times: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """The prediction of `network` (the base's, a surrogate or a fine-tune) for `noisy` (N, C, h, w), in float32.

        It is told `times` (N,): the schedule's at a timestep, or a sampler's.
        """
        dtype = next(network.parameters()).dtype
        mixed = torch.autocast(noisy.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with mixed:
            return self.predict(network, noisy.to(dtype), times.to(noisy.device), conditioning).float()

    @property
    def guidance_rescale(self) -> float:
        """How far a guided prediction gets back the spread that it had without guidance, in [0, 1].

        Noise schedules that end without signal overexpose guided pictures; 0.7 is what Lin et al. recommend for them
        (2024, arXiv 2305.08891, section 3.4).
        """
        return 0.7 if self.schedule.ends_without_signal else 0.0

    def guide(self, prediction: torch.Tensor, plain: torch.Tensor, guidance: float) -> torch.Tensor:
        """The prediction under a prompt (N, C, h, w) led away from `plain`, the one under none: classifier-free guidance."""
        guided = plain + guidance * (prediction - plain)
        if not self.guidance_rescale:
            return guided
        spread = prediction.flatten(1).std(1) / guided.flatten(1).std(1)
        return torch.lerp(guided, guided * spread.view(-1, *[1] * (guided.ndim - 1)), self.guidance_rescale)

    @torch.no_grad()
    def sample(
        self,
        network: torch.nn.Module,
        prompt: str,
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        on_step: Callable[[int, int], None],
    ) -> torch.Tensor:
        """Pictures (N, 3, S, S) in [0, 1], one a seed; the same seed starts from the same noise whatever the weights.

        Classifier-free guidance (Ho & Salimans 2022) where the model takes prompts and `guidance` exceeds 1, rescaled by
        `guidance_rescale`; a network that is told its guidance needs no second pass.
        `on_step(done, total)` is called after each step.
        """
        sampler = self.schedule.sampler(steps)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = [torch.randn((1, *self.latent_shape), generator=generator) for generator in generators]
        latents = sampler.start(torch.cat(noise).to(self.device))
        steered = self.takes_prompts and guidance > 1 and not self.guidance_distilled
        text = self.told_guidance(self.embed(prompt), guidance)
        if steered:
            text = side_by_side([(text, len(seeds)), (self.embed_nothing(), len(seeds))])
        total = len(sampler.times)
        for index, time in enumerate(sampler.times):
            noisy = sampler.scaled(latents, time)
            if steered:
                # One batch for both: half as many weights to read, and to round to bfloat16, in each step.
                both = self.denoise(network, torch.cat([noisy, noisy]), time.expand(2 * len(seeds)), text)
                prediction = self.guide(*both.chunk(2), guidance)
            else:
                prediction = self.denoise(network, noisy, time.expand(len(seeds)), text)
            latents = sampler.step(prediction, time, latents, generators)
            on_step(index + 1, total)
        return self.decode(latents)
