"""What an imitator does to photos before training. To add a cleaning: a frozen dataclass, and a line in `CLEANINGS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from udp.errors import InvalidInput
from udp.imitation.cleaning.base import Cleaning, OnShare
from udp.imitation.cleaning.filters import (
    JPEG,
    Bilateral,
    Crop,
    GaussianBlur,
    GaussianNoise,
    Guided,
    Median,
    Nothing,
    Resize,
)
from udp.imitation.cleaning.purify import Autoencoder, DecoderProjection, GridPurification, NoisyUpscaling, part_of
from udp.models.base import DiffusionModel
from udp.photos import Photo

CLEANINGS: dict[str, Cleaning] = {
    cleaning.name: cleaning
    for cleaning in (
        Nothing(), JPEG(95), JPEG(75), JPEG(50), Resize(), Crop(), GaussianBlur(), GaussianNoise(), Median(),
        Bilateral(), Guided(), Autoencoder(), DecoderProjection(), NoisyUpscaling(), GridPurification(),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Chain(Cleaning):
    """Cleanings one after the other."""

    parts: tuple[Cleaning, ...]

    whole_photos: ClassVar[bool] = False  # each part says so of itself

    @property
    def name(self) -> str:
        """See `Cleaning.name`; the parts' names joined by plus signs."""
        return "+".join(part.name for part in self.parts)

    @property
    def title(self) -> str:
        """See `Cleaning.title`."""
        return ", then ".join(part.title for part in self.parts)

    @property
    def reference(self) -> str:
        """See `Cleaning.reference`."""
        return "; ".join(part.reference for part in self.parts)

    @property
    def needs_model(self) -> bool:
        """Whether any part needs a model."""
        return any(part.needs_model for part in self.parts)

    @property
    def reframes(self) -> bool:
        """Whether any part cuts."""
        return any(part.reframes for part in self.parts)

    def framed(self, photos: Sequence[Photo]) -> list[Photo]:
        """See `Cleaning.framed`."""
        found = list(photos)
        for part in self.parts:
            found = part.framed(found)
        return found

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        costs = [1 + part.units([pixels.shape[1::-1]]) for part in self.parts]
        for index, part in enumerate(self.parts):
            told = part_of(on_share, sum(costs[:index]), costs[index], sum(costs))
            pixels = part.run_alone(pixels, model, generator, told)
        return pixels

    def units(self, sizes: Sequence[tuple[int, int]]) -> float:
        """See `Cleaning.units`."""
        return sum(part.units(sizes) for part in self.parts)


def parse_cleaning(text: str) -> Cleaning:
    """The cleaning called `text`, or a chain such as "jpeg75+half". Raises `InvalidInput` naming the known ones."""
    names = [name.strip() for name in text.split("+")]
    for name in names:
        if name not in CLEANINGS:
            raise InvalidInput(f"expected cleanings out of {', '.join(CLEANINGS)}, joined by +, got {name!r}")
    parts = tuple(CLEANINGS[name] for name in names)
    return parts[0] if len(parts) == 1 else Chain(parts)


def framing_of(text: str) -> str:
    """What cleanings that frame photos alike share: the name of one that cuts, and "" for all that do not."""
    cleaning = parse_cleaning(text)
    return cleaning.name if cleaning.reframes else ""


__all__ = ["CLEANINGS", "Chain", "framing_of", "parse_cleaning"]
