"""What every method on the PGD loop shares: the start, the rounds, the imitator's view of the photos, the loss.

A method chooses an objective and a direction; surrogate methods add a phase before each round of PGD steps.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.losses import DenoisingLoss
from udp.models import LatentDiffusionModel
from udp.pgd import PGD, SCHEDULES, Direction, Objective, PGDSettings
from udp.protect.base import ProtectionMethod
from udp.timesteps import WEIGHTS, timestep_distribution
from udp.training import Trainer, TrainingSettings
from udp.types import OnProgress, Progress, setting

# A look turns photos (each (1, 3, H, W) in [0, 1]) into latents, one crop and one transformation a photo.
Look = Callable[[Sequence[torch.Tensor]], torch.Tensor]
# stage -> a listener for the loops' (step, loss)
Reporter = Callable[[str], Callable[[int, float], None]]
PERTURBING = "perturbing the photos"


@dataclass(frozen=True)
class Run:
    """What one run works with: the model, its opaque conditioning on the prompt, the photos, the generator.

    `unet` is the network under attack: the base model's own, or a surrogate copy that a method trains.
    """

    model: LatentDiffusionModel
    conditioning: torch.Tensor
    images: Sequence[torch.Tensor]
    generator: torch.Generator
    unet: torch.nn.Module

    def look(self, count: int) -> Look:
        """Draw how the imitator may see `count` photos: every part of a long photo gets its turn in the crop."""
        positions = torch.rand(count, generator=self.generator).tolist()

        def see(photos: Sequence[torch.Tensor]) -> torch.Tensor:
            return self.model.encode(self.model.prepare(photos, positions))

        return see


@dataclass(frozen=True)
class PGDMethod(ProtectionMethod):
    """Base of the PGD methods: `objective` is the loss that the photos move, in `direction`."""

    pgd_steps: int = setting(100, "PGD steps", 1, 2000, 1)
    step_size: float = setting(1 / 255, "PGD step size", 0.1 / 255, 8 / 255, 0.1 / 255, levels=True)
    step_schedule: str = setting("constant", "step size over the run: constant, or falling to zero", choices=SCHEDULES)
    momentum: float = setting(0.0, "memory of past gradients (MI-FGSM's mu); 0 is plain PGD", 0, 2, 0.05)

    rounds: ClassVar[int] = 1
    surrogate_steps: ClassVar[int] = 0
    random_start: ClassVar[bool] = True

    @property
    def direction(self) -> Direction:
        """See `ProtectionMethod.direction`."""
        return "ascend"

    @abc.abstractmethod
    def objective(self, run: Run) -> Objective:
        """The scalar that PGD moves; every random draw comes from `run.generator`."""

    def attacked_unet(self, model: LatentDiffusionModel) -> torch.nn.Module:
        """The network that the photos are perturbed against; the base model's own unless a method trains a copy."""
        return model.unet

    def surrogate_phase(self, run: Run, attack: PGD, report: Reporter) -> Callable[[], None]:
        """What happens before the PGD steps of each round; by default nothing."""
        return lambda: None

    def run(
        self,
        images: Sequence[torch.Tensor],
        limits: Sequence[torch.Tensor],
        model: LatentDiffusionModel,
        prompt: str,
        generator: torch.Generator,
        on_progress: OnProgress,
    ) -> list[torch.Tensor]:
        """See `ProtectionMethod.run`."""
        run = Run(model, model.embed(prompt), images, generator, self.attacked_unet(model))
        total = self.rounds * (self.surrogate_steps + self.pgd_steps)
        settings = PGDSettings(
            self.step_size, self.direction, momentum=self.momentum, schedule=self.step_schedule,
            total_steps=self.rounds * self.pgd_steps,
        )  # fmt: skip
        # A random start: at zero the gradient's sign is no better than a coin's.
        scale = 1.0 if self.random_start else 0.0
        start = [
            (torch.rand(image.shape, generator=generator) * 2 - 1) * limit * scale
            for image, limit in zip(images, limits, strict=True)
        ]
        attack = PGD(images, start, limits, settings)
        done = 0

        def report(stage: str) -> Callable[[int, float], None]:
            def on_step(step: int, value: float) -> None:
                nonlocal done
                done += 1
                on_progress(Progress(stage, done, total, value))

            return on_step

        objective, phase = self.objective(run), self.surrogate_phase(run, attack, report)
        for _ in range(self.rounds):
            phase()
            attack.run(objective, self.pgd_steps, report(PERTURBING))
        return attack.perturbations


