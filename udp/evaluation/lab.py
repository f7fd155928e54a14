"""The attack lab: recipes x cleanings x arms x seeds, each cell once, and how much of the effect each cleaning leaves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from udp.errors import InvalidInput
from udp.evaluation.arms import Arm, Report, make_report
from udp.evaluation.bench import Bench, Cells
from udp.evaluation.cells import Store
from udp.evaluation.found import FoundPhotos
from udp.evaluation.interval import Interval
from udp.evaluation.metrics.faces import Faces
from udp.evaluation.metrics.pretrained import Pretrained
from udp.evaluation.metrics.reference import Reference
from udp.evaluation.metrics.references import references
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import LEAST_EFFECT, learned
from udp.imitation.cleaning import framing_of, parse_cleaning
from udp.imitation.recipes.base import Recipe
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.progress import OnProgress, ignore_progress, span

# The cheapest of those that take something from our protections, and the one that takes most.
DEFAULT_CLEANINGS = ("none", "crop", "invert")


@dataclass(frozen=True)
class Row:
    """One recipe under one cleaning.

    `learned` is by arm what it learned, as a share of what the clean, uncleaned photos teach: what a cleaning costs the
    imitator is seen in the clean arm. It is empty where those taught nothing. `effect` is what the protection takes away beyond random noise of the same budget: the lesson that the random arm
    learned minus what the protected arm learned, as such shares. `kept` is the
    part of the uncleaned effect that is left. Both are None where there is nothing to divide by, or no control.
    """

    recipe: str
    cleaning: str
    report: Report
    effect: Interval | None
    kept: Interval | None
    learned: Mapping[str, Interval]


@dataclass(frozen=True)
class LabReport:
    """All rows, recipes outermost, "none" the first cleaning of each; `trial` and `recipes` are what was run."""

    rows: tuple[Row, ...]
    model: str
    trial: Trial
    recipes: tuple[Recipe, ...]

    def row(self, recipe: str, cleaning: str = "none") -> Row | None:
        """The row of a recipe and a cleaning, if it was run."""
        return next((row for row in self.rows if (row.recipe, row.cleaning) == (recipe, cleaning)), None)


@dataclass(frozen=True)
class Lab:
    """What a run of the lab tries. `arms` need a clean one; `cleanings` are names or chains; "none" is added.

    Figures of `pretrained` models and of `faces` are made from the cells' pictures whenever a report is, and are not part of a cell.
    """

    arms: Mapping[str, Sequence[Photo]]
    model: DiffusionModel
    recipes: Sequence[Recipe]
    cleanings: Sequence[str] = DEFAULT_CLEANINGS
    trial: Trial = field(default_factory=Trial)
    pretrained: Pretrained | None = None
    faces: Faces | None = None

    def run(self, store: Store | None = None, on_progress: OnProgress = ignore_progress) -> LabReport:
        """Run every cell that `store` does not have yet.

        Progress carries the finished pictures of every cell, with `arm` as in `attack` and the recipe and cleaning in
        `stage`. Raises `InvalidInput` for bad settings, `NothingLearned` if a fine-tune changed nothing, and whatever
        `on_progress` raises to stop.
        """
        cleanings = self._check()
        recipes, trial = tuple(map(self.model.suited, self.recipes)), self.model.suited(self.trial)
        return replace(self, recipes=recipes, trial=trial)._run(cleanings, store, on_progress)

    def _run(self, cleanings: Sequence[str], store: Store | None, on_progress: OnProgress) -> LabReport:
        framings = set(map(framing_of, cleanings))
        sampling = self.trial.sampling_steps
        sizes = [photo.size for photos in self.arms.values() for photo in photos]
        first = {cleaning: parse_cleaning(cleaning).units(sizes) for cleaning in cleanings}
        arms = len(cleanings) * len(self.arms) * sum(recipe.arm_steps + sampling for recipe in self.recipes)
        count = _Count((arms + len(framings) * sampling) * self.trial.seeds + sum(first.values()))
        cells = Cells(self.arms, self.model, self.trial, store)
        started: dict[str, list[tuple[Bench, Arm]]] = {}  # one for all cleanings that cut nothing
        seen: dict[str, list[Reference]] = {}
        reports: dict[tuple[str, str], Report] = {}
        for cleaning in cleanings:
            photos = FoundPhotos(self.arms, self.model, replace(self.trial, cleaning=cleaning))
            framing = framing_of(cleaning)
            if framing not in started:
                clean = self.arms["clean"]
                framed = parse_cleaning(cleaning).framed(clean)
                seen[framing] = references(self.pretrained, self.faces, self.model, clean, framed, self.trial.prompt)
                started[framing] = []
                for run in range(self.trial.seeds):
                    count.next(sampling)
                    started[framing].append(cells.bench(run, cleaning, count.listener("base model", on_progress)))
            benches, bases = zip(*started[framing], strict=True)
            basis = [benches[0].reference.basis(self.trial.pictures)]
            for recipe in self.recipes:
                runs: list[list[Arm]] = []
                for bench in benches:
                    # The photos are cleaned once, for all runs and recipes in the first.
                    count.next(len(self.arms) * (recipe.arm_steps + sampling) + first.pop(cleaning, 0.0))
                    listener = count.listener(f"{recipe.name}, {cleaning}", on_progress)
                    runs.append(cells.arms_of(bench, photos, recipe, cleaning, listener))
                trial = replace(self.trial, cleaning=cleaning)
                reports[recipe.name, cleaning] = make_report(
                    bases, [*zip(*runs, strict=True)], basis, seen[framing], recipe, trial
                )
        rows = [
            _row(recipe.name, cleaning, reports[recipe.name, cleaning], reports[recipe.name, "none"])
            for recipe in self.recipes
            for cleaning in cleanings
        ]
        return LabReport(tuple(rows), self.model.name, self.trial, tuple(self.recipes))

    def _check(self) -> list[str]:
        self.trial.check()
        if "clean" not in self.arms or not self.recipes:
            raise InvalidInput(
                f"expected a clean arm and at least one recipe, got {', '.join(self.arms) or 'no arms'} and "
                f"{len(self.recipes)} recipes"
            )
        for recipe in self.recipes:
            recipe.check_prompts(self.model, self.trial.instance_prompt, self.trial.prompt)
        names = [recipe.name for recipe in self.recipes]
        if len(set(names)) < len(names):
            raise InvalidInput(f"expected every recipe once, got {', '.join(names)}")
        return all_cleanings(self.cleanings)


def all_cleanings(cleanings: Sequence[str]) -> list[str]:
    """The names of `cleanings`, each once, after "none". Raises `InvalidInput` for one that is unknown."""
    return list(dict.fromkeys(["none", *(parse_cleaning(text).name for text in cleanings)]))


class _Count:
    """Where the cell that is being run lies in `total` units of work, a step of training or sampling each."""

    def __init__(self, total: float) -> None:
        self._total, self._start, self._end = total, 0.0, 0.0

    def next(self, units: float) -> None:
        """Go on to the next cell, of so many units."""
        self._start, self._end = self._end, self._end + units

    def listener(self, label: str, on_progress: OnProgress) -> OnProgress:
        """Passes on one cell's progress, named and as a part of the whole."""
        part = span(on_progress, self._start / self._total, self._end / self._total)
        return lambda p: part(replace(p, stage=f"{label}: {p.stage}"))


