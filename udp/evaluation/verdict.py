"""From figures to words, by a rule that is shown with them.

The thresholds are ours and were fixed before the trials they judge. The words are for the protected arm alone: the
random-noise arm is what it is measured against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from udp.evaluation.interval import Figures, Interval

LEAST_LESSON = 0.1  # the drop of the loss on the clean photos that counts as having learned the subject
LEAST_EFFECT = 0.1  # of the lesson, or 3 dB: below both, no effect
LEAST_EXCESS_DB = 3.0
# A collapse takes both the figures of learning and the pictures: 20% of the lesson left and pictures 3 dB worse, or half of
# it left and 6 dB. A perturbation that moves every latent the same way makes the loss on clean photos rise although
# the pictures still show the subject, so learning alone must not call a collapse.
COLLAPSE_LEARNED = 0.2
COLLAPSE_HALF = 0.5
COLLAPSE_EXCESS_DB = 6.0

RULE = (
    f"Learned is the drop of the denoising loss on the clean photos over the drop that the clean arm reaches. "
    f"Inconclusive: the clean arm's loss fell by less than {LEAST_LESSON:.0%}, a control is missing, or the seeds "
    f"disagree. "
    f"Collapsed: learned below {COLLAPSE_LEARNED:.0%} and the pictures' texture at least {LEAST_EXCESS_DB:g} dB further "
    f"from the real photos than the worse control's, or below {COLLAPSE_HALF:.0%} and {COLLAPSE_EXCESS_DB:g} dB: the "
    f"pictures must show it, not only the loss. Degraded: learned at least "
    f"{LEAST_EFFECT:.0%} of the lesson less than from random noise of the same budget, or a texture at least "
    f"{LEAST_EXCESS_DB:g} dB worse. Otherwise: no effect. With several seeds, a 95% interval over them (Student's t) "
    f"has to lie beyond zero. The thresholds are conventions of this tool."
)

COLLAPSED, DEGRADED, NO_EFFECT = "collapsed", "degraded", "no effect"
NOT_LEARNED = "inconclusive: clean arm failed to learn the subject"
NO_CONTROL = "inconclusive: a clean, a random-noise and a protected arm are needed"
SEEDS_DISAGREE = "inconclusive: the seeds disagree"


@dataclass(frozen=True)
class Verdict:
    """One of the words above, the sentence around it, the evidence and the rule that was applied.

    `learned` has one interval an arm, `effect` is random minus protected, `excess_db` is how much worse the texture of
    the protected arm's pictures is than the worse control's.
    """

    word: str
    sentence: str
    seeds: int
    learned: dict[str, Interval]
    effect: Interval | None = None
    excess_db: Interval | None = None
    rule: str = RULE


def learned(base: Figures, arm: Figures, clean: Figures) -> float:
    """How much of what the clean arm learned about the real photos this arm learned too (1 = all, 0 = nothing).

    The drop of the denoising loss on the clean photos, over the clean arm's drop; negative if the arm knows less than
    the base model did, NaN if the clean arm learned nothing.
    """
    gain = base["clean_loss"] - clean["clean_loss"]
    return (base["clean_loss"] - arm["clean_loss"]) / gain if gain > 0 else float("nan")


def judge(base: Sequence[Figures], arms: Mapping[str, Sequence[Figures]]) -> Verdict:
    """The verdict on the arm "protected", from the figures of each arm's runs (in the order of the base's runs)."""
    seeds = len(base)
    if not {"clean", "random", "protected"} <= set(arms):
        return Verdict(NO_CONTROL, f"{NO_CONTROL.capitalize()}.", seeds, {})
    drop = float(np.mean([1 - c["clean_loss"] / b["clean_loss"] for b, c in zip(base, arms["clean"], strict=True)]))
    if drop < LEAST_LESSON:
        moved = f"fell by {drop:.0%}" if drop >= 0 else f"rose by {-drop:.0%}"
        found = f"its loss on these photos {moved}; train longer or choose another model"
        return Verdict(NOT_LEARNED, f"{NOT_LEARNED.capitalize()} ({found}).", seeds, {})
    shares = {
        name: [learned(b, run, c) for b, run, c in zip(base, runs, arms["clean"], strict=True)]
        for name, runs in arms.items()
    }
    effect = Interval.over([r - p for r, p in zip(shares["random"], shares["protected"], strict=True)])
    excess = Interval.over([
        p["texture_distance"] - max(r["texture_distance"], c["texture_distance"])
        for c, r, p in zip(arms["clean"], arms["random"], arms["protected"], strict=True)
    ])  # fmt: skip
    intervals = {name: Interval.over(values) for name, values in shares.items()}
    word = _word(intervals["protected"].mean, effect, excess)
    return Verdict(word, _sentence(word, intervals, excess, seeds), seeds, intervals, effect, excess)


def _word(share: float, effect: Interval, excess: Interval) -> str:
    worse_at_learning = effect.mean >= LEAST_EFFECT
    worse_to_look_at = excess.mean >= LEAST_EXCESS_DB
    if not worse_at_learning and not worse_to_look_at:
        return NO_EFFECT
    sure = (worse_at_learning and effect.above_zero()) or (worse_to_look_at and excess.above_zero())
    if not sure:
        return SEEDS_DISAGREE
    ruined = share < COLLAPSE_HALF and excess.mean >= COLLAPSE_EXCESS_DB
    ignorant = share < COLLAPSE_LEARNED and worse_to_look_at and effect.above_zero()
    return COLLAPSED if (ruined or ignorant) and excess.above_zero() else DEGRADED


def _sentence(word: str, learned: Mapping[str, Interval], excess: Interval, seeds: int) -> str:
    said = {
        COLLAPSED: "Collapsed: the imitation failed in this trial",
        DEGRADED: "Degraded: the protection hindered the imitator but did not stop it",
        NO_EFFECT: "No effect: the protection did not beat random noise of the same budget",
        SEEDS_DISAGREE: "Inconclusive: the seeds disagree",
    }[word]
    scope = "One seed: an example, not evidence." if seeds < 2 else f"{seeds} seeds."
    return (
        f"{said}. The imitator learned {_lesson(learned['protected'])} of what the clean photos teach, with random noise "
        f"{_lesson(learned['random'])}; the texture of its pictures is {_texture(excess)}. {scope}"
    )


def _lesson(share: Interval) -> str:
    """What an arm learned; a negative share is no lesson of any size."""
    text = share.text()
    return f"less than nothing ({text.replace(' (', ', ').removesuffix(')')})" if text.startswith("-") else text


def _texture(excess: Interval) -> str:
    """How far the pictures are from the real photos beside the worse control's, whichever of the two is further."""
    if f"{excess.mean:z.1f}" == "0.0":
        words = "as far from the real photos as the worse control's"
    elif excess.mean > 0:
        words = f"{excess.mean:.1f} dB further from the real photos than the worse control's"
    else:
        words = f"{-excess.mean:.1f} dB nearer to the real photos than the worse control's"
    if excess.low is None:
        return words
    low, high = (f"{abs(x):.1f} dB {'further' if x > 0 else 'nearer'}" for x in (excess.low, excess.high))
    return f"{words} (from {low} to {high})"
