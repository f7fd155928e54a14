"""Cleanings by a diffusion model: its autoencoder alone, or noise and denoising.

A model works at one resolution and a photo has another, so all of these run on overlapping squares of a photo whose
shorter side was brought to at most `WORKING_SCALE` times the model's resolution, or where a square takes long, to that
resolution; overlaps are averaged.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from udp.imitation.cleaning.base import Cleaning, OnShare
from udp.models.base import DiffusionModel
from udp.models.precision import computes_in_bfloat16
from udp.settings import setting
from udp.tensors import resize, to_pixels, to_tensor

# Twice the model's resolution: more squares cost time and the fine-tune throws the extra detail away.
WORKING_SCALE = 2
SQUARES_AT_ONCE = 16
BLUR = 9  # pixels a side; latents of all models of ours are of 8

# In fine-tuning steps of the embedded model (four photos), for a square: through the autoencoder and back, and a step of a search
# that differentiates through the decoder. Measured on a processor, one thread.
CODING_UNITS, SEARCH_UNITS, SQUARE = 1.7, 1.9, 128

# Squares (N, 3, S, S) in [0, 1], and whom to tell which share of them is done -> the same shape.
OnSquares = Callable[[torch.Tensor, OnShare], torch.Tensor]


def starts(length: int, side: int) -> list[int]:
    """Where squares of `side` start along `length`: half a side apart, the last one flush with the end."""
    return sorted({*range(0, length - side, max(1, side // 2)), length - side})


@torch.no_grad()
def in_squares(image: torch.Tensor, side: int, work: OnSquares, on_share: OnShare) -> torch.Tensor:
    """Apply `work` to overlapping squares of `image` (1, 3, H, W), H and W at least `side`, and average the overlaps."""
    corners = [(top, left) for top in starts(image.shape[-2], side) for left in starts(image.shape[-1], side)]
    total, count = torch.zeros_like(image), torch.zeros_like(image[:, :1])
    for first in range(0, len(corners), SQUARES_AT_ONCE):
        group = corners[first : first + SQUARES_AT_ONCE]
        squares = torch.cat([image[..., y : y + side, x : x + side] for y, x in group])
        results = work(squares, part_of(on_share, first, len(group), len(corners))).cpu()
        for (y, x), result in zip(group, results, strict=True):
            total[0, :, y : y + side, x : x + side] += result
            count[0, :, y : y + side, x : x + side] += 1
        on_share((first + len(group)) / len(corners))
    return total / count


def part_of(on_share: OnShare, done: float, size: float, total: float) -> OnShare:
    """For a part of the work of so much in all, when so much is done before it."""
    return lambda share: on_share((done + size * share) / total)


def at_working_size(
    pixels: np.ndarray, side: int, work: Callable[[torch.Tensor], torch.Tensor], most: int = WORKING_SCALE
) -> np.ndarray:
    """Run `work` on a float copy (1, 3, H', W') at the working size and bring the result back to the photo's size.

    Its shorter side is then between `side` and `most` times that.
    """
    image = to_tensor(pixels)[None]
    height, width = image.shape[-2:]
    target = min(max(min(height, width), side), most * side)
    scale = target / min(height, width)
    small = resize(image, max(side, round(height * scale)), max(side, round(width * scale)))
    return to_pixels(resize(work(small), height, width)[0])


@torch.no_grad()
def purify(
    model: DiffusionModel, squares: torch.Tensor, start: int, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """Noise squares up to timestep `start` and denoise them in about `steps` deterministic steps, without a prompt.

    `squares` (N, 3, S, S) in [0, 1]; returns the same shape (SDEdit, Meng et al. 2022; DiffPure, Nie et al. 2022).
    """
    sampler = model.schedule.sampler_from(start, steps)
    latents = model.encode(squares.to(model.device))
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    first = torch.full((len(latents),), sampler.first, device=latents.device)
    current = model.schedule.add_noise(latents, noise, first)
    for time in sampler.times:
        prediction = model.denoise(model.network, current, time.expand(len(latents)), model.embed_nothing())
        current = sampler.step(prediction, time, current)
    return model.decode(current)


@dataclass(frozen=True)
class SquareCleaning(Cleaning):
    """Base of cleanings that work on squares; `square_units` is what one takes."""

    needs_model: ClassVar[bool] = True
    whole_photos: ClassVar[bool] = False
    most: ClassVar[int] = WORKING_SCALE

    @property
    @abc.abstractmethod
    def square_units(self) -> float:
        """About, in fine-tuning steps."""

    def units(self, sizes: Sequence[tuple[int, int]]) -> float:
        """See `Cleaning.units`; of photos that are large enough, in squares as large as the embedded model's."""
        count = 0
        for size in sizes:
            one, other = (round(SQUARE * self.most * side / min(size)) for side in size)
            count += len(starts(one, SQUARE)) * len(starts(other, SQUARE))
        return count * self.square_units


@dataclass(frozen=True)
class Autoencoder(SquareCleaning):
    """Encoded to latents and decoded again: what the latent space does not hold is gone."""

    name = "vae"
    title = "Autoencoder round trip"
    reference = "Cao et al. 2023 (IMPRESS), arXiv 2310.19248"
    square_units = CODING_UNITS

    @torch.no_grad()
    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""

        def there_and_back(squares: torch.Tensor, on_share: OnShare) -> torch.Tensor:
            return model.decode(model.encode(squares.to(model.device)))

        side = model.resolution
        return at_working_size(pixels, side, lambda image: in_squares(image, side, there_and_back, on_share), self.most)


