"""How long a run will take, said before it starts."""

from __future__ import annotations

import threading

import torch

# Measured with the embedded model on two processor cores: the one-click example's 1,640 units took 880 s on a busy machine, and
# its 1,560 without class images 285 s on an idle one. Something between, for a first guess.
CPU_SECONDS_A_UNIT = 0.3
MEMORY = 5


class Pace:
    """Seconds that a unit of work (about one fine-tuning step) takes here, by model, learned from finished runs."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def note(self, model: str, units: float, seconds: float) -> None:
        """Learn from a finished run."""
        with self._lock:
            self._found.setdefault(model, []).append(seconds / max(1.0, units))
            del self._found[model][:-MEMORY]

    def text(self, model: str, units: float) -> str:
        """An estimate for people, and what it rests on."""
        with self._lock:
            found = self._found.get(model)
        if found:
            return f"Takes about {duration(units * sum(found) / len(found))}, going by the last runs here."
        if model == "mini" and not torch.cuda.is_available():
            return f"Takes about {duration(units * CPU_SECONDS_A_UNIT)} on two processor cores: a first guess."
        return "No estimate before the first run with this model here; the bar shows one after a few steps."


def duration(seconds: float) -> str:
    """For example "40 s", "3 min", "1.5 h"."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
