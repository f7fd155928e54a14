"""What every method on the PGD loop shares: the start, the rounds, the imitator's view of the photos, the last steps.

A method chooses an objective and a direction; surrogate methods add a phase before each round of PGD steps.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from udp.errors import InvalidInput
from udp.models.base import Conditioning, DiffusionModel, side_by_side
from udp.models.encoders import ALL_PUBLISHED, PUBLISHED, STUDENT, Encoder, load_encoder, load_encoders, parse_encoders
from udp.models.timesteps import TimestepDistribution, timestep_distribution
from udp.photos import Photo
from udp.progress import OnProgress, Progress, Stage
from udp.protection.augment import AUGMENTATIONS, draw_transformation
from udp.protection.base import ProtectionMethod
from udp.protection.pgd import PGD, SCHEDULES, Direction, Objective, PGDSettings
from udp.protection.reach import OFF, REACHES, SIDES, Kept, Reach, parse_sides
from udp.protection.start import RANDOM, STARTS, UNIVERSAL, universal_start
from udp.settings import setting

# A look turns photos (each (1, 3, H, W) in [0, 1]) into latents or squares of pixels, one crop and transformation a photo.
Look = Callable[[Sequence[torch.Tensor]], torch.Tensor]
# stage -> a listener for the loops' (step, loss)
OnStep = Callable[[int, float | None], None]
Reporter = Callable[[Stage], OnStep]
LONGEST_ASPECT = 2.0  # of a photo whose every pixel is worked on: a panorama is made on a coarser grid


@dataclass(frozen=True)
class Run:
    """What one run works with: the model, its opaque conditioning on the prompt, the photos, the generator.

    `network` is the network under attack: the base model's own, or a surrogate that a method trains. `timesteps` is the
    distribution from which the photos' loss draws, `augment` what photos go through before the imitator sees them. An
    autoencoder alone has neither network nor timesteps. `captions` are the conditionings of the photos one by one, where
    not all go by the prompt.
    """

    model: DiffusionModel
    conditioning: Conditioning
    images: Sequence[torch.Tensor]
    generator: torch.Generator
    network: torch.nn.Module | None
    timesteps: TimestepDistribution | None
    augment: str = "none"
    captions: Sequence[Conditioning] = ()

    def text_of(self, photos: Sequence[torch.Tensor], times: int = 1) -> Conditioning:
        """What some of `images`, these very tensors, are called; for a batch that repeats them, one after the other, `times`."""
        if not self.captions:
            return self.conditioning
        places = {id(image): index for index, image in enumerate(self.images)}
        return side_by_side([(self.captions[places[id(photo)]], 1) for _ in range(times) for photo in photos])

    def look(self, count: int) -> Look:
        """Draw how the imitator's encoder may see `count` photos."""
        crop = self.crop(count)
        return lambda photos: self.model.encode(crop(photos))

    def crop(self, count: int) -> Look:
        """Draw how the imitator may see `count` photos: every part of a long photo gets its turn in the crop."""
        positions = torch.rand(count, generator=self.generator).tolist()
        changes = [draw_transformation(self.augment, self.generator) for _ in range(count)]

        def see(photos: Sequence[torch.Tensor]) -> torch.Tensor:
            changed = [change(photo) if change else photo for photo, change in zip(photos, changes, strict=True)]
            return self.model.prepare(changed, positions)

        return see


