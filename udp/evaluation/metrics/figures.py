"""What figures are made from: an arm's pictures and fine-tune beside the clean photos, or beside the clean arm's pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from udp.evaluation.metrics.features import features
from udp.evaluation.metrics.quality import log_spectra, noise_level, pattern_excess, squares, texture
from udp.evaluation.metrics.shapes import shapes
from udp.evaluation.metrics.structure import pyramids, structure_similarity
from udp.language import Text, text
from udp.models.base import DiffusionModel
from udp.photos import Photo, flattened


@dataclass(frozen=True)
class Reference:
    """What figures compare with: the clean photos, and what the base model gave for the prompt, as features.

    `texture` is (photos, 18) in dB; `real` and `before` are (N, D), see `udp.evaluation.metrics.features.features`; `shapes`
    and `shapes_before` are the same as `udp.evaluation.metrics.shapes.shapes` sees it, `pyramids` are the photos as
    `udp.evaluation.metrics.structure.pyramids` shrinks them.
    """

    model: DiffusionModel
    photos: tuple[Photo, ...]
    prompt: str
    real: torch.Tensor
    before: torch.Tensor
    texture: np.ndarray
    shapes: torch.Tensor
    shapes_before: torch.Tensor
    pyramids: list[list[np.ndarray]]

    @classmethod
    def of(cls, model: DiffusionModel, photos: Sequence[Photo], prompt: str, before: Sequence[np.ndarray]) -> Reference:
        """Extract the features once; every arm uses them."""
        photos = [flattened(photo) for photo in photos]
        pixels = [photo.pixels for photo in photos]
        real = features(model, pixels)
        return cls(
            model, tuple(photos), prompt, real, features(model, before), texture(squares(pixels, model.resolution)),
            shapes(pixels), shapes(before), pyramids(pixels),
        )  # fmt: skip

    def basis(self, pictures: int) -> Text:
        """What extractor and how many samples the figures rest on."""
        return text(
            "basis.pictures",
            pictures=pictures,
            photos=len(self.photos),
            model=Path(self.model.name).name,
            numbers=self.real.shape[1],
        )


@dataclass(frozen=True)
class Imitation:
    """One run of an arm: its pictures (uint8), the network that made them, and how its training went.

    `losses` are empty and `weight_change` is None for the base model, which was not trained.
    """

    reference: Reference
    model: DiffusionModel
    network: torch.nn.Module
    images: Sequence[np.ndarray]
    losses: Sequence[float] = ()
    weight_change: float | None = None

    @functools.cached_property
    def features(self) -> torch.Tensor:
        """The pictures' features (N, D), each of unit length."""
        return features(self.reference.model, self.images)

    @functools.cached_property
    def shapes(self) -> torch.Tensor:
        """The pictures' shapes and colours (N, D), each of unit length."""
        return shapes(self.images)

    @functools.cached_property
    def scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """The features of the pictures and of the clean photos at unit mean square, the scale that KID's kernel is meant for."""
        scale = self.features.shape[1] ** 0.5
        return self.features.cpu().numpy() * scale, self.reference.real.cpu().numpy() * scale

    def of_sets(self, figure: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[np.ndarray], float] | None:
        """A figure of two sets of features, by the pictures' indices; None where either set is a single picture."""
        if min(len(self.images), len(self.reference.photos)) < 2:
            return None
        ours, real = self.scaled
        return lambda chosen: figure(ours[chosen], real)

    def noise(self) -> np.ndarray:
        """The estimated noise of every picture (N,), in levels of 255."""
        return np.array([noise_level([image]) for image in self.images])

    def structure(self) -> np.ndarray:
        """How near every picture comes to a photo (N,); see `structure_similarity`."""
        return structure_similarity(pyramids(self.images), self.reference.pyramids)

    def final_loss(self) -> float | None:
        """The mean training loss of the last fifth of the steps."""
        return float(np.mean(self.losses[-max(1, len(self.losses) // 5) :])) if len(self.losses) else None


@dataclass(frozen=True)
class BesideClean:
    """One run of an arm's pictures beside those of the clean arm's same seeds, all uint8 and of one size."""

    images: Sequence[np.ndarray]
    clean: Sequence[np.ndarray]

    def pattern(self) -> np.ndarray | None:
        """See `pattern_excess`; None without pictures.

        Its interval is for the frequency that was found; it does not say how likely one as strong is by chance.
        """
        return pattern_excess(log_spectra(self.images), log_spectra(self.clean)) if len(self.images) else None
