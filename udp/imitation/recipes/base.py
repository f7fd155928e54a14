"""The contract of a fine-tuning recipe: what an imitator does with somebody's photos."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, final

import torch

from udp.errors import InvalidInput, NothingLearned
from udp.models.base import DiffusionModel, side_by_side
from udp.models.loss import DenoisingLoss
from udp.models.memory import enough_memory
from udp.models.prompts import Texts, prompts_of
from udp.models.training import Trainer, TrainingSettings
from udp.photos import Photo, flattened
from udp.progress import OnProgress, Progress, Stage, ignore_progress, span
from udp.settings import BySize, check_settings, setting
from udp.tensors import to_tensor


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned U-Net in evaluation mode, the loss of every step, and how far the weights moved.

    `weight_change` is the L2 norm of the change over the L2 norm of the trained weights' starting values (for an
    adapter, which starts at zero effect, over the norm of the layers it adapts). `model` is what to prompt the U-Net
    through: the base model, or one with the words and text encoders that were trained.
    """

    network: torch.nn.Module
    losses: tuple[float, ...]
    weight_change: float
    model: DiffusionModel


# Is shown a fine-tune after a training step: the step, the network, and the model with the text that it learns with. It may
# change neither, nor draw from torch's global state.
Watch = Callable[[int, torch.nn.Module, DiffusionModel], None]


@dataclass(frozen=True)
class Prior:
    """Pictures of the subject's class that the fine-tune must still get right: latents (N, C, h, w), prompt, weight of
    their loss, and how many of them a training step takes."""  # fmt: skip

    latents: torch.Tensor
    prompt: str
    weight: float
    batch_size: int


