"""Figures by name, and means over seeds with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Figures = dict[str, float]
# The low and the high end of 95% by a figure's name.
Intervals = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95% Student-t interval; a single seed has none."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @classmethod
    def over(cls, values: Sequence[float]) -> Interval:
        """From one value a seed."""
        mean, count = float(np.mean(values)), len(values)
        if count < 2:
            return cls(mean, None, None, count)
        half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5)
        return cls(mean, mean - half, mean + half, count)

    def above_zero(self) -> bool:
        """Whether the seeds agree that the value is positive; a single seed can only give its own sign."""
        return self.mean > 0 if self.low is None else self.low > 0

    def below(self, value: float) -> bool:
        """Whether the seeds agree that it is less than `value`."""
        return (self.mean if self.high is None else self.high) < value

    def text(self, form: str = "{:z.0%}") -> str:
        """For people: the mean, and the interval if there is one."""
        shown = form.format(self.mean)
        return shown if self.low is None else f"{shown} ({form.format(self.low)} to {form.format(self.high)})"
