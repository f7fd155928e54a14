"""What figures from CLIP and DINOv2 are made from, and what each of them rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from udp.evaluation.metrics.base import Extractor, Metric
from udp.evaluation.metrics.pretrained import Pretrained, mean_cosine
from udp.evaluation.metrics.quality import squares
from udp.evaluation.metrics.reference import Reference
from udp.language import Text, text
from udp.models.base import DiffusionModel
from udp.photos import Photo, flattened


@dataclass(frozen=True)
class Seen:
    """One run of an arm's pictures as CLIP and DINOv2 see them, features of unit length (N, D)."""

    reference: PretrainedReference
    images: Sequence[np.ndarray]
    clip: np.ndarray
    dinov2: np.ndarray

    def to_photos(self, extractor: Extractor) -> np.ndarray:
        """Mean cosine of every picture to the clean photos (N,)."""
        ours, photos = {
            Extractor.CLIP: (self.clip, self.reference.clip),
            Extractor.DINOV2: (self.dinov2, self.reference.dinov2),
        }[extractor]
        return mean_cosine(ours, photos)

    def to_prompt(self) -> np.ndarray | None:
        """Cosine of every picture to the prompt (N,), by CLIP; None for a model that takes no prompts."""
        return None if self.reference.text is None else self.clip @ self.reference.text


@dataclass(frozen=True)
class PretrainedReference(Reference):
    """What the figures compare with, as features of unit length: the clean photos, (N, D), and the prompt, (D,).

    The photos are seen at the diffusion model's resolution, as the pictures are, so that sharpness alone sets neither
    apart. `text` is None for a model that takes no prompts.
    """

    models: Pretrained
    clip: np.ndarray
    dinov2: np.ndarray
    text: np.ndarray | None

    evidence = Seen

    @classmethod
    def of(
        cls, models: Pretrained, diffusion: DiffusionModel, photos: Sequence[Photo], prompt: str
    ) -> PretrainedReference:
        """Extract the features once; every arm uses them. `prompt` is that of the generated pictures."""
        seen = squares([flattened(photo).pixels for photo in photos], diffusion.resolution)
        wanted = models.clip.text(prompt) if diffusion.takes_prompts else None
        return cls(models, models.clip.images(seen), models.dinov2.images(seen), wanted)

    def see(self, images: Sequence[np.ndarray]) -> Seen:
        """See `Reference.see`."""
        return Seen(self, images, self.models.clip.images(images), self.models.dinov2.images(images))

    def rests_on(self, row: Metric, pictures: int) -> Text | None:
        """See `Reference.rests_on`."""
        name = {Extractor.CLIP: self.models.clip.name, Extractor.DINOV2: self.models.dinov2.name}[row.extractor]
        if row.on_prompt and self.text is None:
            return None
        if row.on_prompt:
            return text("extractor.prompt", name=name, pictures=pictures)
        return text("extractor.photos", name=name, pictures=pictures, photos=len(self.clip))

    def basis(self) -> Text:
        """How the figures are made, and how alike the clean photos are among themselves by the same measure."""
        among = prompt = text("basis.nothing")
        if len(self.clip) > 1:
            among = text("basis.among", clip=_among(self.clip), dinov2=_among(self.dinov2))
        if self.text is not None:
            prompt = text("basis.prompt")
        return text("basis.pretrained", among=among, prompt=prompt)


def _among(features: np.ndarray) -> float:
    """Mean cosine of all pairs of different members."""
    return float((features @ features.T)[~np.eye(len(features), dtype=bool)].mean())