@dataclass(frozen=True)
class Recipe(abc.ABC):
    """Base of every recipe: hyperparameters as fields made by `setting`, and `trainable`."""

    steps: int = setting(600, "training steps", 10, 4000, 10, advanced=False)
    learning_rate: float | None = setting(BySize(1e-3, 5e-6), "AdamW learning rate", 1e-7, 1e-2, 1e-7)
    batch_size: int | None = setting(BySize(8, 4, mini=4), "photos in a training step", 1, 16, 1)
    random_flip: bool = setting(False, "learn mirror images of the photos too, as some trainers can")
    first_timestep: float = setting(0.0, "train only on timesteps above this share of all (0 is all)", 0, 0.9, 0.1)

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]

    @abc.abstractmethod
    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        """The U-Net to fine-tune, a copy unless all of it stays frozen; its `requires_grad` parameters are trained.

        `seed` starts what is new in it.
        """

    @abc.abstractmethod
    def weight_change(self, model: DiffusionModel, network: torch.nn.Module, words: DiffusionModel) -> float:
        """See `FineTuned.weight_change`; 0 means that nothing was learned."""

    def words(self, model: DiffusionModel, prompt: str, seed: int) -> DiffusionModel:
        """What turns prompts into conditioning: `model` itself, or its copy with text parameters to train."""
        return model

    def check_prompts(self, model: DiffusionModel, instance_prompt: str, prompt: str) -> None:
        """Raise `InvalidInput` for prompts that could teach or show nothing, and for a model that learns nothing; before the
        training, and before photos are protected or cleaned for it."""
        model.check_network()
        for text in (instance_prompt, prompt):
            model.check_prompt(text)

    @property
    def arm_steps(self) -> int:
        """What an arm costs in training steps, what comes before them included."""
        return self.steps

    def asked(self, prompt: str) -> str:
        """How this imitator asks for pictures by `prompt`."""
        return prompt

    def sight(self, model: DiffusionModel, squares: torch.Tensor, seed: int, on_progress: OnProgress) -> DiffusionModel:
        """The model through whose autoencoder the fine-tune sees `squares`, (N, 3, S, S) in [0, 1]: `model` itself, or its
        copy with one that was trained on them."""
        return model

    def prior(self, model: DiffusionModel, seed: int, on_progress: OnProgress) -> Prior | None:
        """Class images to preserve, or None."""
        return None

    def prompts_of(self, photos: Sequence[Photo], model: DiffusionModel, prompt: str) -> list[str]:
        """What the fine-tune calls each photo, see `udp.models.prompts`."""
        return prompts_of(photos, model, prompt)

    def sampling_before(self, small: bool, steps: int) -> int:
        """Sampling steps that come before the first arm's training; none without a prior.

        `small` is `DiffusionModel.small`, `steps` are those of a large model's picture. Settings that are the model's
        own are filled in already.
        """
        return 0

    def save(self, tuned: FineTuned, folder: Path) -> Path:
        """Write what was learned to `folder`; by default the whole pipeline, which `load_model(folder)` reads."""
        tuned.model.with_network(tuned.network).pipeline.save_pretrained(folder)
        return folder

    def files(self, tuned: FineTuned) -> dict[str, bytes]:
        """What was learned as files by name, for other programs; none where that is a whole model of gigabytes."""
        return {}

    @final
    @enough_memory("fine-tuning", "LoRA needs less than DreamBooth; a smaller batch or model needs less too.")
    def fit(
        self,
        photos: Sequence[Photo],
        model: DiffusionModel,
        prompt: str,
        seed: int = 0,
        on_progress: OnProgress = ignore_progress,
        arm: str = "",
        watch: Watch | None = None,
    ) -> FineTuned:
        """Fine-tune on centre crops of `photos` under the instance prompt, or each under its caption.

        With `random_flip`, which diffusers' script for DreamBooth does not do, on their mirror images too: twice as many
        pictures to learn, and after as many steps softer ones.

        Settings that are left to the model's size are filled in here. Batches, timesteps and noise depend on `seed` alone,
        so arms of a comparison see the same draws; `watch` is shown the fine-tune after each step. Raises `InvalidInput`
        for bad settings, `NothingLearned` if the weights did not move, `OutOfMemory`.
        """
        model.check_network()
        own = model.suited(self)
        if own is not self:
            return own.fit(photos, model, prompt, seed, on_progress, arm, watch)
        check_settings(self)
        if not photos:
            raise InvalidInput("expected at least one photo to fine-tune on, got none")
        self.check_prompts(model, prompt, prompt)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            squares = model.prepare([to_tensor(flattened(photo).pixels)[None] for photo in photos])
            squares = torch.cat([squares, squares.flip(-1)]) if self.random_flip else squares
        before = 1 - self.steps / self.arm_steps
        base, part = model, span(on_progress, 0.0, before)
        model = self.sight(base, squares, seed, lambda p: part(replace(p, arm=arm)))
        with torch.no_grad():
            latents = torch.cat([model.encode(each) for each in squares.split(len(photos))])
        network, words = self.trainable(model, seed), self.words(model, prompt, seed)
        prior = self.prior(base, seed, lambda p: on_progress(Progress(p.stage, p.done, p.total, None, arm, before)))
        if prior and model is not base:  # the same class images for every arm, seen as this one sees photos
            with torch.no_grad():
                prior = replace(prior, latents=model.encode(base.decode(prior.latents)))
        timesteps = model.schedule.usual_timesteps(self.first_timestep)
        texts = Texts(model, words, self.prompts_of(photos, model, prompt))

        def step_loss(step: int) -> torch.Tensor:
            chosen = evenly_drawn(len(latents), self.batch_size, generator)
            # Mirror images come after the photos, in the same order.
            called = texts.of(chosen.tolist())
            if not prior:
                text = called[0][0] if len(called) == 1 else side_by_side(called)
                return DenoisingLoss(model, text, timesteps)(network, latents[chosen], generator)
            # Photos and class images in one batch: two would cost a third more.
            sizes = self.batch_size, prior.batch_size
            drawn = evenly_drawn(len(prior.latents), sizes[1], generator)
            batch = torch.cat([latents[chosen], prior.latents[drawn]])
            loss = DenoisingLoss(model, side_by_side([*called, (texts.told(prior.prompt), sizes[1])]), timesteps)
            at, noise = loss.draw(batch, generator)
            photos_loss, prior_loss = loss.at(network, batch, noise, at).split(sizes)
            return photos_loss.mean() + prior.weight * prior_loss.mean()

        def report(step: int, value: float) -> None:
            told = on_progress if model is base else span(on_progress, before, 1.0)
            told(Progress(Stage.FINE_TUNING, step, self.steps, value, arm))
            if watch:
                watch(step, network, words)

        parameters = [p for m in (network, *(words.modules if words is not model else ())) for p in m.parameters()]
        trainer = Trainer(
            dict.fromkeys(parameters),
            TrainingSettings(self.learning_rate, weight_decay=1e-2, schedule="cosine", warmup=0.05),
        )
        losses = trainer.run(step_loss, self.steps, report)
        for module in (network, *words.modules):
            module.requires_grad_(False).eval()
        change = self.weight_change(model, network, words)
        if not change > 0:
            raise NothingLearned(f"expected {self.name} to change the weights, got a relative change of {change:g}")
        return FineTuned(network, tuple(losses), change, words)


def evenly_drawn(total: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` indices below `total`, int64 (count,), in random order, none more than one time oftener than another.

    Whole rounds through all of them, the last one cut; a batch knows nothing of the one before.
    """
    rounds = [torch.randperm(total, generator=generator) for _ in range(math.ceil(count / total))]
    return torch.cat(rounds)[:count]


def relative_change(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> float:
    """L2 norm of the difference over the L2 norm of `before`, over all tensors together."""
    moved = sum(float((a.detach() - b).square().sum()) for b, a in zip(before, after, strict=True))
    return (moved / sum(float(b.square().sum()) for b in before)) ** 0.5
