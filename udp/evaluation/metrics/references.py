"""Which further models see the pictures of a run."""

from __future__ import annotations

from collections.abc import Sequence

from udp.evaluation.metrics.faces import Faces
from udp.evaluation.metrics.figures_faces import FaceReference
from udp.evaluation.metrics.figures_pretrained import PretrainedReference
from udp.evaluation.metrics.pretrained import Pretrained
from udp.evaluation.metrics.reference import Reference
from udp.models.base import DiffusionModel
from udp.photos import Photo


def references(
    pretrained: Pretrained | None,
    faces: Faces | None,
    model: DiffusionModel,
    photos: Sequence[Photo],
    framed: Sequence[Photo],
    prompt: str,
) -> list[Reference]:
    """The clean photos as each of the models given sees them. Raises `InvalidInput` for faces where no photo has one.

    `framed` are the photos as the imitator frames them; whose face it is does not depend on the frame, and whole photos show more of it.
    """
    found: list[Reference] = []
    if pretrained:
        found.append(PretrainedReference.of(pretrained, model, framed, prompt))
    if faces:
        found.append(FaceReference.of(faces, model, photos))
    return found
