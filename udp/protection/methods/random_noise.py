"""Random noise of the same budget: the control that a protection has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.models.base import DiffusionModel
from udp.progress import OnProgress, Progress, Stage
from udp.protection.base import ProtectionMethod


@dataclass(frozen=True)
class RandomNoise(ProtectionMethod):
    """Each cell and channel moves by plus or minus the whole budget, at random.

    Signs rather than uniform noise, and cells as large as one pixel of the model: the strongest independent noise that
    the budget allows and that survives the model's downscaling, so the hardest control to beat.
    """

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "Random noise (control)"
    reference: ClassVar[str] = "control"
    uses_model: ClassVar[bool] = False

    @classmethod
    def beside(cls, method: ProtectionMethod) -> RandomNoise:
        """The control of `method`: noise that may change each pixel by as much as the method may, and no more."""
        return cls(budget=method.budget, perceptual=method.perceptual)

    def run(
        self,
        images: Sequence[torch.Tensor],
        limits: Sequence[torch.Tensor],
        model: DiffusionModel | None,
        prompt: str,
        generator: torch.Generator,
        on_progress: OnProgress,
    ) -> list[torch.Tensor]:
        """See `ProtectionMethod.run`."""
        perturbations = []
        for index, (image, limit) in enumerate(zip(images, limits, strict=True)):
            height, width = image.shape[-2:]
            scale = min(1.0, model.resolution / min(height, width)) if model else 1.0
            cells = (1, 3, round(height * scale), round(width * scale))
            signs = torch.randint(0, 2, cells, generator=generator).float() * 2 - 1
            perturbations.append(torch.nn.functional.interpolate(signs, size=(height, width)) * limit)
            on_progress(Progress(Stage.NOISE, index + 1, len(images)))
        return perturbations