def _row(recipe: str, cleaning: str, report: Report, uncleaned: Report) -> Row:
    shares, whole = _shares(report, uncleaned), _shares(uncleaned, uncleaned)
    taught = {arm: Interval.over(runs) for arm, runs in shares.items()}
    effects, before = _effects(shares), _effects(whole)
    if not effects:
        return Row(recipe, cleaning, report, None, None, taught)
    kept = None
    if Interval.over(before).mean >= LEAST_EFFECT and all(value > 0 for value in before):
        kept = Interval.over([now / then for now, then in zip(effects, before, strict=True)])
    return Row(recipe, cleaning, report, Interval.over(effects), kept, taught)


def _shares(report: Report, uncleaned: Report) -> dict[str, list[float]]:
    """By arm and run, what it learned as a share of the clean, uncleaned arm's lesson; nothing if that had none in some run."""
    clean = uncleaned.arm("clean")
    if not clean or not uncleaned.judgement.learned:
        return {}

    def share(arm: Arm) -> list[float]:
        runs = zip(report.base.runs, arm.runs, clean.runs, uncleaned.base.runs, strict=True)
        return [learned(base, run, taught, whole) for base, run, taught, whole in runs]

    found = {arm.name: share(arm) for arm in report.arms}
    return found if all(map(math.isfinite, itertools.chain(*found.values()))) else {}


def _effects(shares: Mapping[str, Sequence[float]]) -> list[float]:
    """The effect in each run; nothing where an arm is missing."""
    random, protected = shares.get("random", ()), shares.get("protected", ())
    return [noise - shield for noise, shield in zip(random, protected, strict=True)] if random and protected else []
