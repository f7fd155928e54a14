"""EUDP: UDP with timesteps drawn from a distribution built from the noise scheduler (arXiv 2306.01902).

The paper's formula is not public; weights proportional to sqrt(alpha_bar_t) are our reading (see `udp.models.timesteps`). One
term is our addition, on the autoencoder alone: the photos also move away from their clean selves, in a small model in what
their latents decode to, in a large one, where that would not fit into memory, in the latents. An imitator who trains for long
gets back what the latents of the protected photos hold, so it is there that they must be broken; what the denoising loss
alone achieves, 1,200 steps of fine-tuning undo. `encoder_weight=0` and `augment="none"` make EUDP as the paper describes it.

Fewer and larger steps than UDP's, with momentum, falling to zero, through random crops of the photos, which are our addition too: a
perturbation made for whole photos alone is off the encoder's grid in a photo that was cut by a few percent, and loses most of its hold.

Against the embedded model, which sees photos at 128 px, it ends with steps at 512 px, where imitators of Stable Diffusion see them
(`udp.protection.reach`). They get a tenth of the budget: with a fifth the latents there move further, and what an imitator of the
embedded model gets is less broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udp.protection.methods.udp import UDP
from udp.protection.reach import OFF
from udp.settings import BySize, preset


@dataclass(frozen=True)
class EUDP(UDP):
    """UDP with sqrt(alpha_bar_t) timestep weights, and a distance to the clean photos added to the loss."""

    rounds: int = preset(UDP, "rounds", 13)
    pgd_steps: int = preset(UDP, "pgd_steps", 5)
    step_size: float = preset(UDP, "step_size", 2 / 255)
    step_schedule: str = preset(UDP, "step_schedule", "linear")
    momentum: float = preset(UDP, "momentum", 0.8)
    augment: str = preset(UDP, "augment", "crop")
    timestep_weights: str = preset(UDP, "timestep_weights", "sqrt_alpha_bar")
    reach: str | None = preset(UDP, "reach", BySize(OFF, OFF))
    reach_steps: int = preset(UDP, "reach_steps", 4)
    reach_share: float = preset(UDP, "reach_share", 0.1)
    encoder_weight: float = preset(UDP, "encoder_weight", 4.0)
    encoder_target: str | None = preset(UDP, "encoder_target", BySize("decoded", "clean"))

    name: ClassVar[str] = "eudp"
    title: ClassVar[str] = "EUDP (timesteps weighted by the noise scheduler)"
