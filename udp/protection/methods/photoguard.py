"""PhotoGuard's encoder attack: pull the latents to a target (Salman et al. 2023, arXiv 2302.06588, section 3.1).

The U-Net is not used at all, so it is by far the cheapest. It was made against editing. Against learning, beware of flat
targets: "gray" and "zero" can make a photo easier to denoise than it was, not harder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.protection.pgd import Direction, Objective
from udp.protection.pgd_method import PGDMethod, Run
from udp.protection.targets import TARGETS, target_latents
from udp.settings import preset, setting


@dataclass(frozen=True)
class PhotoGuard(PGDMethod):
    """Published (demo/app.py): 200 steps from 1.3/255 falling linearly, inside 15.3/255, gray target, random start."""

    pgd_steps: int = preset(PGDMethod, "pgd_steps", 200)
    step_size: float = preset(PGDMethod, "step_size", 0.005)
    step_schedule: str = preset(PGDMethod, "step_schedule", "linear")
    target: str = setting("gray", "what the encoder is to see instead of the photo", choices=TARGETS)

    name: ClassVar[str] = "photoguard"
    title: ClassVar[str] = "PhotoGuard (encoder attack)"
    reference: ClassVar[str] = "arXiv 2302.06588"

    @property
    def direction(self) -> Direction:
        """See `ProtectionMethod.direction`: the distance to the target falls."""
        return "descend"

    @property
    def attacks_encoder_alone(self) -> bool:
        """See `ProtectionMethod.attacks_encoder_alone`."""
        return True

    def objective(self, run: Run) -> Objective:
        """See `PGDMethod.objective`."""
        target = target_latents(run.model, self.target)

        def distance(perturbed: Sequence[torch.Tensor], clean: Sequence[torch.Tensor], step: int) -> torch.Tensor:
            return (run.look(len(perturbed))(perturbed) - target).square().mean()

        return distance
