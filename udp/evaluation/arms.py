"""What one set of photos led to, and all of them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from udp.evaluation.arm_names import ArmName
from udp.evaluation.interval import Figures, Interval, Intervals
from udp.evaluation.metrics.figures import BesideClean
from udp.evaluation.metrics.reference import Reference
from udp.evaluation.metrics.table import extractors, measure
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import Verdict, judge
from udp.imitation.recipes.base import Recipe
from udp.language import ENGLISH, Text


@dataclass(frozen=True)
class Arm:
    """The outcome for one set of photos: generated pictures (uint8), training losses and figures (`metrics`).

    With several seeds `images` has the pictures of all runs in order, `losses` and `metrics` are means over the runs,
    and `runs` has the figures of each. `intervals` are (low, high) of 95%: over the pictures of a single run
    (bootstrap), over the runs where there are several (Student's t). `learned` are the files of the first run's fine-tune,
    for other programs, where somebody asked for them.
    """

    name: str
    images: tuple[np.ndarray, ...]
    losses: tuple[float, ...]
    metrics: Figures
    runs: tuple[Figures, ...] = ()
    intervals: Intervals = field(default_factory=dict)
    learned: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def spread(self) -> Figures:
        """Sample standard deviation over the runs of every figure; empty for a single run."""
        if len(self.runs) < 2:
            return {}
        return {key: float(np.std([run[key] for run in self.runs], ddof=1)) for key in self.metrics}


@dataclass(frozen=True)
class Report:
    """Arms in the order they were run, the base model's own pictures as `base`, and what they amount to.

    `basis` says which feature extractor and how many samples the figures rest on; `extractors` says it of each figure
    from a pretrained model. `recipe` and `trial` are what was run, with what suits the model's size filled in.
    """

    base: Arm
    arms: tuple[Arm, ...]
    judgement: Verdict
    basis: tuple[Text, ...] = ()
    extractors: Mapping[str, Text] = field(default_factory=dict)
    recipe: Recipe | None = None
    trial: Trial | None = None

    @property
    def verdict(self) -> str:
        """The judgement as one English sentence."""
        return ENGLISH.say(self.judgement.sentence)

    def arm(self, name: str) -> Arm | None:
        """The arm called `name`, if it was run."""
        return next((arm for arm in self.arms if arm.name == name), None)


def combine(arms: Sequence[Arm]) -> Arm:
    """The same arm of several runs as one."""
    if len(arms) == 1:
        return arms[0]
    runs = tuple(arm.metrics for arm in arms)
    # Some figures are not defined in every run, such as whose face it is where no picture has one.
    common = [key for key in runs[0] if all(key in run for run in runs)]
    means = {key: float(np.mean([run[key] for run in runs])) for key in common}
    losses = tuple(float(x) for x in np.mean([arm.losses for arm in arms], axis=0))
    over = {key: Interval.over([run[key] for run in runs]) for key in means}
    intervals = {key: (interval.low, interval.high) for key, interval in over.items()}
    return Arm(
        arms[0].name,
        tuple(image for arm in arms for image in arm.images),
        losses,
        means,
        runs,
        intervals,
        arms[0].learned,
    )


def beside_clean(arm: Arm, clean: Arm) -> Arm:
    """One run of an arm with the figures that compare its pictures with those of the clean arm's same run."""
    return with_more(arm, *measure(BesideClean(arm.images, clean.images)))


def with_more(arm: Arm, figures: Figures, intervals: Intervals) -> Arm:
    """One run of an arm with further figures of its pictures."""
    metrics = {**arm.metrics, **figures}
    return replace(arm, metrics=metrics, runs=(metrics,), intervals={**arm.intervals, **intervals})


def make_report(
    base: Sequence[Arm],
    arms: Sequence[Sequence[Arm]],
    basis: Sequence[Text] = (),
    beside: Sequence[Reference] = (),
    recipe: Recipe | None = None,
    trial: Trial | None = None,
) -> Report:
    """A report from the base and the arms, each given as its runs, with figures of what further models see (`beside`)."""
    named: dict[str, Text] = {}
    for each in beside:
        base, *arms = ([with_more(arm, *measure(each.see(arm.images))) for arm in runs] for runs in (base, *arms))
        basis, named = (*basis, each.basis()), named | extractors(each, len(base[0].images))
    clean = next((runs for runs in arms if runs[0].name == ArmName.CLEAN), None)
    if clean:
        arms = [[beside_clean(*pair) for pair in zip(runs, clean, strict=True)] for runs in arms]
    merged = tuple(combine(runs) for runs in arms)
    first = combine(base)
    judgement = judge(first.runs, {arm.name: arm.runs for arm in merged})
    return Report(first, merged, judgement, tuple(basis), named, recipe, trial)