@dataclass(frozen=True)
class DecoderProjection(SquareCleaning):
    """The picture nearest to the photo that the decoder can make: latents are sought by gradient descent, and decoded.

    A perturbation that leads the encoder astray has little hold on it, for the encoder only says where to begin, of a blurred
    photo, where it errs less; the decoder cannot make most of what was added. The projection of Defense-GAN (eq. 2: the least
    squared distance in pixels), with an autoencoder's decoder as the generator, by Adam at a rate that falls to zero.
    """

    steps: int = setting(60, "steps of the search for latents", 1, 3000, 1)
    rate: float = setting(0.2, "Adam's learning rate, in standard deviations of latents", 0.001, 1.0, 0.001)

    name = "invert"
    title = "Nearest picture that the decoder can make"
    reference = "Samangouei et al. 2018 (Defense-GAN), arXiv 1805.06605"
    most: ClassVar[int] = 1

    @property
    def square_units(self) -> float:
        """See `SquareCleaning`."""
        return CODING_UNITS + SEARCH_UNITS * self.steps

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        side = model.resolution
        at_once = SQUARES_AT_ONCE if model.small else 1

        def nearest(squares: torch.Tensor, on_share: OnShare) -> torch.Tensor:
            found = []
            for first in range(0, len(squares), at_once):
                some = squares[first : first + at_once].to(model.device)
                found.append(self._nearest(model, some, part_of(on_share, first, len(some), len(squares))))
            return torch.cat(found)

        return at_working_size(pixels, side, lambda image: in_squares(image, side, nearest, on_share), self.most)

    def _nearest(self, model: DiffusionModel, squares: torch.Tensor, on_share: OnShare) -> torch.Tensor:
        with torch.no_grad():
            blurred = torch.nn.functional.avg_pool2d(squares, BLUR, 1, BLUR // 2, count_include_pad=False)
            begin = model.encode(blurred).float()
        device = squares.device.type
        with torch.enable_grad():
            latents = begin.clone().requires_grad_(True)
            optimizer = torch.optim.Adam([latents], lr=self.rate)
            for step in range(self.steps):
                optimizer.param_groups[0]["lr"] = self.rate * (1 - step / self.steps)
                with torch.autocast(device, torch.bfloat16, enabled=computes_in_bfloat16(device)):
                    decoded = model.decode(latents)
                loss = (decoded.float() - squares).square().mean((1, 2, 3)).sum()
                (latents.grad,) = torch.autograd.grad(loss, latents)
                optimizer.step()
                on_share((step + 1) / self.steps)
        with torch.no_grad():
            return model.decode(latents.detach()).float()


@dataclass(frozen=True)
class NoisyUpscaling(SquareCleaning):
    """Gaussian noise on the photo, then image-to-image by the base model.

    Hoenig et al. use a Stable Diffusion upscaler; a model library need not have one, so the base model denoises.
    """

    sigma: float = setting(0.1, "noise before, standard deviation", 0.0, 0.5, 1 / 255, levels=True)
    strength: float = setting(0.25, "part of the timesteps that image-to-image undoes", 0.02, 0.9, 0.01)
    steps: int = setting(8, "denoising steps", 1, 100, 1)

    name = "upscale"
    title = "Noise, then image-to-image"
    reference = "Hoenig et al. 2024, arXiv 2406.12027"
    square_units = CODING_UNITS

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        start = round(self.strength * len(model.schedule))

        def work(image: torch.Tensor) -> torch.Tensor:
            noisy = (image + self.sigma * torch.randn(image.shape, generator=generator)).clamp(0, 1)
            return in_squares(
                noisy, model.resolution, lambda s, _: purify(model, s, start, self.steps, generator), on_share
            )

        return at_working_size(pixels, model.resolution, work, self.most)


@dataclass(frozen=True)
class GridPurification(SquareCleaning):
    """Diffusion purification in overlapping squares, a little at a time, blended with the last result.

    After GrIDPure (Zhao et al. 2024), which runs an unconditional pixel-space model on squares of 256; here the base
    model does it on squares of its own resolution. `iterations` of theirs are 10 to 20: fewer by default, for the time.
    """

    timestep: int = setting(100, "timestep up to which a square is noised", 5, 500, 5)
    steps: int = setting(4, "denoising steps of an iteration", 1, 100, 1)
    iterations: int = setting(3, "times the photo is purified", 1, 20, 1)
    gamma: float = setting(0.1, "part of the last iteration's picture that is kept", 0.0, 1.0, 0.05)

    name = "gridpure"
    title = "Diffusion purification in grids"
    reference = "Zhao et al. 2024 (GrIDPure), arXiv 2312.00084"

    @property
    def square_units(self) -> float:
        """See `SquareCleaning`."""
        return CODING_UNITS * self.iterations

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        side = model.resolution

        def work(image: torch.Tensor) -> torch.Tensor:
            for index in range(self.iterations):
                told = part_of(on_share, index, 1, self.iterations)
                pure = in_squares(
                    image, side, lambda s, _: purify(model, s, self.timestep, self.steps, generator), told
                )
                image = (1 - self.gamma) * pure + self.gamma * image
            return image

        return at_working_size(pixels, side, work, self.most)
