"""EUDP: UDP with timesteps drawn from a distribution built from the noise scheduler (arXiv 2306.01902).

The paper's formula is not public; weights proportional to sqrt(alpha_bar_t) are our reading (see `udp.models.timesteps`). One
term is our addition: the photos also move away from their clean selves in the autoencoder's latents. The denoising loss's
gradient changes with every timestep and noise, the distance's is steady, and the latents move further.
`benchmarks/compare_methods.py` measures what that is worth at equal cost. `encoder_weight=0` is EUDP as the paper describes
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udp.protection.methods.udp import UDP
from udp.settings import preset


@dataclass(frozen=True)
class EUDP(UDP):
    """UDP with sqrt(alpha_bar_t) timestep weights, and the latents' distance to the clean photos added to the loss."""

    timestep_weights: str = preset(UDP, "timestep_weights", "sqrt_alpha_bar")
    encoder_weight: float = preset(UDP, "encoder_weight", 2.0)

    name: ClassVar[str] = "eudp"
    title: ClassVar[str] = "EUDP (timesteps weighted by the noise scheduler)"
