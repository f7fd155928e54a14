"""The attack as a fair trial: arms that differ in their photos and in nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from udp.digests import captioned_digest, digest
from udp.errors import InvalidInput, NothingLearned
from udp.evaluation.arms import Arm, Report, make_report
from udp.evaluation.at_once import at_once
from udp.evaluation.cells import Store, base_name, cell_name
from udp.evaluation.found import FoundPhotos
from udp.evaluation.metrics.faces import Faces
from udp.evaluation.metrics.figures import Imitation, Reference
from udp.evaluation.metrics.pretrained import Pretrained
from udp.evaluation.metrics.references import references
from udp.evaluation.metrics.table import measure
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import framing_of, parse_cleaning
from udp.imitation.recipes.base import Recipe, Watch
from udp.models.base import DiffusionModel
from udp.models.sampling import generate
from udp.photos import Photo
from udp.progress import OnProgress, Progress, Stage, ignore_progress, span
from udp.settings import describe_settings

# Of a fine-tune that is still learning: when, as shares of its steps, and in how many sampling steps a picture is made.
GLIMPSES, GLIMPSE_STEPS = (1 / 3, 2 / 3), 8


@dataclass(frozen=True)
class Bench:
    """What the arms of one run share: the base model, its pictures before any fine-tune, and the real photos."""

    model: DiffusionModel
    trial: Trial
    run: int
    before: tuple[np.ndarray, ...]
    reference: Reference

    @classmethod
    def start(
        cls,
        model: DiffusionModel,
        reference: Sequence[Photo],
        trial: Trial,
        run: int = 0,
        on_progress: OnProgress = ignore_progress,
    ) -> Bench:
        """Sample the base model with the run's seeds."""
        images = generate(
            model,
            model.network,
            trial.prompt,
            trial.picture_seeds(run),
            trial.sampling_steps,
            trial.guidance,
            on_progress,
            "base",
        )
        on_progress(Progress(Stage.FINISHED, 1, 1, None, "base", None, tuple(images)))
        return cls.resume(model, reference, trial, run, images)

    @classmethod
    def resume(
        cls, model: DiffusionModel, reference: Sequence[Photo], trial: Trial, run: int, before: Sequence[np.ndarray]
    ) -> Bench:
        """The bench of a run whose base pictures exist already."""
        return cls(model, trial, run, tuple(before), Reference.of(model, reference, trial.instance_prompt, before))

    def base(self) -> Arm:
        """The base model as an arm."""
        figures, intervals = measure(Imitation(self.reference, self.model, self.model.network, self.before))
        return Arm("base", self.before, (), figures, (figures,), intervals)

    def train(
        self,
        name: str,
        photos: Sequence[Photo],
        recipe: Recipe,
        on_progress: OnProgress = ignore_progress,
        keep: bool = False,
        filmstrip: bool = False,
    ) -> Arm:
        """Fine-tune a copy of the base on `photos` and sample it; with `keep`, the arm has what was learned as files.

        With `filmstrip` progress has a `glimpse` of the first seed's picture at `GLIMPSES`; the outcome is the same. Raises
        `NothingLearned` if it changed nothing.
        """
        trial, seed = self.trial, self.trial.seed + self.run
        trained = recipe.arm_steps / (recipe.arm_steps + trial.sampling_steps)
        part = span(on_progress, 0.0, trained)
        watch = self._glimpses(recipe, part, name) if filmstrip else None
        tuned = recipe.fit(photos, self.model, trial.instance_prompt, seed, part, name, watch)
        images = generate(
            tuned.model,
            tuned.network,
            recipe.asked(trial.prompt),
            trial.picture_seeds(self.run),
            trial.sampling_steps,
            trial.guidance,
            span(on_progress, trained, 1.0),
            name,
        )
        if all(np.array_equal(a, b) for a, b in zip(images, self.before, strict=True)):
            raise NothingLearned(
                f"expected fine-tuning on {name!r} to change the generated pictures, got the same ones"
            )
        figures, intervals = measure(
            Imitation(
                self.reference,
                tuned.model.seen_through(self.model),
                tuned.network,
                images,
                tuned.losses,
                tuned.weight_change,
            )
        )
        on_progress(Progress(Stage.FINISHED, 1, 1, None, name, 1.0, tuple(images)))
        learned = recipe.files(tuned) if keep else {}
        return Arm(name, tuple(images), tuned.losses, figures, (figures,), intervals, learned)

    def _glimpses(self, recipe: Recipe, on_progress: OnProgress, name: str) -> Watch:
        trial, moments = self.trial, {round(share * recipe.steps) for share in GLIMPSES}
        steps = min(GLIMPSE_STEPS, trial.sampling_steps)

        def watch(step: int, network: torch.nn.Module, words: DiffusionModel) -> None:
            if step in moments:
                seeds = trial.picture_seeds(self.run)[:1]
                (image,) = generate(words, network, recipe.asked(trial.prompt), seeds, steps, trial.guidance)
                if words is not self.model:
                    words.forget_prompts()  # the next step changes what they mean
                on_progress(Progress(Stage.FINE_TUNING, step, recipe.steps, None, name, glimpse=image))

        return watch


