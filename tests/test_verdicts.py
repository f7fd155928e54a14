"""Verdicts: planted outcomes get their words, and nothing more is claimed than the trial shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from udp.evaluation.interval import Figures, Interval
from udp.evaluation.verdict import RULE, Verdict, VerdictId, after_patience, judge, learned
from udp.language import CHINESE, ENGLISH


def runs(*losses: float, texture: float = 4.0) -> list[Figures]:
    return [{"clean_loss": loss, "texture_distance": texture} for loss in losses]


def sentence(verdict: Verdict) -> str:
    return ENGLISH.say(verdict.sentence)


def arms(clean: float, random: float, protected: float, texture: float = 4.0) -> dict[str, list[Figures]]:
    return {"clean": runs(clean), "random": runs(random), "protected": runs(protected, texture=texture)}


@pytest.mark.parametrize(
    ("trial", "word"),
    [
        (arms(0.5, 0.5, 0.95, texture=8), VerdictId.COLLAPSED),
        (arms(0.5, 0.52, 1.4, texture=8), VerdictId.COLLAPSED),
        (arms(0.5, 0.5, 0.95), VerdictId.DEGRADED),  # only the loss says so: no collapse without pictures that show it
        (arms(0.5, 0.5, 0.8, texture=11), VerdictId.COLLAPSED),
        (arms(0.5, 0.5, 0.8), VerdictId.DEGRADED),
        (arms(0.5, 0.5, 0.5, texture=8), VerdictId.DEGRADED),
        (arms(0.5, 0.7, 0.7), VerdictId.NO_EFFECT),
        (arms(0.5, 0.9, 0.95), VerdictId.NO_EFFECT),
        (arms(0.5, 0.5, 0.5), VerdictId.NO_EFFECT),
        (arms(0.5, 0.6, 0.5, texture=1), VerdictId.NO_EFFECT),
        (arms(0.95, 0.95, 1.4), VerdictId.NOT_LEARNED),
    ],
)
def test_planted_outcomes(trial: dict[str, list[Figures]], word: str) -> None:
    verdict = judge(runs(1.0), trial)
    assert verdict.id == word and verdict.seeds == 1
    if word != VerdictId.NOT_LEARNED:
        assert "One seed: an example, not evidence." in sentence(verdict)
    assert "95% interval" in ENGLISH.say(RULE) and "20%" in ENGLISH.say(RULE)


def test_random_noise_in_the_protected_arm_is_never_a_protection() -> None:
    for loss in np.linspace(0.4, 1.5, 12):
        trial = {"clean": runs(0.5), "random": runs(loss, texture=20), "protected": runs(loss, texture=20)}
        assert judge(runs(1.0), trial).id == VerdictId.NO_EFFECT


@pytest.mark.parametrize("missing", ["clean", "random", "protected"])
def test_a_missing_control_decides_nothing(missing: str) -> None:
    trial = arms(0.5, 0.5, 0.9)
    del trial[missing]
    assert judge(runs(1.0), trial).id == VerdictId.NO_CONTROL


def test_seeds_that_disagree_are_inconclusive_and_seeds_that_agree_are_not() -> None:
    clean, random = runs(0.5, 0.5, 0.5), runs(0.5, 0.5, 0.5)
    apart = judge(runs(1, 1, 1), {"clean": clean, "random": random, "protected": runs(0.9, 0.5, 0.52)})
    alike = judge(runs(1, 1, 1), {"clean": clean, "random": random, "protected": runs(0.7, 0.72, 0.69)})
    assert apart.id == VerdictId.SEEDS_DISAGREE and alike.id == VerdictId.DEGRADED
    assert "3 seeds" in sentence(alike) and "not evidence" not in sentence(alike)
    assert alike.effect.low < 0.4067 < alike.effect.high


@pytest.mark.parametrize(
    ("textures", "words"),
    [
        ([8.0], "is 4.0 dB further from the real photos than the worse control's. "),
        ([3.7], "is 0.3 dB nearer to the real photos than the worse control's. "),
        ([3.98], "is as far from the real photos as the worse control's. "),
        ([3.5, 3.7, 3.9], "the worse control's (from 0.8 dB nearer to 0.2 dB further). 3 seeds."),
    ],
)
def test_no_sentence_gives_a_negative_distance(textures: list[float], words: str) -> None:
    clean, protected = runs(*[0.5] * len(textures)), [runs(0.7, texture=texture)[0] for texture in textures]
    trial = {"clean": clean, "random": clean, "protected": protected}
    said = sentence(judge(runs(*[1.0] * len(textures)), trial))
    assert words in said and "-" not in said


def test_a_lesson_below_nothing_is_called_so() -> None:
    assert "learned less than nothing (-80%) of what the clean" in sentence(judge(runs(1.0), arms(0.5, 0.5, 1.4)))
    several = {"clean": runs(0.5, 0.5), "random": runs(1.1, 1.3), "protected": runs(0.9, 0.8)}
    assert "random noise less than nothing (-40%, -294% to 214%); the" in sentence(judge(runs(1.0, 1.0), several))
    assert "learned 0% of what" in sentence(judge(runs(1.0), arms(0.5, 0.5, 1.001)))  # no minus before a zero


def test_interval_is_student_t() -> None:
    interval = Interval.over([1.0, 2.0, 3.0])
    assert interval.mean == 2 and interval.high - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-5)
    assert Interval.over([1.0]).low is None and Interval.over([0.5]).text() == "50%"


def test_learned_is_one_for_the_clean_arm_and_zero_for_the_base() -> None:
    base, clean = {"clean_loss": 1.0}, {"clean_loss": 0.4}
    assert learned(base, clean, clean) == 1 and learned(base, base, clean) == 0
    assert np.isnan(learned(base, clean, {"clean_loss": 1.1}))


def seen(losses: Sequence[float], likeness: Sequence[float], key: str = "shape_similarity") -> list[Figures]:
    return [{**run, key: value} for run, value in zip(runs(*losses), likeness, strict=True)]


@pytest.mark.parametrize("key", ["shape_similarity", "structure_similarity", "dinov2_image_similarity"])
@pytest.mark.parametrize(
    ("loss", "likeness", "word"),
    [
        (0.8, 0.2, VerdictId.COLLAPSED),  # 40% learned, a fifth of the likeness: another thing, whatever its texture
        (0.95, 0.35, VerdictId.COLLAPSED),
        (0.8, 0.35, VerdictId.DEGRADED),
        (0.5, 0.3, VerdictId.DEGRADED),  # the loss says all was learned, the pictures do not
        (0.5, 0.6, VerdictId.NO_EFFECT),
    ],
)
def test_likeness_seen_by_another_pair_of_eyes_counts(key: str, loss: float, likeness: float, word: str) -> None:
    trial = {
        "clean": seen([0.5], [0.8], key), "random": seen([0.5], [0.7], key), "protected": seen([loss], [likeness], key)
    }  # fmt: skip
    verdict = judge(seen([1.0], [0.1], key), trial)
    assert verdict.id == word
    assert verdict.likeness.mean == pytest.approx((likeness - 0.1) / 0.6)
    assert f"{verdict.likeness.mean:.0%} of the worse control's" in sentence(verdict)
    assert verdict.likeness_by == verdict.describe()["likeness_by"] == key


@pytest.mark.parametrize("key", ["shape_similarity", "structure_similarity", "dinov2_image_similarity"])
@pytest.mark.parametrize(
    ("share", "texture", "word"),
    [
        (0.9, 7.5, VerdictId.COLLAPSED),  # by its texture alone
        (0.65, 3.0, VerdictId.DEGRADED),
        (0.55, 3.0, VerdictId.COLLAPSED),  # by likeness alone
    ],
)
def test_texture_has_no_say_where_structure_decides(key: str, share: float, texture: float, word: str) -> None:
    def pictures(loss: float, near: float, texture: float = 4.0) -> list[Figures]:
        return [{"clean_loss": loss, "texture_distance": texture, key: near}]

    alone = key == "structure_similarity"
    known = pictures(0.5, 0.8)
    trial = {"clean": known, "random": known, "protected": pictures(1.0, 0.2 + share * 0.6, texture)}
    verdict = judge(pictures(1.0, 0.2), trial)
    assert verdict.id == (VerdictId.DEGRADED if alone and share > 0.6 else word)
    assert ("texture had no say" in ENGLISH.say(verdict.judge_of_likeness)) == alone
    assert ("texture" in sentence(verdict)) == ("纹理" in CHINESE.say(verdict.sentence)) == (not alone)
    assert f"{share:.0%} of the worse control's." in sentence(verdict)
    alike = {**trial, "protected": pictures(0.5, 0.8, 12.0)}
    assert judge(pictures(1.0, 0.2), alike).id == (VerdictId.NO_EFFECT if alone else VerdictId.DEGRADED)


def test_seeds_are_sure_of_structure_without_texture() -> None:
    """Textures of all seeds are worse, the structure of one is better: by structure nothing is sure."""
    near = [0.2, 0.2, 1.1]
    base = [{"clean_loss": 1.0, "texture_distance": 4.0, "structure_similarity": 0.2}] * 3
    known = [{**base[0], "clean_loss": 0.5, "structure_similarity": 0.8}] * 3
    protected = [{**known[0], "structure_similarity": 0.2 + 0.6 * share, "texture_distance": 12.0} for share in near]
    trial = {"clean": known, "random": known, "protected": protected}
    assert judge(base, trial).id == VerdictId.SEEDS_DISAGREE


def test_controls_that_grew_no_more_alike_have_no_say_by_likeness() -> None:
    trial = {"clean": seen([0.5], [0.8]), "random": seen([0.5], [0.12]), "protected": seen([0.5], [0.1])}
    verdict = judge(seen([1.0], [0.1]), trial)
    assert verdict.likeness is None and verdict.describe()["likeness_by"] is None
    assert "had no say" in ENGLISH.say(verdict.judge_of_likeness)
    assert judge(seen([1.0], [0.1]), {}).judge_of_likeness is None


def test_the_pretrained_eye_goes_first_and_every_arm_must_have_it() -> None:
    both = [{**seen([0.5], [0.8])[0], "dinov2_image_similarity": 0.9}]
    base = [{**seen([1.0], [0.1])[0], "dinov2_image_similarity": 0.1}]
    known = {"clean": both, "random": both, "protected": [{**both[0], "dinov2_image_similarity": 0.5}]}
    first, second = judge(base, known), judge(base, {**known, "random": seen([0.5], [0.8])})
    assert (first.likeness.mean, first.likeness_by) == (pytest.approx(0.5), "dinov2_image_similarity")
    assert (second.likeness.mean, second.likeness_by) == (pytest.approx(1.0), "shape_similarity")


def test_structure_decides_only_where_both_controls_know_the_photos_by_heart() -> None:
    base = [{**seen([1.0], [0.1])[0], "structure_similarity": 0.2}]
    known = [{**seen([0.5], [0.9])[0], "structure_similarity": 0.8}]
    broken = [{**seen([0.5], [0.9])[0], "structure_similarity": 0.35}]
    trial = {"clean": known, "random": known, "protected": broken}
    assert judge(base, trial).likeness.mean == pytest.approx(0.25)
    assert judge(base, trial).likeness_by == "structure_similarity"
    free = {**trial, "random": [{**known[0], "structure_similarity": 0.39}]}  # pictures of its own: no photo again
    assert judge(base, free).likeness.mean == pytest.approx(1.0)
    still = {name: [{**figures[0], "dinov2_image_similarity": 0.5}] for name, figures in trial.items()}
    assert judge([{**base[0], "dinov2_image_similarity": 0.49}], still).likeness is None


@pytest.mark.parametrize(
    ("hasty", "patient", "said"),
    [
        (VerdictId.COLLAPSED, VerdictId.NO_EFFECT, VerdictId.ONLY_HASTE),
        (VerdictId.DEGRADED, VerdictId.NO_EFFECT, VerdictId.ONLY_HASTE),
        (VerdictId.COLLAPSED, VerdictId.DEGRADED, VerdictId.DEGRADED),
        (VerdictId.NO_EFFECT, VerdictId.COLLAPSED, VerdictId.COLLAPSED),
        (VerdictId.NOT_LEARNED, VerdictId.NO_EFFECT, VerdictId.NO_EFFECT),
    ],
)
def test_patience_decides(hasty: VerdictId, patient: VerdictId, said: VerdictId) -> None:
    assert after_patience(Verdict(hasty, 1), Verdict(patient, 1)).id == said
