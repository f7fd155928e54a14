"""What figures of faces are made from: how often a picture has one, and how much it is the person of the clean photos.

FDFR and ISM of Anti-DreamBooth (Van Le et al. 2023, arXiv 2303.15433, section 5.1), with other networks than its RetinaFace and
ArcFace, so that the numbers do not compare with published ones. FDFR is 1 less `face_share`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from udp.errors import InvalidInput
from udp.evaluation.metrics.base import Metric
from udp.evaluation.metrics.faces import Faces
from udp.evaluation.metrics.quality import squares
from udp.evaluation.metrics.reference import Reference
from udp.language import Text, text
from udp.models.base import DiffusionModel
from udp.photos import Photo, flattened


@dataclass(frozen=True)
class FacesSeen:
    """One run of an arm's pictures: the identity in each, (D,) of unit length, or None without a face."""

    images: Sequence[np.ndarray]
    identities: Sequence[np.ndarray | None]
    person: np.ndarray

    def share(self) -> np.ndarray:
        """1 for a picture with a face, else 0: (N,)."""
        return np.array([float(identity is not None) for identity in self.identities])

    def alike(self) -> np.ndarray | float | None:
        """Cosine to the person, (N,); the mean over those with a face if some have none; None if none has."""
        found = [float(identity @ self.person) for identity in self.identities if identity is not None]
        if not found:
            return None
        return np.array(found) if len(found) == len(self.identities) else float(np.mean(found))


@dataclass(frozen=True)
class FaceReference(Reference):
    """The person of the clean photos: the mean of their identities, (D,) of unit length, out of `found` of `photos` photos.

    The photos are seen at the diffusion model's resolution, as the pictures are.
    """

    models: Faces
    person: np.ndarray
    found: int
    photos: int

    evidence = FacesSeen

    @classmethod
    def of(cls, models: Faces, diffusion: DiffusionModel, photos: Sequence[Photo]) -> FaceReference:
        """Raises `InvalidInput` if no photo has a face that the detector finds."""
        seen = squares([flattened(photo).pixels for photo in photos], diffusion.resolution)
        known = [identity for identity in models.identities(seen) if identity is not None]
        if not known:
            raise InvalidInput(
                f"expected a face in at least one of {len(photos)} clean photos, for figures of faces, got none that "
                f"{models.name} finds at {diffusion.resolution} px"
            )
        mean = np.mean(known, 0)
        return cls(models, mean / np.linalg.norm(mean), len(known), len(photos))

    def see(self, images: Sequence[np.ndarray]) -> FacesSeen:
        """See `Reference.see`."""
        return FacesSeen(images, self.models.identities(images), self.person)

    def rests_on(self, row: Metric, pictures: int) -> Text:
        """See `Reference.rests_on`."""
        said = "extractor.photos" if row.key == "face_share" else "extractor.faces"
        return text(said, name=self.models.name, pictures=pictures, photos=self.found)

    def basis(self) -> Text:
        """See `Reference.basis`."""
        return text("basis.faces", found=self.found, photos=self.photos)
