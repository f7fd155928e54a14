"""EUDP with a shared target: our addition to the paper (arXiv 2306.01902), not part of it.

EUDP lets every photo move where its own gradient leads, and a fine-tune averages some of that away. Here the encoder draws
all photos towards one picture instead, as Mist's fused loss does (arXiv 2305.12683), so that the fine-tune learns the same
wrong thing from each of them. `benchmarks/compare_methods.py` measures what that is worth at equal cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udp.protection.methods.eudp import EUDP
from udp.settings import preset


@dataclass(frozen=True)
class EUDPTarget(EUDP):
    """EUDP whose photos also descend 1.6 times the distance to a shared target (Mist's ratio of the two losses, 1 / 0.61)."""

    encoder_weight: float = preset(EUDP, "encoder_weight", 1.6)
    encoder_target: str = preset(EUDP, "encoder_target", "pattern")

    name: ClassVar[str] = "eudp-target"
    title: ClassVar[str] = "EUDP with a shared target (our addition)"
