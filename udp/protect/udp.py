"""UDP: unlearnable diffusion perturbation, a max-min problem (Zhao et al. 2023, arXiv 2306.01902).

max over perturbations, min over the surrogate's weights, of the denoising loss on the perturbed photos. Rounds
alternate a few descent steps of a surrogate on the photos as they now are, and PGD ascent steps of the photos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        settings = PGDSettings(self.pgd_steps, self.step_size, self.budget, "ascend")
        # A random start: at zero the gradient's sign is no better than a coin's.
        perturbations = [(torch.rand(image.shape, generator=generator) * 2 - 1) * self.budget for image in images]
        total = self.rounds * (self.surrogate_steps + self.pgd_steps)
        done = 0

        def latents_of(perturbed: Sequence[torch.Tensor]) -> torch.Tensor:
            positions = torch.rand(len(perturbed), generator=generator).tolist()  # every part gets its turn
            return model.encode(model.prepare(perturbed, positions))

        def surrogate_loss(step: int) -> torch.Tensor:
            chosen = torch.randperm(len(images), generator=generator)[: settings.group_size].tolist()
            with torch.no_grad():
                latents = latents_of([images[index] + perturbations[index] for index in chosen])
            return loss(surrogate, latents, generator)

        def image_loss(perturbed: Sequence[torch.Tensor], step: int) -> torch.Tensor:
            return loss(surrogate, latents_of(perturbed).repeat(self.draws, 1, 1, 1), generator)

        def report(stage: str) -> Callable[[int, float], None]:
            def on_step(step: int, value: float) -> None:
                nonlocal done
                done += 1
                on_progress(Progress(stage, done, total, value))

            return on_step

        for _ in range(self.rounds):
            surrogate.requires_grad_(True)
            trainer.run(surrogate_loss, self.surrogate_steps, report("training the surrogate"))
            surrogate.requires_grad_(False)  # the images' gradient must not also be computed for the weights
            perturbations, _ = pgd(image_loss, images, perturbations, settings, report("perturbing the photos"))
        return perturbations
