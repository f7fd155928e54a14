"""ASPL: alternating surrogate and perturbation learning (Anti-DreamBooth, Van Le et al. 2023, 2303.15433, section 4.2).

A model follows the perturbed photos. In every round a copy of it takes a few steps on clean photos, PGD raises the
copy's loss, and the model itself goes on with what PGD made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.models.loss import DenoisingLoss
from udp.models.timesteps import timestep_distribution
from udp.protection.methods.fsmg import PUBLISHED_STEP
from udp.protection.methods.udp import UDP
from udp.protection.pgd import PGD
from udp.protection.pgd_method import Reporter, Run
from udp.protection.start import ZERO
from udp.protection.surrogate import ON_ADAPTERS, SurrogateMethod
from udp.settings import BySize, preset


@dataclass(frozen=True)
class ASPL(SurrogateMethod):
    """Published (attack_with_aspl.sh): 50 rounds of 3 surrogate and 6 PGD steps of 0.64/255 inside 6.4/255,
    surrogates at 5e-7.

    Optimisers start afresh in every round and there is no random start, as in the published code; its further clean
    photos and class images are not needed here: the copy learns the photos themselves, unperturbed. For adapters, which
    are not in the paper, the rate is 20 times the published one, as LoRA's usual rate is 20 times DreamBooth's.
    """

    rounds: int = preset(UDP, "rounds", 50)
    surrogate_steps: int = preset(UDP, "surrogate_steps", 3)
    pgd_steps: int = preset(UDP, "pgd_steps", 6)
    step_size: float = preset(SurrogateMethod, "step_size", PUBLISHED_STEP)
    start: str = preset(SurrogateMethod, "start", ZERO)
    surrogate_learning_rate: float | None = preset(
        SurrogateMethod, "surrogate_learning_rate", BySize(1e-4, 5e-7, (*ON_ADAPTERS, BySize(4e-3, 1e-5)))
    )

    name: ClassVar[str] = "aspl"
    title: ClassVar[str] = "ASPL (Anti-DreamBooth)"
    reference: ClassVar[str] = "arXiv 2303.15433"

    @property
    def loop_steps(self) -> int:
        """See `PGDMethod.loop_steps`: two surrogate phases a round, but one in the first."""
        return self.rounds * (2 * self.surrogate_steps + self.pgd_steps) - self.surrogate_steps

    def surrogate_phase(self, run: Run, attack: PGD, report: Reporter) -> Callable[[], None]:
        """The model learns the perturbed photos, then its copy, which PGD attacks, the clean ones."""
        uniform = timestep_distribution("uniform", run.model.schedule.signal_share)
        loss = DenoisingLoss(run.model, run.conditioning, uniform)
        model = self.attacked_network(run.model, run.generator)
        on_perturbed = self.batch_loss(run, loss, model, lambda index: run.images[index] + attack.perturbations[index])
        on_clean = self.batch_loss(run, loss, run.network, lambda index: run.images[index])

        def phase() -> None:
            if attack.step:
                self.learn(self.trainer(model), on_perturbed, report)
            with torch.no_grad():
                for copied, weight in zip(self.learned(run.network), self.learned(model), strict=True):
                    copied.copy_(weight)
            self.learn(self.trainer(run.network), on_clean, report)

        return phase
