"""Figures of one arm's pictures from CLIP and DINOv2, with intervals, and what each of them rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from udp.evaluation.metrics.figures import Intervals
from udp.evaluation.metrics.pretrained import Pretrained, mean_cosine
from udp.evaluation.metrics.quality import squares
from udp.evaluation.metrics.sets import bootstrap
from udp.evaluation.verdict import Figures
from udp.models.base import DiffusionModel
from udp.photos import Photo


@dataclass(frozen=True)
class PretrainedReference:
    """What the figures compare with, as features of unit length: the clean photos, (N, D), and the prompt, (D,).

    The photos are seen at the diffusion model's resolution, as the pictures are, so that sharpness alone sets neither
    apart. `text` is None for a model that takes no prompts.
    """

    models: Pretrained
    clip: np.ndarray
    dinov2: np.ndarray
    text: np.ndarray | None

    @classmethod
    def of(
        cls, models: Pretrained, diffusion: DiffusionModel, photos: Sequence[Photo], prompt: str
    ) -> PretrainedReference:
        """Extract the features once; every arm uses them. `prompt` is that of the generated pictures."""
        seen = squares([photo.pixels for photo in photos], diffusion.resolution)
        text = models.clip.text(prompt) if diffusion.takes_prompts else None
        return cls(models, models.clip.images(seen), models.dinov2.images(seen), text)

    def measure(self, images: Sequence[np.ndarray]) -> tuple[Figures, Intervals]:
        """Figures of uint8 pictures (CLIP-I, DINO and CLIP-T of arXiv 2208.12242), and 95% bootstrap intervals."""
        clip, dinov2 = self.models.clip.images(images), self.models.dinov2.images(images)
        values = {
            "clip_image_similarity": mean_cosine(clip, self.clip),
            "dinov2_image_similarity": mean_cosine(dinov2, self.dinov2),
        }
        if self.text is not None:
            values["clip_prompt_agreement"] = clip @ self.text
        figures = {name: round(float(found.mean()), 4) for name, found in values.items()}
        if len(images) < 2:
            return figures, {}
        return figures, {
            name: bootstrap(lambda i, found=found: float(found[i].mean()), len(images))
            for name, found in values.items()
        }

    def extractors(self, pictures: int) -> dict[str, str]:
        """By figure, the name of its extractor and how many samples it rests on."""
        clip, dinov2, against = self.models.clip.name, self.models.dinov2.name, f"against {len(self.clip)} clean photos"
        found = {
            "clip_image_similarity": f"{clip}, {pictures} pictures a run and arm {against}",
            "dinov2_image_similarity": f"{dinov2}, {pictures} pictures a run and arm {against}",
        }
        if self.text is not None:
            found["clip_prompt_agreement"] = f"{clip}, {pictures} pictures a run and arm against the prompt"
        return found

    def basis(self) -> str:
        """How the figures are made, and how alike the clean photos are among themselves by the same measure."""
        said = "CLIP and DINOv2 similarity: mean cosine of all pairs of a generated picture and a clean photo"
        if len(self.clip) > 1:
            clip, dinov2 = _among(self.clip), _among(self.dinov2)
            said += f" (pairs of different clean photos: CLIP {clip:.3f}, DINOv2 {dinov2:.3f})"
        if self.text is not None:
            said += ". CLIP prompt agreement: mean cosine of a picture and the whole prompt, made-up words included"
        return f"{said}."


def _among(features: np.ndarray) -> float:
    """Mean cosine of all pairs of different members."""
    return float((features @ features.T)[~np.eye(len(features), dtype=bool)].mean())
