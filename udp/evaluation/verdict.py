"""From figures to a verdict, by a rule that is shown with it.

The thresholds are ours and were fixed before the trials they judge. A verdict is an id with values; `udp.language` says it.
The verdict is on the protected arm alone: the random-noise arm is what it is measured against.

To add one: a `VerdictId`, its case in `CASES` (and what it is judged by in `Evidence`), and its two texts in every language,
"verdict.<id>" for the claim and "verdict.<id>.word" for a table.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from udp.evaluation.arm_names import TRAINED, ArmName
from udp.evaluation.interval import Figures, Interval
from udp.language import ENGLISH, Text, text

LEAST_LESSON = 0.1  # the drop of the loss on the clean photos that counts as having learned the subject
LEAST_EFFECT = 0.1  # of the lesson, or 3 dB: below both, no effect
LEAST_EXCESS_DB = 3.0
# A collapse takes both the figures of learning and the pictures: 20% of the lesson left and pictures 3 dB worse, or half of
# it left and 6 dB. A perturbation that moves every latent the same way makes the loss on clean photos rise although
# the pictures still show the subject, so learning alone must not call a collapse.
COLLAPSE_LEARNED = 0.2
COLLAPSE_HALF = 0.5
COLLAPSE_EXCESS_DB = 6.0

RULE = text(
    "verdict.rule", lesson=LEAST_LESSON, effect=LEAST_EFFECT, excess=LEAST_EXCESS_DB, collapse_learned=COLLAPSE_LEARNED,
    collapse_half=COLLAPSE_HALF, collapse_excess=COLLAPSE_EXCESS_DB,
)  # fmt: skip


class VerdictId(enum.StrEnum):
    """What may be said of a protection."""

    COLLAPSED = "collapsed"
    DEGRADED = "degraded"
    NO_EFFECT = "no_effect"
    SEEDS_DISAGREE = "seeds_disagree"
    NOT_LEARNED = "not_learned"
    NO_CONTROL = "no_control"


@dataclass(frozen=True)
class Evidence:
    """What decides once the clean arm has learned the subject.

    `learned` has one interval an arm, `effect` is random minus protected, `excess_db` is how much worse the texture of
    the protected arm's pictures is than the worse control's.
    """

    learned: Mapping[str, Interval]
    effect: Interval
    excess_db: Interval

    @property
    def learns_less(self) -> bool:
        """Whether the imitator learns less than from random noise."""
        return self.effect.mean >= LEAST_EFFECT

    @property
    def looks_worse(self) -> bool:
        """Whether the pictures are worse than the controls'."""
        return self.excess_db.mean >= LEAST_EXCESS_DB

    @property
    def sure(self) -> bool:
        """Whether the seeds agree on either."""
        return (self.learns_less and self.effect.above_zero()) or (self.looks_worse and self.excess_db.above_zero())

    @property
    def fails(self) -> bool:
        """Whether the imitation fails, in what was learned and in the pictures."""
        share = self.learned[ArmName.PROTECTED].mean
        ruined = share < COLLAPSE_HALF and self.excess_db.mean >= COLLAPSE_EXCESS_DB
        ignorant = share < COLLAPSE_LEARNED and self.looks_worse and self.effect.above_zero()
        return (ruined or ignorant) and self.excess_db.above_zero()


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
    """

    id: VerdictId
    seeds: int
    learned: Mapping[str, Interval] = field(default_factory=dict)
    effect: Interval | None = None
    excess_db: Interval | None = None
    lesson: float = 0.0

    @property
    def word(self) -> Text:
        """For a table."""
        return text(f"verdict.{self.id}.word")

    @property
    def sentence(self) -> Text:
        """The claim with the figures that it rests on."""
        values = {"lesson": self.lesson} if self.id is VerdictId.NOT_LEARNED else {}
        claim = text(f"verdict.{self.id}", **values)
        if self.excess_db is None:
            return claim
        return text(
            "verdict.sentence", claim=claim, learned=self.learned[ArmName.PROTECTED],
            random=self.learned[ArmName.RANDOM], excess=self.excess_db, seeds=self.seeds,
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """As JSON values, in English."""
        return {
            "word": ENGLISH.say(self.word),
            "sentence": ENGLISH.say(self.sentence),
            "seeds": self.seeds,
            "learned": {str(name): asdict(interval) for name, interval in self.learned.items()},
            "effect": asdict(self.effect) if self.effect else None,
            "excess_db": asdict(self.excess_db) if self.excess_db else None,
        }


def learned(base: Figures, arm: Figures, clean: Figures) -> float:
    """How much of what the clean arm learned about the real photos this arm learned too (1 = all, 0 = nothing).

    The drop of the denoising loss on the clean photos, over the clean arm's drop; negative if the arm knows less than
    the base model did, NaN if the clean arm learned nothing.
    """
    gain = base["clean_loss"] - clean["clean_loss"]
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
    found = Evidence(intervals, Interval.over(effects), Interval.over(excess))
    id = next(id for id, holds in CASES if holds(found))
    return Verdict(id, seeds, intervals, found.effect, found.excess_db, lesson)