@dataclass(frozen=True)
class DenoisingMethod(PGDMethod):
    """A PGD method whose loss is the denoising loss of `run.unet`, optionally with a distance of the latents.

    `encoder_weight` adds that many times the mean squared distance between the latents of the perturbed and of the clean
    photo, in the same crop, to what the photos pursue: the encoder alone then carries part of the attack.
    """

    draws: int = setting(2, "timesteps and noises drawn for each photo in a PGD step", 1, 16, 1)
    timestep_weights: str = setting("uniform", "how timesteps are drawn", choices=tuple(WEIGHTS))
    encoder_weight: float = setting(0.0, "weight of the latents' distance from the clean photo's", 0, 10, 0.1)

    def denoising_loss(self, run: Run) -> DenoisingLoss:
        """The denoising loss under this method's timestep distribution."""
        timesteps = timestep_distribution(self.timestep_weights, run.model.alphas_cumprod)
        return DenoisingLoss(run.model, run.conditioning, timesteps)

    def objective(self, run: Run) -> Objective:
        """See `PGDMethod.objective`."""
        loss = self.denoising_loss(run)
        away = self.encoder_weight * (1.0 if self.direction == "ascend" else -1.0)

        def denoising(perturbed: Sequence[torch.Tensor], clean: Sequence[torch.Tensor], step: int) -> torch.Tensor:
            see = run.look(len(perturbed))
            latents = see(perturbed)
            value = loss(run.unet, latents.repeat(self.draws, 1, 1, 1), run.generator)
            if away:
                with torch.no_grad():
                    reference = see(clean)
                value = value + away * (latents - reference).square().mean()
            return value

        return denoising


@dataclass(frozen=True)
class SurrogateMethod(DenoisingMethod):
    """A denoising method against a surrogate: a copy of the U-Net, in float32, that is trained between PGD rounds."""

    rounds: int = setting(10, "rounds, each a surrogate phase and a PGD phase", 1, 100, 1)
    surrogate_steps: int = setting(4, "surrogate training steps in a round", 0, 50, 1)
    pgd_steps: int = setting(10, "PGD steps in a round", 1, 50, 1)
    surrogate_learning_rate: float = setting(1e-4, "AdamW learning rate of the surrogate", 1e-7, 1e-2, 1e-7)

    def attacked_unet(self, model: LatentDiffusionModel) -> torch.nn.Module:
        """See `PGDMethod.attacked_unet`."""
        return model.copy_unet()

    def trainer(self, unet: torch.nn.Module) -> Trainer:
        """A trainer of every weight of `unet`."""
        return Trainer(unet.requires_grad_(True).parameters(), TrainingSettings(self.surrogate_learning_rate))

    def surrogate_loss(
        self, run: Run, loss: DenoisingLoss, unet: torch.nn.Module, photos: Callable[[int], torch.Tensor]
    ) -> Callable[[int], torch.Tensor]:
        """The loss that `unet` descends: a batch of photos, `photos(index)` each (1, 3, H, W) as it now is."""

        def step_loss(step: int) -> torch.Tensor:
            chosen = torch.randperm(len(run.images), generator=run.generator)[: PGDSettings.group_size].tolist()
            with torch.no_grad():
                latents = run.look(len(chosen))([photos(index) for index in chosen])
            return loss(unet, latents, run.generator)

        return step_loss
