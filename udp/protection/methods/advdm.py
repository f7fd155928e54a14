"""AdvDM: raise the denoising loss of the model as it is (Liang et al. 2023, arXiv 2302.04578, algorithm 1).

Each PGD step draws one timestep and one noise, a Monte-Carlo estimate of the expected loss. Diff-Protect (Xue et al.
2024, arXiv 2311.12832) found that lowering the loss protects too: it takes the photos' texture away; `sign` chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udp.protection.denoising_method import DenoisingMethod
from udp.protection.pgd import Direction
from udp.settings import setting


@dataclass(frozen=True)
class AdvDM(DenoisingMethod):
    """No surrogate. Defaults as in Diff-Protect's code: 100 steps of 1/255, one draw; its budget there is 16/255."""

    sign: str = setting("ascend", "raise the denoising loss, or lower it", choices=("ascend", "descend"))

    name: ClassVar[str] = "advdm"
    title: ClassVar[str] = "AdvDM (no surrogate)"
    reference: ClassVar[str] = "arXiv 2302.04578"

    @property
    def direction(self) -> Direction:
        """See `ProtectionMethod.direction`."""
        return self.sign