@dataclass(frozen=True)
class PGDMethod(ProtectionMethod):
    """Base of the PGD methods: `objective` is the loss that the photos move, in `direction`."""

    pgd_steps: int = setting(100, "PGD steps", 1, 2000, 1)
    step_size: float = setting(1 / 255, "PGD step size", 0.1 / 255, 8 / 255, 0.1 / 255, levels=True)
    step_schedule: str = setting("constant", "step size over the run: constant, or falling to zero", choices=SCHEDULES)
    momentum: float = setting(0.0, "memory of past gradients (MI-FGSM's mu); 0 is plain PGD", 0, 2, 0.05)
    start: str = setting(RANDOM, "where PGD starts: at random, at the photos (zero), or at what disturbs the embedded autoencoder "
                         "on most photos (universal)", choices=STARTS)  # fmt: skip
    augment: str = setting("none", "what the perturbation should survive (EOT)", choices=tuple(AUGMENTATIONS))
    reach: str | None = setting(OFF, "resolutions of imitators beyond the model's own at which latents must move too",
                                choices=REACHES)  # fmt: skip
    reach_steps: int = setting(6, "PGD steps, after all others, for each of those resolutions", 1, 500, 1)
    reach_share: float = setting(0.2, "share of the budget that is kept for those steps", 0, 0.9, 0.05)
    encoders: str = setting(
        "off", "published autoencoders to protect against too, each downloaded once (5 MB): published is all of them",
        choices=("off", *PUBLISHED, ALL_PUBLISHED), open=True,
    )  # fmt: skip

    rounds: ClassVar[int] = 1

    @property
    def direction(self) -> Direction:
        """See `ProtectionMethod.direction`."""
        return "ascend"

    def check_model(self, model: DiffusionModel | None, prompt: str) -> None:
        """See `ProtectionMethod.check_model`."""
        super().check_model(model, prompt)
        if self.start == UNIVERSAL and not model.has_encoder:
            raise InvalidInput(
                "expected start=random or zero for a model of pixels, which has no autoencoder, got universal"
            )

    @abc.abstractmethod
    def objective(self, run: Run) -> Objective:
        """The scalar that PGD moves; every random draw comes from `run.generator`."""

    def reach_of(self, model: DiffusionModel, generator: torch.Generator) -> Reach | None:
        """The further resolutions and encoders that the perturbation is made against; None if there are none."""
        names = parse_encoders(self.encoders)
        sides = [side for side in self.sides if side > model.resolution]
        if sides and not names and not model.has_encoder:
            raise InvalidInput(
                f"expected encoders beside reach={self.reach} for a model of pixels, which has none of its own, got none"
            )
        own: list[Encoder] = []
        if sides and model.has_encoder:
            # A small model's own latents are nobody else's; at imitators' sizes the student of Stable Diffusion's stands in.
            own = [
                load_encoder(STUDENT, str(model.device)) if model.small
                else Encoder(model.name, lambda pixels: model.encode(pixels.to(model.device)))
            ]  # fmt: skip
        found = [*own, *load_encoders(names, str(model.device))]
        return Reach(found, sides or [max(SIDES[0], model.resolution)], generator) if found else None

    def reaching(self, objective: Objective, reach: Reach) -> Objective:
        """`objective` and the distance over `reach`, which is to grow whatever the objective's direction."""
        sign = 1.0 if self.direction == "ascend" else -1.0

        def both(perturbed: Sequence[torch.Tensor], clean: Sequence[torch.Tensor], step: int) -> list[torch.Tensor]:
            return [objective(perturbed, clean, step), sign * reach(perturbed, clean)]

        return both

    def longest_side(self, photo: Photo, model: DiffusionModel | None) -> int:
        """See `ProtectionMethod.longest_side`: every resolution of `reach` has its own pixels to move."""
        aspect = min(LONGEST_ASPECT, max(photo.size) / min(photo.size))
        return max(super().longest_side(photo, model), *(round(side * aspect) for side in self.sides), 0)

    def attacked_network(self, model: DiffusionModel, generator: torch.Generator) -> torch.nn.Module:
        """The network that the photos are perturbed against; the base model's own unless a method trains a surrogate."""
        return model.network

    def timesteps(self, run: Run, report: Reporter) -> TimestepDistribution:
        """How the objective draws timesteps, if it does."""
        return run.timesteps

    def surrogate_phase(self, run: Run, attack: PGD, report: Reporter) -> Callable[[], None]:
        """What happens before the PGD steps of each round; by default nothing."""
        return lambda: None

    @property
    def loop_steps(self) -> int:
        """Steps of all rounds, of a surrogate or of PGD, each one unit of progress."""
        return self.rounds * self.pgd_steps

    @property
    def all_steps(self) -> int:
        """Units of progress of the whole run."""
        return self.loop_steps + self.reach_units

    @property
    def reach_units(self) -> int:
        """Steps against further resolutions and encoders, unless the model has those already."""
        return self.reach_steps * (len(self.sides) or bool(parse_encoders(self.encoders)))

    @property
    def sides(self) -> tuple[int, ...]:
        """Resolutions in `reach`; none while that is left to the model."""
        return parse_sides(self.reach or OFF)

    def run(
        self,
        images: Sequence[torch.Tensor],
        limits: Sequence[torch.Tensor],
        model: DiffusionModel,
        prompt: str | Sequence[str],
        generator: torch.Generator,
        on_progress: OnProgress,
    ) -> list[torch.Tensor]:
        """See `ProtectionMethod.run`."""
        uniform = timestep_distribution("uniform", model.schedule.signal_share) if model.has_network else None
        network = self.attacked_network(model, generator)
        one = isinstance(prompt, str)
        captions = () if one else [model.embed(text) for text in prompt]
        run = Run(
            model,
            model.embed(prompt if one else prompt[0]),
            images,
            generator,
            network,
            uniform,
            self.augment,
            captions,
        )
        reach = self.reach_of(model, generator)
        apart, together = self.moved_by(reach, images, model)
        settings = PGDSettings(
            self.step_size, self.direction, momentum=self.momentum, schedule=self.step_schedule,
            total_steps=self.rounds * self.pgd_steps,
        )  # fmt: skip
        # Moves at the model's own resolution fill whole blocks of a larger photo to the limit, and would leave no room.
        first = [
            limit * (1 - self.reach_share) if index in (*apart, *together) else limit
            for index, limit in enumerate(limits)
        ]
        attack = PGD(images, self.started(images, first, model, generator), first, settings)
        last = (
            self.reach_steps * len(reach.sides) if reach else 0
        )  # fewer than `reach_units` if the model has some of them
        done, total = 0, self.all_steps - self.reach_units + last * (bool(apart) + bool(together))

        def report(stage: Stage) -> OnStep:
            def on_step(step: int, value: float | None) -> None:
                nonlocal done
                done += 1
                on_progress(Progress(stage, done, total, value))

            return on_step

        run = replace(run, timesteps=self.timesteps(run, report))
        objective, phase = self.objective(run), self.surrogate_phase(run, attack, report)
        for _ in range(self.rounds):
            phase()
            attack.run(objective, self.pgd_steps, report(Stage.PERTURBING))
        on_step = report(Stage.PERTURBING)
        for moved, beside in ((apart, None), (together, objective)):
            found = (
                self.reached(run, reach, moved, attack.perturbations, limits, last, beside, on_step) if moved else []
            )
            for index, perturbation in zip(moved, found, strict=True):
                attack.perturbations[index] = perturbation
        return attack.perturbations

    def started(
        self,
        images: Sequence[torch.Tensor],
        limits: Sequence[torch.Tensor],
        model: DiffusionModel,
        generator: torch.Generator,
    ) -> list[torch.Tensor]:
        """A perturbation for each image, within its limit, for PGD to begin with."""
        pairs = zip(images, limits, strict=True)
        if self.start == UNIVERSAL:
            return [universal_start(image, limit, model.resolution, generator) for image, limit in pairs]
        scale = 1.0 if self.start == RANDOM else 0.0
        return [(torch.rand(image.shape, generator=generator) * 2 - 1) * limit * scale for image, limit in pairs]

    def moved_by(
        self, reach: Reach | None, images: Sequence[torch.Tensor], model: DiffusionModel
    ) -> tuple[list[int], list[int]]:
        """Indices of the photos that the last steps move where the model does not look, and of those that share these steps.

        Without `reach` there are none. The latents of the model's own encoder at a larger size are nothing to a photo of which the
        model sees all; those of other encoders are, and they share the steps with the objective.
        """
        if not reach:
            return [], []
        finer = min(reach.sides) > model.resolution
        beyond = [i for i, image in enumerate(images) if finer and min(image.shape[-2:]) > model.resolution]
        others = [i for i in range(len(images)) if i not in beyond]
        return beyond, others if parse_encoders(self.encoders) or not finer else []

    def reached(
        self,
        run: Run,
        reach: Reach,
        moved: Sequence[int],
        perturbations: Sequence[torch.Tensor],
        limits: Sequence[torch.Tensor],
        steps: int,
        objective: Objective | None,
        on_step: OnStep,
    ) -> list[torch.Tensor]:
        """The perturbations of the photos `moved` after the last `steps`, from half the budget falling to zero.

        Without an `objective` what the model sees of them is kept; else it has as much to say as `reach`.
        """
        images, started, bounds = ([each[i] for i in moved] for each in (run.images, perturbations, limits))
        settings = PGDSettings(
            self.budget / 2, self.direction if objective else "ascend", schedule="linear", total_steps=steps,
            group_size=PGDSettings.group_size if objective else 1,
        )  # fmt: skip
        attack = PGD(images, started, bounds, settings)

        def quiet(step: int, value: float) -> None:
            on_step(step, None)  # a loss of another kind than that of the steps before

        if objective:
            attack.run(self.reaching(objective, reach), steps, quiet)
        else:
            kept = Kept(images, started, bounds, run.model.resolution)
            attack.run(lambda now, clean, step: reach.terms(now, clean), steps, quiet, kept)
        return attack.perturbations
