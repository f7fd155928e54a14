"""Mist: pull the latents to a sharp picture and raise the denoising loss (Liang & Wu 2023, arXiv 2305.12683).

"textural" is the encoder part alone, "semantic" the denoising part alone (AdvDM), "fused" both, the published default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.models.loss import DenoisingLoss
from udp.protection.denoising_method import TimestepMethod
from udp.protection.pgd import Direction, Objective
from udp.protection.pgd_method import Run
from udp.protection.targets import TARGETS, target_latents
from udp.settings import setting

MODES = ("fused", "textural", "semantic")


@dataclass(frozen=True)
class Mist(TimestepMethod):
    """Published (mist_v3.py): 100 steps of 1/255 inside 16/255, random start, fused.

    There the squared distance is summed over the 4 x 64 x 64 latents and the denoising loss weighs 10^4; with a mean
    instead of the sum that is 10^4 / 16384 = 0.61. The published target picture is replaced by a pattern of ours.
    """

    mode: str = setting("fused", "which loss: towards the target, away from the model, or both", choices=MODES)
    target: str = setting("pattern", "what the encoder is to see instead of the photo", choices=TARGETS)
    fused_weight: float = setting(0.61, "weight of the denoising loss in the fused mode", 0, 10, 0.01)

    name: ClassVar[str] = "mist"
    title: ClassVar[str] = "Mist (textural, semantic or both)"
    reference: ClassVar[str] = "arXiv 2305.12683"

    @property
    def direction(self) -> Direction:
        """See `ProtectionMethod.direction`: only the semantic mode's loss is to rise."""
        return "ascend" if self.mode == "semantic" else "descend"

    @property
    def attacks_encoder_alone(self) -> bool:
        """See `ProtectionMethod.attacks_encoder_alone`: the textural mode does."""
        return self.mode == "textural"

    def objective(self, run: Run) -> Objective:
        """See `PGDMethod.objective`."""
        loss = DenoisingLoss(run.model, run.conditioning, run.timesteps)
        target = target_latents(run.model, self.target)

        def mist(perturbed: Sequence[torch.Tensor], clean: Sequence[torch.Tensor], step: int) -> torch.Tensor:
            latents = run.look(len(perturbed))(perturbed)
            textural = (latents - target).square().mean()
            if self.mode == "textural":
                return textural
            told = loss.told(run.text_of(clean, self.draws))
            semantic = told(run.network, latents.repeat(self.draws, 1, 1, 1), run.generator)
            return semantic if self.mode == "semantic" else textural - self.fused_weight * semantic

        return mist
