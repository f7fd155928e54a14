"""Runs in the form of the kept ones that nobody has run, so that tests of the page need none in the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from udp.evaluation.arm_names import TRAINED
from udp.evaluation.arms import Arm, Report
from udp.evaluation.interval import Interval
from udp.evaluation.verdict import Verdict, VerdictId
from udp.protection.folder import Protection
from udp.settings import for_model
from udp.ui.state.kept import FINISHED, MODEL, example_work, write_kept

VERDICT = Verdict(
    VerdictId.DEGRADED,
    1,
    {str(arm): Interval(share, None, None, 1) for arm, share in zip(TRAINED, (1.0, 0.9, 0.4), strict=True)},
    Interval(0.5, None, None, 1),
    Interval(3.5, None, None, 1),
    0.3,
)


def noise(arm: int) -> tuple[np.ndarray, ...]:
    """Pictures that no other arm has."""
    return tuple(np.random.default_rng([arm, seed]).integers(0, 256, (128, 128, 3), np.uint8) for seed in range(4))


def make_runs(place: Path) -> None:
    """One run of each example in `place`, with pictures of noise and photos that nothing has changed."""
    for name in FINISHED:
        work = example_work(name)
        made = Protection(work.clean, work.clean, work.clean, work.method, MODEL, work.protection_prompt, 0)
        arms = tuple(Arm(str(arm), noise(index), (), {"clean_loss": 0.5}) for index, arm in enumerate(TRAINED, 1))
        report = Report(
            Arm("base", noise(0), (), {}), arms, VERDICT, recipe=work.recipe, trial=for_model(work.trial, True)
        )
        write_kept(place / name, name, work, made, report, "2026-01-02", 61.4)
