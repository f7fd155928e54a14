"""From figures to a verdict, by a rule that is shown with it.

The thresholds are ours and were fixed before the trials they judge. A verdict is an id with values; `udp.language` says it.
The verdict is on the protected arm alone: the random-noise arm is what it is measured against.

To add one: a `VerdictId`, its case in `CASES` (and what it is judged by in `Evidence`), and its two texts in every language,
"verdict.<id>" for the claim and "verdict.<id>.word" for a table.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from udp.evaluation.arm_names import TRAINED, ArmName
from udp.evaluation.interval import Figures, Interval
from udp.language import ENGLISH, Text, text

LEAST_LESSON = 0.1  # the drop of the loss on the clean photos that counts as having learned the subject
LEAST_EFFECT = 0.1  # of the lesson, or 3 dB: below both, no effect
LEAST_EXCESS_DB = 3.0
# A collapse takes both the figures of learning and the pictures. A perturbation that moves every latent the same way makes the loss on
# clean photos rise although the pictures still show the subject, so learning alone must not call a collapse.
COLLAPSE_LEARNED = 0.2  # with pictures that look worse: texture by `LEAST_EXCESS_DB`, or likeness by `UNLIKE`
COLLAPSE_HALF = (
    0.5  # with pictures that show another thing: texture by `COLLAPSE_EXCESS_DB`, or likeness by `COLLAPSE_UNLIKE`
)
COLLAPSE_EXCESS_DB = 6.0
DINOV2 = "dinov2_image_similarity"
STRUCTURE = "structure_similarity"


@dataclass(frozen=True)
class Likeness:
    """Likeness to the photos as something sees it that no attack was made against.

    What decides is the share that the protected arm reaches of what the worse control gains by its fine-tune. Below a gain
    of `least` there is nothing to keep a share of. With `alone` texture has no say beside it.
    """

    least: float
    alone: bool = False


# The first that every arm has decides: DINOv2 where it is at hand, else the photos' structure where both controls repeat them,
# else outlines and colours. Beside structure texture has no say: over ten subjects it had nothing to do with what a judge saw
# who did not know the arms (docs/judged.json), and within three of them, with more seeds, it went now with that and now against
# it (docs/judged-cleanings.json).
LIKENESSES = {
    DINOV2: Likeness(0.05),
    STRUCTURE: Likeness(0.2, alone=True),
    "shape_similarity": Likeness(0.05),
}
UNLIKE = 0.6  # of the worse control's gain, or less: the pictures look worse
COLLAPSE_UNLIKE = 0.3

RULE = text(
    "verdict.rule",
    lesson=LEAST_LESSON,
    effect=LEAST_EFFECT,
    excess=LEAST_EXCESS_DB,
    collapse_learned=COLLAPSE_LEARNED,
    collapse_half=COLLAPSE_HALF,
    collapse_excess=COLLAPSE_EXCESS_DB,
    unlike=UNLIKE,
    collapse_unlike=COLLAPSE_UNLIKE,
    structure=LIKENESSES[STRUCTURE].least,
)


class VerdictId(enum.StrEnum):
    """What may be said of a protection."""

    COLLAPSED = "collapsed"
    DEGRADED = "degraded"
    ONLY_HASTE = "only_haste"
    NO_EFFECT = "no_effect"
    SEEDS_DISAGREE = "seeds_disagree"
    NOT_LEARNED = "not_learned"
    NO_CONTROL = "no_control"


def texture_counts_beside(likeness_by: str) -> bool:
    """Whether texture has a say where that of `LIKENESSES` decides, "" for none."""
    return not (likeness_by and LIKENESSES[likeness_by].alone)


@dataclass(frozen=True)
class Evidence:
    """What decides once the clean arm has learned the subject.

    `learned` has one interval an arm, `effect` is random minus protected, `excess_db` is how much worse the texture of
    the protected arm's pictures is than the worse control's, `likeness` the share that they reach of the likeness that the
    worse control gained (None where it gained none), by the metric `likeness_by`.
    """

    learned: Mapping[str, Interval]
    effect: Interval
    excess_db: Interval
    likeness: Interval | None = None
    likeness_by: str = ""

    @property
    def learns_less(self) -> bool:
        """Whether the imitator learns less than from random noise."""
        return self.effect.mean >= LEAST_EFFECT

    @property
    def texture_counts(self) -> bool:
        """See `texture_counts_beside`."""
        return texture_counts_beside(self.likeness_by)

    @property
    def looks_worse(self) -> bool:
        """Whether the pictures are worse than the controls'."""
        return self.texture_worse(LEAST_EXCESS_DB) or self.unlike(UNLIKE)

    def texture_worse(self, decibels: float) -> bool:
        """Whether texture has a say, and is that much worse."""
        return self.texture_counts and self.excess_db.mean >= decibels

    def unlike(self, share: float) -> bool:
        """Whether the pictures reach at most `share` of the worse control's likeness."""
        return self.likeness is not None and self.likeness.mean <= share

    @property
    def sure(self) -> bool:
        """Whether the seeds agree on either."""
        return (self.learns_less and self.effect.above_zero()) or (self.looks_worse and self.sure_by_looks)

    @property
    def sure_by_looks(self) -> bool:
        """Whether the seeds agree that texture or likeness is worse than the worse control's."""
        alike = self.likeness
        return (self.texture_counts and self.excess_db.above_zero()) or (alike is not None and alike.below(1.0))

    @property
    def fails(self) -> bool:
        """Whether the imitation fails, in what was learned and in the pictures."""
        share = self.learned[ArmName.PROTECTED].mean
        ruined = share < COLLAPSE_HALF and (self.texture_worse(COLLAPSE_EXCESS_DB) or self.unlike(COLLAPSE_UNLIKE))
        ignorant = share < COLLAPSE_LEARNED and self.looks_worse and self.effect.above_zero()
        return (ruined or ignorant) and self.sure_by_looks


