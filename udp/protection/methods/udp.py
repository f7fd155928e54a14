"""UDP: unlearnable diffusion perturbation, a max-min problem (Zhao et al. 2023, arXiv 2306.01902).

max over perturbations, min over the surrogate's weights, of the denoising loss on the perturbed photos. Rounds
alternate a few descent steps of a surrogate on the photos as they now are, and PGD ascent steps of the photos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from udp.models.loss import DenoisingLoss
from udp.protection.pgd import PGD
from udp.protection.pgd_method import Reporter, Run
from udp.protection.surrogate import SurrogateMethod
from udp.settings import setting


@dataclass(frozen=True)
class UDP(SurrogateMethod):
    """Surrogate and images share one timestep distribution; uniform is UDP, see `udp.models.timesteps` for EUDP's.

    Two hundred steps of one draw each do more than a hundred of two, at as many gradients of the U-Net.
    """

    rounds: int = setting(20, "rounds, each a surrogate phase and a PGD phase", 1, 100, 1)
    surrogate_steps: int = setting(2, "surrogate training steps in a round", 0, 50, 1)
    pgd_steps: int = setting(10, "PGD steps in a round", 1, 50, 1)

    name: ClassVar[str] = "udp"
    title: ClassVar[str] = "UDP (uniform timesteps)"
    reference: ClassVar[str] = "arXiv 2306.01902"

    def surrogate_phase(self, run: Run, attack: PGD, report: Reporter) -> Callable[[], None]:
        """One surrogate for the whole run learns the photos as they now are."""
        trainer, loss = self.trainer(run.network), DenoisingLoss(run.model, run.conditioning, run.timesteps)
        step_loss = self.batch_loss(
            run, loss, run.network, lambda index: run.images[index] + attack.perturbations[index]
        )

        return lambda: self.learn(trainer, step_loss, report)
