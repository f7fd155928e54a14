"""EUDP: UDP with timesteps drawn from a distribution built from the noise scheduler (arXiv 2306.01902).

The paper's formula is not public; weights proportional to sqrt(alpha_bar_t) are our reading (see `udp.timesteps`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udp.protect.udp import UDP
from udp.timesteps import WEIGHTS
from udp.types import setting


@dataclass(frozen=True)
class EUDP(UDP):
    """UDP with sqrt(alpha_bar_t) timestep weights."""

    timestep_weights: str = setting("sqrt_alpha_bar", "how timesteps are drawn (our reading)", choices=tuple(WEIGHTS))

    name: ClassVar[str] = "eudp"
    title: ClassVar[str] = "EUDP (timesteps weighted by the noise scheduler)"
