"""Reach: the resolutions and encoders at which imitators work, beyond the model at hand.

The embedded model sees a photo at 128 px; who trains Stable Diffusion sees the same photo at 512 px and more. What moves
the latents of the one lies in frequencies that the other hardly sees, so one perturbation can serve both: what is made at
the smaller resolution is kept (`Kept`), and the steps here move what only the larger one sees. The distance is summed over
random windows of the photo at each of those resolutions: a whole photo at 1024 px would cost four times a window of 512.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.utils.checkpoint import checkpoint

from udp.errors import InvalidInput
from udp.models.encoders import STRIDE, Encoder
from udp.protection.budget import project
from udp.tensors import resize

SIDES = (512, 768, 1024)  # what Stable Diffusion 1.x, 2.x and SDXL, SD3, FLUX and Z-Image are fine-tuned at
OFF = "off"
REACHES = (OFF, "512", "768", "1024", "512+768", "512+1024", "512+768+1024")
WINDOW = 512  # pixels a side of what one step encodes
LEAST_SPREAD = 1e-3  # of clean latents: a flat window must not count without bound
Window = tuple[int, int, int, int]  # top, left, height, width in pixels


def parse_sides(text: str) -> tuple[int, ...]:
    """The resolutions in "512+1024", or none for "off". Raises `InvalidInput` for other than `SIDES`."""
    if text == OFF:
        return ()
    parts = text.split("+")
    if not all(part.isdigit() and int(part) in SIDES for part in parts) or len(set(parts)) < len(parts):
        known = ", ".join(map(str, SIDES))
        raise InvalidInput(f"expected off, or resolutions out of {known} joined by +, got {text!r}")
    return tuple(int(part) for part in parts)


@dataclass
class Reach:
    """The distance of the latents from the clean photo's, over `encoders` and `sides`, in clean standard deviations.

    A trainer resizes a photo's shorter side to its resolution and crops, so windows lie on the grid of 8 x 8 pixels of
    the photo at that size. Only the window is ever resized: a panorama at 512 px could be larger than memory.
    """

    encoders: Sequence[Encoder]
    sides: Sequence[int]
    generator: torch.Generator
    window: int = WINDOW
    _whole: dict[tuple[int, int, int], torch.Tensor] = field(default_factory=dict)

    def __call__(self, perturbed: Sequence[torch.Tensor], clean: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scalar: mean over photos (each (1, 3, H, W) in [0, 1]) of the squared distance in one window of each.

        Side and window are drawn from `generator`.
        """
        return torch.stack(self.terms(perturbed, clean)).mean()

    def terms(self, perturbed: Sequence[torch.Tensor], clean: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The same of each encoder by itself. Latents of 16 channels move less, and would be heard less in a mean."""
        terms: list[list[torch.Tensor]] = [[] for _ in self.encoders]
        # Else computed again for the gradient: the activations of many photos and encoders at once would not fit.
        alone = len(perturbed) * len(self.encoders) == 1
        for photo, original in zip(perturbed, clean, strict=True):
            side = self.sides[int(torch.randint(len(self.sides), (), generator=self.generator))]
            window = self._draw(*seen_size(photo, side))
            part = seen(photo, side, window)
            for number, encoder in enumerate(self.encoders):
                reference = self._reference(original, side, window, number)
                latents = encoder.encode(part) if alone else checkpoint(encoder.encode, part, use_reentrant=False)
                distance = (latents - reference) / reference.std().clamp(min=LEAST_SPREAD)
                terms[number].append(distance.square().mean())
        return [torch.stack(found).mean() for found in terms]

    def _reference(self, original: torch.Tensor, side: int, window: Window, number: int) -> torch.Tensor:
        """The clean window's latents; those of a whole photo, which comes again and again, are kept."""
        key = (original.data_ptr(), side, number)
        if key in self._whole:
            return self._whole[key]
        with torch.no_grad():
            latents = self.encoders[number].encode(seen(original, side, window))
        if window[2:] == seen_size(original, side):
            self._whole[key] = latents
        return latents

    def _draw(self, height: int, width: int) -> Window:
        """A window on the grid; places near the edge are as often inside one as those in the middle."""
        starts, spans = [], []
        for length in (height, width):
            span = min(self.window, length)
            spot = float(torch.rand((), generator=self.generator)) * length - span / 2
            starts.append(int(min(max(spot, 0), length - span)) // STRIDE * STRIDE)
            spans.append(span)
        return starts[0], starts[1], spans[0], spans[1]


class Kept:
    """What a model of `resolution` sees of perturbations of `images`, each (1, 3, H, W) and within its limit, as `PGD.run` keeps it.

    Seen is what is left of them once the photo's shorter side is resized to that resolution. Where a perturbation is at its
    limit over the whole of what becomes one pixel, nothing can move; that is why some of the budget is held back before.
    """

    ROUNDS = 3  # of giving back what is missing and cutting at the limit: after steps that shrink, a tenth of a level is left

    def __init__(
        self,
        images: Sequence[torch.Tensor],
        perturbations: Sequence[torch.Tensor],
        limits: Sequence[float | torch.Tensor],
        resolution: int,
    ) -> None:
        self._images, self._limits, self._resolution = images, limits, resolution
        self._seen = [self._look(perturbation) for perturbation in perturbations]

    def __call__(self, index: int, perturbation: torch.Tensor) -> torch.Tensor:
        """The nearest to `perturbation`, of photo number `index`, that looks the same to the model, about within the limit."""
        image, limit, wanted = self._images[index], self._limits[index], self._seen[index]
        for _ in range(self.ROUNDS):
            perturbation = project(perturbation, image, limit)
            missing = wanted - self._look(perturbation)
            perturbation = perturbation + torch.nn.functional.interpolate(missing, size=perturbation.shape[-2:])
        return perturbation

    def _look(self, perturbation: torch.Tensor) -> torch.Tensor:
        height, width = perturbation.shape[-2:]
        scale = self._resolution / min(height, width)
        return resize(perturbation, round(height * scale), round(width * scale))


def seen_size(photo: torch.Tensor, side: int) -> tuple[int, int]:
    """Height and width of `photo` as a trainer of that resolution sees it before cropping: multiples of 8."""
    height, width = photo.shape[-2:]
    scale = side / min(height, width)
    return tuple(max(side, round(length * scale / STRIDE) * STRIDE) for length in (height, width))


def seen(photo: torch.Tensor, side: int, window: Window) -> torch.Tensor:
    """One window of `photo` (1, 3, H, W) at that size, (1, 3, h, w), channels last, differentiable."""
    top, left, height, width = window
    whole = seen_size(photo, side)
    down, across = (whole[axis] / photo.shape[axis - 2] for axis in (0, 1))
    region = photo[
        ...,
        int(top / down) : math.ceil((top + height) / down),
        int(left / across) : math.ceil((left + width) / across),
    ]
    return resize(region, height, width).contiguous(memory_format=torch.channels_last)
