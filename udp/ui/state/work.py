"""The long work behind the tabs, as plain values that can run in a thread or, a part at a time, in another process."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from udp.digests import digest, photos_digest
from udp.errors import InvalidInput
from udp.evaluation.arm_names import TRAINED, ArmName
from udp.evaluation.arms import Report
from udp.evaluation.bench import run_trial
from udp.evaluation.cells import Store, base_name, cell_name
from udp.evaluation.lab import Lab, LabReport, all_cleanings
from udp.evaluation.metrics.faces import Faces, load_faces
from udp.evaluation.metrics.figures_faces import FaceReference
from udp.evaluation.metrics.pretrained import Pretrained, load_pretrained
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import framing_of, parse_cleaning
from udp.imitation.recipes.base import Recipe
from udp.language import Text
from udp.models.base import DiffusionModel
from udp.models.encoders import parse_encoders
from udp.models.loading import load_model, taken_for_small, usual_of
from udp.photos import Photo
from udp.progress import OnProgress, Progress, Stage, TimeLeft, span
from udp.protection.base import ProtectionMethod
from udp.protection.denoising_method import DECODED
from udp.protection.folder import Protection
from udp.protection.methods import RandomNoise
from udp.protection.reach import OFF
from udp.settings import describe_settings, for_model

PROMPT = Trial().instance_prompt
# A PGD step on ten photos differentiates through encoder and U-Net: about this many fine-tuning steps, measured on a CPU.
PROTECTION_STEP_COST = 2.5
# The embedded U-Net is so small that a fine-tuning step takes that much less of a PGD step, most of which is the autoencoder. Measured on
# a processor, and for one: nothing is known of GPUs.
MINI_STEPS = 3.7
PROTECTION = "protection"  # what a store calls photos that were protected on the way


class Work(Protocol):
    """What a job does. It asks the store for every part before making it, and gives it every part that it has made.

    `key` is equal for works with equal results, and for no others.
    """

    model_name: str

    @property
    def key(self) -> str:
        """See `Work`."""

    def plan(self) -> dict[str, float]:
        """The parts that it keeps in the store, in order, and what each costs by itself, in fine-tuning steps.

        After the last comes what cannot be kept in parts: figures, a verdict.
        """

    def units(self) -> float:
        """The cost of it all in fine-tuning steps; parts that are made in one go share some of theirs."""

    def __call__(self, on_progress: OnProgress, store: Store | None = None) -> Any:
        """Run, reporting progress."""


Runner = Callable[[Work, OnProgress, Store], Any]


def run_here(work: Work, on_progress: OnProgress, store: Store) -> Any:
    """Run `work` in this thread."""
    return work(on_progress, store)


def limited(on_progress: OnProgress, most_minutes: float | None) -> OnProgress:
    """A listener that refuses work, with `InvalidInput`, as soon as it is clear that it takes longer than allowed.

    So no visitor holds a shared machine for hours.
    """
    start, time_left = time.monotonic(), TimeLeft()

    def report(progress: Progress) -> None:
        now = time.monotonic()
        time_left.note(progress, now)
        expected = now - start + (time_left.seconds(progress.overall, now) or 0.0)
        if most_minutes is not None and expected > 1.5 * 60 * most_minutes:
            raise InvalidInput(
                f"expected a run of at most {most_minutes:g} minutes on this shared machine, got one of about "
                f"{expected / 60:.0f}: use fewer steps or fewer photos"
            )
        on_progress(progress)

    return report


@dataclass(frozen=True)
class ProtectWork:
    """Protect photos; the result is the protection."""

    photos: Sequence[Photo]
    method: ProtectionMethod
    model_name: str
    prompt: str
    seed: int
    left_out: Sequence[Text | str] = ()

    key: ClassVar[str] = ""  # it keeps nothing before its end: the photos of a set are protected together

    def plan(self) -> dict[str, float]:
        """See `Work.plan`."""
        return {PROTECTION: self.units()}

    def units(self) -> float:
        """See `Work.units`."""
        return protection_units(self.method, len(self.photos), self.model_name)

    def __call__(self, on_progress: OnProgress, store: Store | None = None) -> Protection:
        """See `Work.__call__`."""
        on_progress(Progress(Stage.LOADING, 0, 1, fraction=0.0))
        model = load_model(self.model_name)
        return Protection.make(
            self.photos, self.method, model, self.prompt, self.seed, on_progress, None, self.left_out
        )


@dataclass(frozen=True)
class AttackWork:
    """Fine-tune on every arm; where `protected` is None and an arm needs it, protect first, with `method`.

    The result is the report and the protection, if it was made here. The random arm is the control of `method`.
    With `pretrained`, the report has figures of CLIP and DINOv2 as well, with `faces`, where photos have some, of faces; with
    `filmstrip`, progress has pictures of what
    each arm has learned so far.
    """

    clean: Sequence[Photo]
    protected: Sequence[Photo] | None
    method: ProtectionMethod
    arms: Sequence[str]
    recipe: Recipe
    trial: Trial
    model_name: str
    protection_prompt: str = PROMPT
    protection_seed: int = 0
    pretrained: bool = False
    filmstrip: bool = False
    faces: bool = False

    @functools.cached_property
    def key(self) -> str:
        """See `Work.key`."""
        protected = photos_digest(self.protected) if self.protected is not None else ""
        source = [photos_digest(self.clean), protected, self.protection_prompt, self.protection_seed]
        settings = map(_described, (self.method, self.recipe, self.trial))
        return digest([source, *settings, [*map(str, self.arms)], self.model_name, self.pretrained, self.faces])

    def __call__(self, on_progress: OnProgress, store: Store | None = None) -> tuple[Report, Protection | None]:
        """See `Work.__call__`."""
        on_progress(Progress(Stage.LOADING, 0, 1, fraction=0.0))
        model, beside = load_model(self.model_name), measuring_models(self.pretrained)
        faces = measuring_faces(self.faces, model, self.clean)
        # Before the photos are protected: a prompt that cannot teach anything would be refused only afterwards.
        self.recipe.check_prompts(model, self.trial.instance_prompt, self.trial.prompt)
        protected, made, share = self.protected, None, 0.0
        if protected is None and "protected" in self.arms:
            share = self._protection_units() / self.units()
            listener = span(on_progress, 0.0, share)
            made = store.load(PROTECTION, self.key) if store else None
            if made is None:
                made = Protection.make(
                    self.clean, self.method, model, self.protection_prompt, self.protection_seed, listener
                )
                if store:
                    store.save(PROTECTION, self.key, made)
            protected = made.protected
        photos: dict[str, Sequence[Photo]] = {}
        for arm in (str(arm) for arm in TRAINED if arm in self.arms):
            if arm == ArmName.RANDOM:
                noise = RandomNoise.beside(self.method)
                photos[arm] = noise(self.clean, model, self.protection_prompt, self.trial.seed)
            else:
                photos[arm] = self.clean if arm == ArmName.CLEAN else protected
        listener = span(on_progress, share, 1.0)
        report = run_trial(photos, model, self.recipe, self.trial, listener, beside, store, self.filmstrip, faces)
        return report, made

    def plan(self) -> dict[str, float]:
        """See `Work.plan`."""
        trial = for_model(self.trial, taken_for_small(self.model_name), usual_of(self.model_name))
        arm = class_sampling(self.recipe, self.model_name, trial.sampling_steps)
        arm += self.recipe.arm_steps + trial.sampling_steps
        protection = self._protection_units()
        found = {PROTECTION: protection} if protection else {}
        for run in range(trial.seeds):
            found[base_name(run, trial.cleaning)] = trial.sampling_steps
            for name in (name for name in TRAINED if name in self.arms):
                found[cell_name(self.recipe.name, trial.cleaning, name, run)] = arm + cleaning_units(
                    [trial.cleaning], sizes_of(self.clean)
                )
        return found

    def units(self) -> float:
        """See `Work.units`."""
        return self._protection_units() + self._attack_units()

    def _attack_units(self) -> float:
        arms, trial = len(self.arms), for_model(self.trial, taken_for_small(self.model_name), usual_of(self.model_name))
        before = class_sampling(self.recipe, self.model_name, trial.sampling_steps)
        taught = trial.seeds * (before + arms * self.recipe.arm_steps + (1 + arms) * trial.sampling_steps)
        return taught + arms * cleaning_units([trial.cleaning], sizes_of(self.clean))

    def _protection_units(self) -> float:
        needed = self.protected is None and "protected" in self.arms
        return protection_units(self.method, len(self.clean), self.model_name) if needed else 0.0


@dataclass(frozen=True)
class RobustnessWork:
    """Every cleaning as a trial of three arms; the result is the lab's report and the random-noise photos.

    `method` made the protected photos, and the random arm is its control. With `pretrained`, the report has figures of
    CLIP and DINOv2 as well, with `faces`, where photos have some, of faces.
    """

    clean: Sequence[Photo]
    protected: Sequence[Photo]
    method: ProtectionMethod
    recipe: Recipe
    cleanings: tuple[str, ...]
    trial: Trial
    model_name: str
    protection_prompt: str = PROMPT
    pretrained: bool = False
    faces: bool = False

    @functools.cached_property
    def key(self) -> str:
        """See `Work.key`."""
        source = [photos_digest(self.clean), photos_digest(self.protected), self.protection_prompt]
        settings = map(_described, (self.method, self.recipe, self.trial))
        return digest([source, *settings, [*self.cleanings], self.model_name, self.pretrained, self.faces])

    def plan(self) -> dict[str, float]:
        """See `Work.plan`."""
        steps = for_model(self.trial, taken_for_small(self.model_name), usual_of(self.model_name)).sampling_steps
        arm = class_sampling(self.recipe, self.model_name, steps) + self.recipe.arm_steps + steps
        found: dict[str, float] = {}
        for cleaning in all_cleanings(self.cleanings):
            for run in range(self.trial.seeds):  # those that cut nothing share the first's
                found.setdefault(base_name(run, cleaning), float(steps))
            for run in range(self.trial.seeds):
                found |= {
                    cell_name(self.recipe.name, cleaning, name, run): arm
                    + cleaning_units([cleaning], sizes_of(self.clean))
                    for name in TRAINED
                }
        return found

    def units(self) -> float:
        """See `Work.units`."""
        steps = for_model(self.trial, taken_for_small(self.model_name), usual_of(self.model_name)).sampling_steps
        cleanings = all_cleanings(self.cleanings)
        cells, bases = len(cleanings) * len(TRAINED), len(set(map(framing_of, cleanings)))
        before = class_sampling(self.recipe, self.model_name, steps)
        taught = self.trial.seeds * (before + cells * (self.recipe.arm_steps + steps) + bases * steps)
        return taught + len(TRAINED) * cleaning_units(cleanings, sizes_of(self.clean))

    def lab(self, noise: Sequence[Photo], model: Any = None) -> Lab:
        """The lab; without `model`, a description of what was run."""
        arms = {"clean": self.clean, "random": noise, "protected": self.protected}
        if model is None:
            return Lab(arms, model, [self.recipe], self.cleanings, self.trial)
        beside, faces = measuring_models(self.pretrained), measuring_faces(self.faces, model, self.clean)
        return Lab(arms, model, [self.recipe], self.cleanings, self.trial, beside, faces)

    def __call__(self, on_progress: OnProgress, store: Store | None = None) -> tuple[LabReport, list[Photo]]:
        """See `Work.__call__`."""
        on_progress(Progress(Stage.LOADING, 0, 1, fraction=0.0))
        model = load_model(self.model_name)
        noise = RandomNoise.beside(self.method)(self.clean, model, self.protection_prompt, self.trial.seed)
        return self.lab(noise, model).run(store, on_progress), noise


def _described(item: Any) -> list[Any]:
    """Settings as JSON values, for a key."""
    return [getattr(item, "name", ""), describe_settings(item)]


@functools.lru_cache(maxsize=2)
def measuring_models(wanted: bool) -> Pretrained | None:
    """CLIP and DINOv2, kept for the next run, or None. Raises `ModelUnavailable`."""
    return load_pretrained() if wanted else None


def measuring_faces(wanted: bool, model: DiffusionModel, photos: Sequence[Photo]) -> Faces | None:
    """The models for faces, kept for the next run; None for photos without any. Raises `ModelUnavailable`."""
    if not wanted:
        return None
    faces = load_faces()
    try:
        FaceReference.of(faces, model, photos)
    except InvalidInput:  # the owner asked, not this visitor: toys and paintings are welcome as well
        return None
    return faces


def sizes_of(photos: Sequence[Photo]) -> list[tuple[int, int]]:
    """Their sizes."""
    return [photo.size for photo in photos]


def cleaning_units(cleanings: Sequence[str], sizes: Sequence[tuple[int, int]]) -> float:
    """What it takes to clean the photos of an arm, of such sizes, in each of these ways."""
    return sum(parse_cleaning(cleaning).units(sizes) for cleaning in cleanings)


def class_sampling(recipe: Recipe, model_name: str, steps: int) -> int:
    """Sampling steps of the class images, `steps` a picture of a large model."""
    small = taken_for_small(model_name)
    return for_model(recipe, small).sampling_before(small, steps)


def protection_units(method: ProtectionMethod, photos: int, model_name: str) -> float:
    """A method's cost in fine-tuning steps of the default batch; a guess from its fields."""
    usual = usual_of(model_name)
    method = for_model(method, taken_for_small(model_name), usual)
    step = PROTECTION_STEP_COST * (MINI_STEPS if usual.get("mini") and not torch.cuda.is_available() else 1.0)
    rounds = getattr(method, "rounds", 1)
    steps = getattr(method, "surrogate_steps", 0)
    # Through the decoder and LPIPS as well it takes nearly three times as long.
    looks = 2.8 if getattr(method, "encoder_weight", 0) and getattr(method, "encoder_target", "") == DECODED else 1.0
    steps += looks * step * getattr(method, "pgd_steps", 0) * getattr(method, "draws", 1) * photos / 10
    # A window of 512 px through an encoder alone takes eight times a step of the embedded model's at 128 px.
    encoders = 1 + len(parse_encoders(getattr(method, "encoders", OFF)))
    reaching = 8 * encoders * step * getattr(method, "reach_units", 0) * photos / 10
    return max(1.0, rounds * steps + reaching)
