"""EUDP: UDP with timesteps drawn from a distribution built from the noise scheduler (arXiv 2306.01902).

The paper's formula is not public; weights proportional to sqrt(alpha_bar_t) are our reading (see `udp.timesteps`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udp.protect.udp import UDP
from udp.types import preset


@dataclass(frozen=True)
class EUDP(UDP):
    """UDP with sqrt(alpha_bar_t) timestep weights."""

    timestep_weights: str = preset(UDP, "timestep_weights", "sqrt_alpha_bar")

    name: ClassVar[str] = "eudp"
    title: ClassVar[str] = "EUDP (timesteps weighted by the noise scheduler)"
