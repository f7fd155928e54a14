"""Where long work stands, and who wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Progress:
    """Where a long piece of work stands: `done` of `total` units in `stage`, with the last loss and the arm's name.

    `fraction` is the share of the whole work that is done, in [0, 1]; left out, it is done / total. `images` are
    finished pictures worth showing already.
    """

    stage: str
    done: int
    total: int
    loss: float | None = None
    arm: str = ""
    fraction: float | None = None
    images: tuple[np.ndarray, ...] = ()

    @property
    def overall(self) -> float:
        """The share of the whole work that is done, in [0, 1]."""
        return self.done / max(1, self.total) if self.fraction is None else self.fraction


# Called often during long work. It may raise `udp.errors.Stopped`, which ends the work at once.
OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The default listener: none."""
