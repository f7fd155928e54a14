"""SimAC: ASPL at the timesteps where the photos' gradient is strong (Wang et al. 2023, arXiv 2312.07865).

The timesteps come from SimAC's adaptive greedy search (`udp.models.timesteps.greedy_distribution`), one distribution for all
photos. The paper's feature interference loss is left out: in the released code it is detached and moves no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udp.models.timesteps import GREEDY
from udp.protection.methods.aspl import ASPL
from udp.settings import preset


@dataclass(frozen=True)
class SimAC(ASPL):
    """ASPL with greedy timesteps; published inside 8/255 (time_feature.py: 16/255 on pixels in [-1, 1]), 0.64/255 a step."""

    timestep_weights: str = preset(ASPL, "timestep_weights", GREEDY)

    name: ClassVar[str] = "simac"
    title: ClassVar[str] = "SimAC (ASPL with greedily chosen timesteps)"
    reference: ClassVar[str] = "arXiv 2312.07865"