# The first case that holds is the verdict.
CASES: tuple[tuple[VerdictId, Callable[[Evidence], bool]], ...] = (
    (VerdictId.NO_EFFECT, lambda found: not (found.learns_less or found.looks_worse)),
    (VerdictId.SEEDS_DISAGREE, lambda found: not found.sure),
    (VerdictId.COLLAPSED, lambda found: found.fails),
    (VerdictId.DEGRADED, lambda found: True),
)


@dataclass(frozen=True)
class Verdict:
    """What may be said, and by what evidence.

    `lesson` is the share by which the clean arm's loss on the clean photos fell; without evidence, `learned` is empty.
    `likeness_by` is that of `LIKENESSES` which decided, "" where none had a say.
    """

    id: VerdictId
    seeds: int
    learned: Mapping[str, Interval] = field(default_factory=dict)
    effect: Interval | None = None
    excess_db: Interval | None = None
    lesson: float = 0.0
    likeness: Interval | None = None
    likeness_by: str = ""

    @property
    def word(self) -> Text:
        """For a table."""
        return text(f"verdict.{self.id}.word")

    @property
    def claim(self) -> Text:
        """In a few words, without a figure."""
        values = {"lesson": self.lesson} if self.id is VerdictId.NOT_LEARNED else {}
        return text(f"verdict.{self.id}", **values)

    @property
    def sentence(self) -> Text:
        """The claim with the figures that it rests on."""
        if self.excess_db is None:
            return self.claim
        return text(
            "verdict.sentence",
            claim=self.claim,
            learned=self.learned[ArmName.PROTECTED],
            random=self.learned[ArmName.RANDOM],
            excess=self.excess_db if texture_counts_beside(self.likeness_by) else None,
            likeness=self.likeness,
            seeds=self.seeds,
        )

    @property
    def judge_of_likeness(self) -> Text | None:
        """Which likeness decided, or that none did; None without evidence."""
        if self.excess_db is None:
            return None
        return text(f"verdict.likeness.{self.likeness_by or 'none'}")

    def describe(self) -> dict[str, Any]:
        """As JSON values, in English."""
        return {
            "word": ENGLISH.say(self.word),
            "sentence": ENGLISH.say(self.sentence),
            "seeds": self.seeds,
            "learned": {str(name): asdict(interval) for name, interval in self.learned.items()},
            "effect": asdict(self.effect) if self.effect else None,
            "excess_db": asdict(self.excess_db) if self.excess_db else None,
            "likeness": asdict(self.likeness) if self.likeness else None,
            "likeness_by": self.likeness_by or None,
        }


