"""UDP: unlearnable diffusion perturbation, a max-min problem (Zhao et al. 2023, arXiv 2306.01902).

max over perturbations, min over the surrogate's weights, of the denoising loss on the perturbed photos. Rounds
alternate a few descent steps of a surrogate on the photos as they now are, and PGD ascent steps of the photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.losses import DenoisingLoss
from udp.models import LatentDiffusionModel
from udp.pgd import PGDSettings, pgd
from udp.protect.base import ProtectionMethod
from udp.timesteps import WEIGHTS, timestep_distribution
from udp.training import Trainer, TrainingSettings
from udp.types import OnProgress, Progress, setting


@dataclass(frozen=True)
class UDP(ProtectionMethod):
    """Surrogate and images share one timestep distribution; uniform is UDP, see `udp.timesteps` for EUDP's."""

    rounds: int = setting(10, "rounds, each a surrogate phase and a PGD phase", 1, 100, 1)
    surrogate_steps: int = setting(4, "surrogate training steps in a round", 0, 50, 1)
    pgd_steps: int = setting(10, "PGD ascent steps in a round", 1, 50, 1)
    step_size: float = setting(1 / 255, "PGD step size", 0.1 / 255, 8 / 255, 0.1 / 255, levels=True)
    surrogate_learning_rate: float = setting(1e-4, "AdamW learning rate of the surrogate", 1e-7, 1e-2, 1e-7)
    draws: int = setting(2, "timesteps and noises drawn for each photo in a PGD step", 1, 16, 1)
    timestep_weights: str = setting("uniform", "how timesteps are drawn", choices=tuple(WEIGHTS))

    name: ClassVar[str] = "udp"
    title: ClassVar[str] = "UDP (uniform timesteps)"
    reference: ClassVar[str] = "arXiv 2306.01902"

    def run(
        self,
        images: Sequence[torch.Tensor],
        model: LatentDiffusionModel,
        prompt: str,
        generator: torch.Generator,
        on_progress: OnProgress,
    ) -> list[torch.Tensor]:
        """See `ProtectionMethod.run`."""
        timesteps = timestep_distribution(self.timestep_weights, model.alphas_cumprod)
        loss = DenoisingLoss(model, model.embed(prompt), timesteps)
        surrogate = model.copy_unet()
        trainer = Trainer(surrogate.parameters(), TrainingSettings(self.surrogate_learning_rate))
        perturbations = [
            (torch.rand(image.shape, generator=generator) * 2 - 1) * self.budget for image in images
        ]  # a random start: at zero the gradient's sign is no better than a coin's
        total = self.rounds * (self.surrogate_steps + self.pgd_steps)

        def crops() -> list[float]:
            return torch.rand(len(images), generator=generator).tolist()

        def objective(perturbed: Sequence[torch.Tensor], step: int) -> torch.Tensor:
            latents = model.encode(model.prepare(perturbed, crops()))
            return loss(surrogate, latents.repeat(self.draws, 1, 1, 1), generator)

        for index in range(self.rounds):
            before = index * (self.surrogate_steps + self.pgd_steps)

            def report(step: int, value: float, before: int = before) -> None:
                on_progress(Progress("perturbing the photos", before + self.surrogate_steps + step, total, value))

            def report_surrogate(step: int, value: float, index: int = index, before: int = before) -> None:
                done = before + step - index * self.surrogate_steps
                on_progress(Progress("training the surrogate", done, total, value))

            if self.surrogate_steps:
                with torch.no_grad():
                    current = [image + p for image, p in zip(images, perturbations, strict=True)]
                    latents = model.encode(model.prepare(current, crops()))

                def surrogate_loss(step: int, latents: torch.Tensor = latents) -> torch.Tensor:
                    return loss(surrogate, latents, generator)

                surrogate.requires_grad_(True)
                trainer.run(surrogate_loss, self.surrogate_steps, report_surrogate)
            surrogate.requires_grad_(False)  # the images' gradient must not also be computed for the weights
            settings = PGDSettings(self.pgd_steps, self.step_size, self.budget, "ascend")
            perturbations, _ = pgd(objective, images, perturbations, settings, report)
        return perturbations
