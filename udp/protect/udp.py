"""UDP: unlearnable diffusion perturbation, a max-min problem (Zhao et al. 2023, arXiv 2306.01902).

max over perturbations, min over the surrogate's weights, of the denoising loss on the perturbed photos. Rounds
alternate a few descent steps of a surrogate on the photos as they now are, and PGD ascent steps of the photos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from udp.pgd import PGD
from udp.protect.pgd_method import Reporter, Run, SurrogateMethod


@dataclass(frozen=True)
class UDP(SurrogateMethod):
    """Surrogate and images share one timestep distribution; uniform is UDP, see `udp.timesteps` for EUDP's."""

    name: ClassVar[str] = "udp"
    title: ClassVar[str] = "UDP (uniform timesteps)"
    reference: ClassVar[str] = "arXiv 2306.01902"

    def surrogate_phase(self, run: Run, attack: PGD, report: Reporter) -> Callable[[], None]:
        """One surrogate for the whole run learns the photos as they now are."""
        trainer, loss = self.trainer(run.unet), self.denoising_loss(run)
        step_loss = self.surrogate_loss(
            run, loss, run.unet, lambda index: run.images[index] + attack.perturbations[index]
        )

        def phase() -> None:
            run.unet.requires_grad_(True)
            trainer.run(step_loss, self.surrogate_steps, report("training the surrogate"))
            run.unet.requires_grad_(False)  # the images' gradient must not also be computed for the weights

        return phase
