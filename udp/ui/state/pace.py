"""How long a run will take, said before it starts."""

from __future__ import annotations

import threading
import time

import torch

from udp.language import Text, text
from udp.models.precision import computes_in_bfloat16
from udp.progress import Progress, Stage

# For a first guess, by what the processor has. The page's example is about 3,100 units, and other work slows it down: with units for
# bfloat16 it took 94 s on two idle cores (2026-11-30), and in float32, where the autoencoder is slower and the U-Net hardly, about 130.
# With AVX2 alone it took 339 s (2026-12-01).
CPU_SECONDS_A_UNIT = {"bfloat16": 0.035, "AVX512": 0.045, "AVX2": 0.115}
MEMORY = 5
LEAST_UNITS = 10  # what takes less, as random noise does, is over in seconds that say nothing of a training step


class Stopwatch:
    """The seconds of work, from the first report that is not about loading: how long that took is no matter of its length."""

    def __init__(self) -> None:
        self._start: float | None = None

    def see(self, progress: Progress) -> None:
        """Look at a report of progress."""
        if self._start is None and progress.stage != Stage.LOADING:
            self._start = time.monotonic()

    @property
    def seconds(self) -> float | None:
        """Since that report; None before it."""
        return None if self._start is None else time.monotonic() - self._start


class Pace:
    """Seconds that a unit of work (about one fine-tuning step) takes here, by model, learned from finished runs."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[float, float]]] = {}
        self._lock = threading.Lock()

    def note(self, model: str, units: float, seconds: float | None) -> None:
        """Learn from a finished run, unless it was too short to say anything."""
        if seconds is None or units < LEAST_UNITS:
            return
        with self._lock:
            self._found.setdefault(model, []).append((units, seconds))
            del self._found[model][:-MEMORY]

    def rate(self, model: str) -> float | None:
        """Seconds that a unit took in the last runs with `model`, long ones counting for more; None before the first."""
        with self._lock:
            found = self._found.get(model)
            return sum(seconds for _, seconds in found) / sum(units for units, _ in found) if found else None

    def estimate(self, model: str, units: float) -> Text:
        """An estimate for people, and what it rests on."""
        rate = self.rate(model)
        if rate is not None:
            return text("pace.known", time=duration(units * rate))
        if model == "mini" and not torch.cuda.is_available():
            return text("pace.guessed", time=duration(units * CPU_SECONDS_A_UNIT[processor()]))
        return text("pace.unknown")


def processor() -> str:
    """The key of `CPU_SECONDS_A_UNIT` for this one; others than x86 are taken for the slowest."""
    if computes_in_bfloat16("cpu"):
        return "bfloat16"
    return "AVX512" if "AVX512" in torch.backends.cpu.get_cpu_capability() else "AVX2"


def duration(seconds: float) -> Text:
    """For example "40 s", "3 min", "1.5 h"."""
    if seconds < 90:
        return text("time.seconds", number=max(5, round(seconds / 5) * 5))
    if seconds < 5400:
        return text("time.minutes", number=round(seconds / 60))
    return text("time.hours", number=f"{seconds / 3600:.1f}")
