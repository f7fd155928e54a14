"""Where long work stands, and who wants to know."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

# Before this share of the work is done, nothing can be extrapolated from it.
LEAST_SHARE = 0.02


class Stage(enum.StrEnum):
    """What is being done; the value is English and for people."""

    LOADING = "loading the model"
    CHOOSING = "choosing timesteps"
    LEARNING = "training the surrogate"
    PERTURBING = "perturbing the photos"
    NOISE = "drawing noise"
    PROTECTED_EARLIER = "protected earlier"
    CLEANING = "cleaning the photos"
    ADAPTING = "adapting the autoencoder"
    FINE_TUNING = "fine-tuning"
    GENERATING = "generating"
    FINISHED = "finished"
    SAVING = "measuring and saving"


@dataclass(frozen=True)
class Count:
    """How much of what people count is done, of how much in all; a photo half done counts half."""

    photos: float
    of_photos: int
    sets: int
    of_sets: int


@dataclass(frozen=True)
class Progress:
    """Where a long piece of work stands: `done` of `total` units in `stage`, with the last loss and the arm's name.

    `stage` is a `Stage`, or any words. `fraction` is the share of the whole work that is done, in [0, 1]; left out, it is
    done / total. `images` are finished pictures worth showing already, `glimpse` is one (uint8, S x S x 3) of what an arm has
    learned after `done` training steps. `count` is for work on photos in sets. `kept` is what an earlier run had finished. `at_once`
    is how many arms are at work.
    """

    stage: str
    done: int
    total: int
    loss: float | None = None
    arm: str = ""
    fraction: float | None = None
    images: tuple[np.ndarray, ...] = ()
    glimpse: np.ndarray | None = None
    count: Count | None = None
    kept: bool = False
    at_once: int = 1

    @property
    def overall(self) -> float:
        """The share of the whole work that is done, in [0, 1]."""
        return self.done / max(1, self.total) if self.fraction is None else self.fraction


# Called often during long work. It may raise `udp.errors.Stopped`, which ends the work at once.
OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The default listener: none."""


def span(on_progress: OnProgress, start: float, end: float) -> OnProgress:
    """A listener for a part of the work, which reaches from the share `start` to the share `end` of the whole."""
    return lambda p: on_progress(replace(p, fraction=start + (end - start) * min(1.0, p.overall)))


def counting(on_progress: OnProgress, done: Count, photos: int) -> OnProgress:
    """A listener for one set of so many `photos`, when all that `done` says is done before it."""

    def listen(progress: Progress) -> None:
        share = min(1.0, progress.overall)
        count = replace(done, photos=done.photos + photos * share, sets=done.sets + (share == 1))
        on_progress(replace(progress, fraction=count.photos / max(1, count.of_photos), count=count))

    return listen


class TimeLeft:
    """Extrapolates from work proper: loading before it tells nothing, nor what an earlier run had finished. All times are in seconds."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._spent = self._gained = 0.0

    def note(self, progress: Progress, now: float) -> None:
        """So much is done at the time `now`."""
        share = progress.overall
        if self._last is None:
            self._last = (now, share) if share > 0 else None
            return
        then, before = self._last
        if not progress.kept:
            self._spent, self._gained = self._spent + now - then, self._gained + share - before
        self._last = now, share

    def seconds(self, share: float, now: float) -> float | None:
        """How long the rest will take, None until there is something to extrapolate from."""
        if self._last is None or not self._gained > LEAST_SHARE:
            return None
        return (self._spent + now - self._last[0]) * (1 - share) / self._gained
