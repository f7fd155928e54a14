"""The contract of a fine-tuning recipe: what an imitator does with somebody's photos."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from udp.errors import InvalidInput, NothingLearned
from udp.images import to_tensor
from udp.losses import DenoisingLoss
from udp.models import DiffusionModel
from udp.timesteps import timestep_distribution
from udp.training import Trainer, TrainingSettings
from udp.types import OnProgress, Photo, Progress, check_settings, ignore_progress, setting


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned U-Net in evaluation mode, the loss of every step, and how far the weights moved.

    `weight_change` is the L2 norm of the change over the L2 norm of the trained weights' starting values (for an
    adapter, which starts at zero effect, over the norm of the layers it adapts).
    """

    unet: torch.nn.Module
    losses: tuple[float, ...]
    weight_change: float


@dataclass(frozen=True)
class Recipe(abc.ABC):
    """Base of every recipe: hyperparameters as fields made by `setting`, and `trainable`."""

    steps: int = setting(200, "training steps", 10, 4000, 10, advanced=False)
    learning_rate: float = setting(1e-4, "AdamW learning rate", 1e-7, 1e-2, 1e-7)
    batch_size: int = setting(4, "photos in a training step", 1, 16, 1)

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]

    @abc.abstractmethod
    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        """A copy of the base U-Net whose `requires_grad` parameters are the ones to train; `seed` starts adapters."""

    @abc.abstractmethod
    def weight_change(self, model: DiffusionModel, unet: torch.nn.Module) -> float:
        """See `FineTuned.weight_change`; 0 means that nothing was learned."""

    @final
    def fit(
        self,
        photos: Sequence[Photo],
        model: DiffusionModel,
        prompt: str,
        seed: int = 0,
        on_progress: OnProgress = ignore_progress,
        arm: str = "",
    ) -> FineTuned:
        """Fine-tune on `photos` (centre crops and their mirror images) under the instance prompt.

        Batches, timesteps and noise depend on `seed` alone, so arms of a comparison see the same draws. Raises
        `InvalidInput` for bad settings, `NothingLearned` if the weights did not move.
        """
        check_settings(self)
        if not photos:
            raise InvalidInput("expected at least one photo to fine-tune on, got none")
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            squares = model.prepare([to_tensor(photo.pixels)[None] for photo in photos])
            latents = torch.cat([model.encode(squares), model.encode(squares.flip(-1))])
        unet = self.trainable(model, seed)
        loss = DenoisingLoss(model, model.embed(prompt), timestep_distribution("uniform", model.alphas_cumprod))
        trainer = Trainer(
            unet.parameters(), TrainingSettings(self.learning_rate, weight_decay=1e-2, schedule="cosine", warmup=0.05)
        )

        def step_loss(step: int) -> torch.Tensor:
            chosen = torch.randperm(len(latents), generator=generator)[: self.batch_size]
            if len(chosen) < self.batch_size:
                chosen = torch.randint(len(latents), (self.batch_size,), generator=generator)
            return loss(unet, latents[chosen], generator)

        def report(step: int, value: float) -> None:
            on_progress(Progress("fine-tuning", step, self.steps, value, arm))

        losses = trainer.run(step_loss, self.steps, report)
        change = self.weight_change(model, unet)
        if not change > 0:
            raise NothingLearned(f"expected {self.name} to change the weights, got a relative change of {change:g}")
        return FineTuned(unet.requires_grad_(False).eval(), tuple(losses), change)
