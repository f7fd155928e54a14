"""All figures of one arm's pictures, with intervals, and the sentence that says what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from udp.evaluation.metrics.features import clean_loss, diversity, features, similarity
from udp.evaluation.metrics.quality import (
    blur,
    log_spectra,
    noise_level,
    pattern_excess,
    squares,
    texture,
    texture_distance,
)
from udp.evaluation.metrics.sets import bootstrap, frechet_distance, kernel_distance, precision_recall
from udp.evaluation.verdict import Figures
from udp.models.base import DiffusionModel
from udp.photos import Photo

Intervals = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Reference:
    """What figures compare with: the clean photos, and what the base model gave for the prompt, as features.

    `texture` is (photos, 18) in dB; `real` and `before` are (N, D), see `udp.evaluation.metrics.features.features`.
    """

    model: DiffusionModel
    photos: tuple[Photo, ...]
    prompt: str
    real: torch.Tensor
    before: torch.Tensor
    texture: np.ndarray

    @classmethod
    def of(cls, model: DiffusionModel, photos: Sequence[Photo], prompt: str, before: Sequence[np.ndarray]) -> Reference:
        """Extract the features once; every arm uses them."""
        pixels = [photo.pixels for photo in photos]
        real = features(model, pixels)
        return cls(
            model, tuple(photos), prompt, real, features(model, before), texture(squares(pixels, model.resolution))
        )

    def basis(self, pictures: int) -> str:
        """What extractor and how many samples the figures rest on."""
        return (
            f"{pictures} pictures a run and arm against {len(self.photos)} clean photos. Similarity, diversity, FID, "
            f"KID, precision and recall: features of the base model's ({Path(self.model.name).name}) U-Net, middle block at "
            f"t = 100, pooled to 2 x 2, {self.real.shape[1]} numbers; they do not compare with Inception figures. "
            f"Texture: wavelets, no network. Pattern: power spectra of the luminance, no network, {pictures} pairs of "
            f"pictures of one seed, the arm's and the clean arm's; without any pattern it is not 0 but some dB. "
            f"Intervals of one run: 95% bootstrap over its pictures; of several runs: 95% Student t over them."
        )

    def measure(
        self, model: DiffusionModel, unet: torch.nn.Module, images: Sequence[np.ndarray]
    ) -> tuple[Figures, Intervals]:
        """Figures of `images` (uint8) and of what `unet` knows, and 95% bootstrap intervals where pictures decide."""
        found = features(self.model, images)
        textures = texture_distance(texture(images), self.texture)
        noise, blurs = np.array([noise_level([image]) for image in images]), blur(images)
        origin = self.before.mean(0)
        by_index: dict[str, Callable[[np.ndarray], float]] = {
            "similarity": lambda i: similarity(found[i], self.real, origin),
            "texture_distance": lambda i: float(textures[i].mean()),
            "noise_level": lambda i: float(noise[i].mean()),
            "blur": lambda i: float(blurs[i].mean()),
        }
        if min(len(images), len(self.photos)) > 1:
            # Unit mean square instead of unit length: the scale that KID's kernel is meant for.
            scale = found.shape[1] ** 0.5
            ours, real = found.cpu().numpy() * scale, self.real.cpu().numpy() * scale
            by_index |= {
                "fid": lambda i: frechet_distance(ours[i], real),
                "kid": lambda i: kernel_distance(ours[i], real),
                "precision": lambda i: precision_recall(ours[i], real)[0],
                "recall": lambda i: precision_recall(ours[i], real)[1],
            }
        everything = np.arange(len(images))
        figures = {
            "clean_loss": round(clean_loss(model, unet, self.photos, self.prompt), 4),
            "diversity": round(diversity(found), 3),
            **{name: round(figure(everything), 3) for name, figure in by_index.items()},
        }
        if len(images) < 2:
            return figures, {}
        return figures, {name: bootstrap(figure, len(images)) for name, figure in by_index.items()}


def pattern_figures(images: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> tuple[Figures, Intervals]:
    """`pattern_excess` of an arm's uint8 pictures over the clean arm's of the same seeds, and its bootstrap interval.

    Without pictures there is no figure, with a single one no interval.
    The interval is for the frequency that was found; it does not say how likely a frequency as strong is by chance.
    """
    if not images:
        return {}, {}
    excess = pattern_excess(log_spectra(images), log_spectra(clean))
    figures = {"pattern_excess": round(float(excess.mean()), 3)}
    if len(excess) < 2:
        return figures, {}
    return figures, {"pattern_excess": bootstrap(lambda i: float(excess[i].mean()), len(excess))}