def after_patience(hasty: Verdict, patient: Verdict) -> Verdict:
    """What may be said when an imitator who takes more time was tried too: the patient one's verdict decides."""
    if hasty.id in (VerdictId.COLLAPSED, VerdictId.DEGRADED) and patient.id is VerdictId.NO_EFFECT:
        return replace(patient, id=VerdictId.ONLY_HASTE)
    return patient


def learned(base: Figures, arm: Figures, clean: Figures, clean_base: Figures | None = None) -> float:
    """How much of what the clean arm learned about the real photos this arm learned too (1 = all, 0 = nothing).

    The drop of the denoising loss on the clean photos, over the clean arm's drop; negative if the arm knows less than
    the base model did, NaN if the clean arm learned nothing. `clean_base` is the base on the clean arm's photos, where those are
    not `base`'s: whole ones beside cut ones.
    """
    gain = (clean_base or base)["clean_loss"] - clean["clean_loss"]
    return (base["clean_loss"] - arm["clean_loss"]) / gain if gain > 0 else float("nan")


def judge(base: Sequence[Figures], arms: Mapping[str, Sequence[Figures]]) -> Verdict:
    """The verdict on the protected arm, from the figures of each arm's runs (in the order of the base's runs)."""
    seeds = len(base)
    if not set(TRAINED) <= set(arms):
        return Verdict(VerdictId.NO_CONTROL, seeds)
    clean = arms[ArmName.CLEAN]
    lesson = float(np.mean([1 - c["clean_loss"] / b["clean_loss"] for b, c in zip(base, clean, strict=True)]))
    if lesson < LEAST_LESSON:
        return Verdict(VerdictId.NOT_LEARNED, seeds, lesson=lesson)
    shares = {
        name: [learned(b, run, c) for b, run, c in zip(base, runs, clean, strict=True)] for name, runs in arms.items()
    }
    random, protected = arms[ArmName.RANDOM], arms[ArmName.PROTECTED]
    effects = [r - p for r, p in zip(shares[ArmName.RANDOM], shares[ArmName.PROTECTED], strict=True)]
    excess = [
        p["texture_distance"] - max(r["texture_distance"], c["texture_distance"])
        for c, r, p in zip(clean, random, protected, strict=True)
    ]
    intervals = {name: Interval.over(values) for name, values in shares.items()}
    found = Evidence(intervals, Interval.over(effects), Interval.over(excess), *likeness(base, arms))
    id = next(id for id, holds in CASES if holds(found))
    return Verdict(id, seeds, intervals, found.effect, found.excess_db, lesson, found.likeness, found.likeness_by)


def likeness(base: Sequence[Figures], arms: Mapping[str, Sequence[Figures]]) -> tuple[Interval | None, str]:
    """The share of the likeness gained by the worse control that the protected arm's pictures reach, over the runs, and by what.

    By the first of `LIKENESSES` that every arm has and in which the controls gained enough in every run; None and "" without
    one. Where DINOv2 is at hand it alone decides.
    """
    clean, random, protected = (arms[name] for name in (ArmName.CLEAN, ArmName.RANDOM, ArmName.PROTECTED))
    runs = list(zip(base, clean, random, protected, strict=True))
    for key, kind in LIKENESSES.items():
        if not all(key in figures for run in runs for figures in run):
            continue
        gains = [min(c[key], r[key]) - b[key] for b, c, r, _ in runs]
        if min(gains) >= kind.least:
            shares = [(p[key] - b[key]) / gain for (b, _, _, p), gain in zip(runs, gains, strict=True)]
            return Interval.over(shares), key
        if key == DINOV2:
            break
    return None, ""
