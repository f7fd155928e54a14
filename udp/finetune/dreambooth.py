"""DreamBooth: every weight of the U-Net learns the subject (Ruiz et al. 2023, arXiv 2208.12242)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.finetune.base import Recipe
from udp.models import DiffusionModel
from udp.types import setting


@dataclass(frozen=True)
class DreamBooth(Recipe):
    """Full fine-tune, without prior preservation: the plain case, and the hardest one to protect against."""

    learning_rate: float = setting(1e-3, "AdamW learning rate", 1e-7, 1e-2, 1e-7)

    name: ClassVar[str] = "dreambooth"
    title: ClassVar[str] = "DreamBooth (all weights)"
    reference: ClassVar[str] = "arXiv 2208.12242"

    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        """See `Recipe.trainable`."""
        return model.copy_unet()

    def weight_change(self, model: DiffusionModel, unet: torch.nn.Module) -> float:
        """See `FineTuned.weight_change`."""
        moved = total = 0.0
        for before, after in zip(model.unet.parameters(), unet.parameters(), strict=True):
            moved += float((after.detach() - before).square().sum())
            total += float(before.square().sum())
        return (moved / total) ** 0.5
