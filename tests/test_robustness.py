"""The benchmark over subjects: means, counts and verdicts from the subjects' reports."""

from __future__ import annotations

from benchmarks.robustness import mean_rows, table


def report(protected: float | None, effect: float | None, kept: float | None, word: str) -> dict:
    learned = {} if protected is None else {"random": {"mean": 1.0}, "protected": {"mean": protected}}
    row = {
        "recipe": "lora",
        "cleaning": "half",
        "verdict": {"word": word, "learned": learned},
        "effect": None if effect is None else {"mean": effect},
        "kept": None if kept is None else {"mean": kept},
    }
    return {"rows": [row]}


def test_means_are_over_the_subjects_that_have_the_figure() -> None:
    reports = {
        "a": report(0.5, 0.5, 0.2, "degraded"),
        "b": report(0.7, 0.3, None, "degraded"),
        "c": report(None, None, None, "inconclusive"),
    }
    (row,) = mean_rows(reports)
    assert (row["protected"].mean, row["protected"].count) == (0.6, 2)
    assert (row["kept"].mean, row["kept"].count, row["kept"].low) == (0.2, 1, None)
    assert row["verdicts"] == {"degraded": 2, "inconclusive": 1}
    line = table([row]).splitlines()[-1]
    assert line.startswith("| lora | half | 100% (100% to 100%), n = 2 | 60% (")
    assert "| 20%, n = 1 | 2 x degraded, 1 x inconclusive |" in line


def test_a_figure_that_no_subject_has_is_a_dash() -> None:
    (row,) = mean_rows({"a": report(None, None, None, "inconclusive")})
    assert row["effect"] is None and table([row]).splitlines()[-1].count("–") == 4