@dataclass(frozen=True)
class Cells:
    """The parts of a trial that are worth keeping, each made unless `store` has it: base models and trained arms.

    `arms` are the photos as they were given, before any cleaning; `reference` names those that figures compare with.
    Settings that are left to the model's size are filled in already; `filmstrip` is for `Bench.train`.
    """

    arms: Mapping[str, Sequence[Photo]]
    model: DiffusionModel
    trial: Trial
    store: Store | None = None
    filmstrip: bool = False

    @property
    def reference(self) -> str:
        """The arm "clean", and without it the first one."""
        return "clean" if "clean" in self.arms else next(iter(self.arms))

    @functools.cached_property
    def _fingerprint(self) -> dict[str, Any]:
        trial = {key: value for key, value in describe_settings(self.trial).items() if key not in ("seeds", "cleaning")}
        photos = {name: captioned_digest(photos) for name, photos in self.arms.items()}
        return {
            "trial": trial,
            "photos": photos,
            "model": self.model.name,
            "weights": self.model.fingerprint,
        }

    def bench(self, run: int, cleaning: str, on_progress: OnProgress = ignore_progress) -> tuple[Bench, Arm]:
        """The bench of one run, whose photos are framed as `cleaning` frames them, and the base model as an arm."""
        name, photos = base_name(run, cleaning), parse_cleaning(cleaning).framed(self.arms[self.reference])
        key = digest({**self._fingerprint, **self._cut(cleaning), "arm": "base", "run": run}) if self.store else ""
        kept = self.store.load(name, key) if self.store else None
        if kept:
            on_progress(Progress(Stage.FINISHED, 1, 1, None, "base", 1.0, kept.images, kept=True))
            return Bench.resume(self.model, photos, self.trial, run, kept.images), kept
        bench = Bench.start(self.model, photos, self.trial, run, on_progress)
        base = bench.base()
        if self.store:
            self.store.save(name, key, base)
        return bench, base

    def arm(
        self,
        bench: Bench,
        name: str,
        found: FoundPhotos,
        recipe: Recipe,
        cleaning: str,
        on_progress: OnProgress = ignore_progress,
        keep: bool = False,
    ) -> Arm:
        """One arm of the run of `bench`, on its photos in `found`, which are cleaned by `cleaning`; see `Bench.train`."""
        if kept := self._kept(bench, name, recipe, cleaning):
            on_progress(Progress(Stage.FINISHED, 1, 1, None, name, 1.0, kept.images, kept=True))
            return kept
        units = found.units(name)
        share = units / (units + recipe.arm_steps + bench.trial.sampling_steps)
        photos = found.of(name, lambda p: on_progress(replace(p, arm=name, fraction=share * p.overall)))
        arm = bench.train(name, photos, recipe, span(on_progress, share, 1.0), keep, self.filmstrip)
        if self.store:
            self.store.save(*self._place(bench, name, recipe, cleaning), arm)
        return arm

    def arms_of(
        self,
        bench: Bench,
        found: FoundPhotos,
        recipe: Recipe,
        cleaning: str,
        on_progress: OnProgress = ignore_progress,
        keep: bool = False,
    ) -> list[Arm]:
        """All arms of the run of `bench`, at the same time where that is faster and the store allows it; see `arm`."""
        in_turn = bool(self.store and self.store.in_turn)

        def part(name: str) -> Callable[[OnProgress], Arm]:
            return lambda listener: self.arm(bench, name, found, recipe, cleaning, listener, keep)

        return at_once([part(name) for name in self.arms], self.model, on_progress, in_turn)

    def _kept(self, bench: Bench, name: str, recipe: Recipe, cleaning: str) -> Arm | None:
        return self.store.load(*self._place(bench, name, recipe, cleaning)) if self.store else None

    def _place(self, bench: Bench, name: str, recipe: Recipe, cleaning: str) -> tuple[str, str]:
        """What the store calls an arm, and the key that it must have."""
        return cell_name(recipe.name, cleaning, name, bench.run), self._key(bench, name, recipe, cleaning)

    def _key(self, bench: Bench, name: str, recipe: Recipe, cleaning: str) -> str:
        # Other arms' photos must not make this cell stale; the reference's decide its figures and may stand in for some.
        photos = {arm: self._fingerprint["photos"][arm] for arm in (self.reference, name)}
        made_by = {"recipe": [recipe.name, describe_settings(recipe)], "cleaning": repr(parse_cleaning(cleaning))}
        return digest(
            {**self._fingerprint, **self._cut(cleaning), "photos": photos, "arm": name, "run": bench.run, **made_by}
        )

    def _cut(self, cleaning: str) -> dict[str, str]:
        # All that cut nothing share their base.
        return {"framing": repr(parse_cleaning(cleaning))} if framing_of(cleaning) else {}


