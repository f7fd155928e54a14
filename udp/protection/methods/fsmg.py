"""FSMG: fully-trained surrogate model guidance (Anti-DreamBooth, Van Le et al. 2023, arXiv 2303.15433, section 4.2).

The surrogate first learns the subject from clean photos, as an imitator would; then PGD raises its denoising loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from udp.models.loss import DenoisingLoss
from udp.models.timesteps import timestep_distribution
from udp.protection.pgd import PGD
from udp.protection.pgd_method import Reporter, Run
from udp.protection.start import ZERO
from udp.protection.surrogate import SurrogateMethod
from udp.settings import preset

# The published scripts say 5e-3 on pixels in [-1, 1].
PUBLISHED_STEP = 0.0025


@dataclass(frozen=True)
class FSMG(SurrogateMethod):
    """Published (attack_with_fsmg.sh): 100 steps of 0.0025 (0.64/255) inside 6.4/255, no random start.

    There the surrogate trains for 1,000 steps at 5e-7, with class images, on further clean photos of the subject; ours
    has only the photos themselves, unperturbed, and fewer, larger steps.
    """

    step_size: float = preset(SurrogateMethod, "step_size", PUBLISHED_STEP)
    start: str = preset(SurrogateMethod, "start", ZERO)
    surrogate_steps: int = preset(SurrogateMethod, "surrogate_steps", 100)

    name: ClassVar[str] = "fsmg"
    title: ClassVar[str] = "FSMG (surrogate trained on the clean photos)"
    reference: ClassVar[str] = "arXiv 2303.15433"

    def surrogate_phase(self, run: Run, attack: PGD, report: Reporter) -> Callable[[], None]:
        """The surrogate learns the clean photos, with uniform timesteps as an imitator would."""
        uniform = timestep_distribution("uniform", run.model.schedule.signal_share)
        loss = DenoisingLoss(run.model, run.conditioning, uniform)
        step_loss = self.batch_loss(run, loss, run.network, lambda index: run.images[index])

        return lambda: self.learn(self.trainer(run.network), step_loss, report)
