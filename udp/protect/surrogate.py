"""What methods with a surrogate share: a copy of the U-Net that is trained as an imitator would train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from udp.losses import DenoisingLoss
from udp.models import DiffusionModel
from udp.pgd import PGDSettings
from udp.protect.pgd_method import DenoisingMethod, Run
from udp.training import Trainer, TrainingSettings
from udp.types import model_setting, setting

LEARNING = "training the surrogate"


@dataclass(frozen=True)
class SurrogateMethod(DenoisingMethod):
    """A denoising method against a trained copy of the U-Net, kept in float32 so that small steps are not lost.

    What a surrogate learns with is published for Anti-DreamBooth alone (arXiv 2303.15433): 5e-7 for Stable Diffusion, over
    150 to 1,000 steps. Ours takes tens of steps, and 5e-6, the imitator's own rate in DreamBooth. In a small model either
    moves nothing within a few steps.
    """

    surrogate_steps: int = setting(4, "surrogate training steps", 0, 1000, 1)
    surrogate_learning_rate: float = model_setting(1e-4, 5e-6, "AdamW learning rate of the surrogate", 1e-7, 1e-2, 1e-7)

    def attacked_unet(self, model: DiffusionModel) -> torch.nn.Module:
        """See `PGDMethod.attacked_unet`."""
        return model.copy_unet()

    @property
    def loop_steps(self) -> int:
        """See `PGDMethod.loop_steps`."""
        return self.rounds * (self.surrogate_steps + self.pgd_steps)

    def trainer(self, unet: torch.nn.Module) -> Trainer:
        """A fresh trainer of every weight of `unet`."""
        return Trainer(unet.requires_grad_(True).parameters(), TrainingSettings(self.surrogate_learning_rate))

    def batch_loss(
        self, run: Run, loss: DenoisingLoss, unet: torch.nn.Module, photo: Callable[[int], torch.Tensor]
    ) -> Callable[[int], torch.Tensor]:
        """What `unet` descends: `loss` on a random batch of `photo(index)`, each (1, 3, H, W) as it now is."""

        def step_loss(step: int) -> torch.Tensor:
            chosen = torch.randperm(len(run.images), generator=run.generator)[: PGDSettings.group_size].tolist()
            with torch.no_grad():
                latents = run.look(len(chosen))([photo(index) for index in chosen])
            return loss(unet, latents, run.generator)

        return step_loss