def run_trial(
    arms: Mapping[str, Sequence[Photo]],
    model: DiffusionModel,
    recipe: Recipe,
    trial: Trial | None = None,
    on_progress: OnProgress = ignore_progress,
    pretrained: Pretrained | None = None,
    store: Store | None = None,
    filmstrip: bool = False,
    faces: Faces | None = None,
) -> Report:
    """Fine-tune a copy of `model` on every arm's photos and sample each, with the same seeds, steps and prompts.

    `arms` maps names to photos; the arm "clean" is the reference for the figures, and without it the first arm is.
    `model` is the imitator's: hand over another than the one protected against to test transfer. With `pretrained`
    (see `udp.evaluation.metrics.pretrained.load_pretrained`) or `faces` (`udp.evaluation.metrics.faces.load_faces`) their figures
    are in the report as well. What `store` has of
    this very trial is not made again. With `filmstrip` progress shows what each arm has learned so far. Raises
    `InvalidInput` for a bad trial, `NothingLearned` if a fine-tune left weights or pictures unchanged.
    """
    recipe, trial = model.suited(recipe), model.suited(trial or Trial())
    trial.check()
    if not arms:
        raise InvalidInput("expected at least one arm of photos, got none")
    recipe.check_prompts(model, trial.instance_prompt, trial.prompt)
    cells = Cells(arms, model, trial, store, filmstrip)
    reference = arms[cells.reference]
    framed = parse_cleaning(trial.cleaning).framed(reference)
    beside = references(pretrained, faces, model, reference, framed, trial.prompt)
    unit = recipe.arm_steps + trial.sampling_steps
    found = FoundPhotos(arms, model, trial)
    cleaning = sum(map(found.units, arms))
    total = trial.seeds * (unit * len(arms) + trial.sampling_steps) + cleaning
    done, base, runs = 0.0, [], []

    def within(size: float) -> OnProgress:
        return span(on_progress, done / total, (done + size) / total)

    for run in range(trial.seeds):
        bench, before = cells.bench(run, trial.cleaning, within(trial.sampling_steps))
        base.append(before)
        done += trial.sampling_steps
        size = len(arms) * unit + (0.0 if runs else cleaning)  # for all runs in the first
        runs.append(cells.arms_of(bench, found, recipe, trial.cleaning, within(size), keep=run == 0))
        done += size
    by_arm = [*zip(*runs, strict=True)]
    return make_report(base, by_arm, [bench.reference.basis(trial.pictures)], beside, recipe, trial)
