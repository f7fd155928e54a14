"""Arms at the same time, where that is faster: small fine-tunes on a processor with several cores.

A step of the embedded model is hundreds of small operations, of which two cores on one do in two thirds of the time what one core does; a
core for each arm wastes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch

from udp.errors import Stopped
from udp.models.base import DiffusionModel
from udp.progress import OnProgress, Progress, span

Made = TypeVar("Made")


def at_once(
    parts: Sequence[Callable[[OnProgress], Made]], model: DiffusionModel, on_progress: OnProgress, most: int
) -> list[Made]:
    """What each of `parts` makes, in their order; all of them are about as much work, done with `model`, `most` at a time.

    On a processor the parts of a small model run at the same time, with an equal share of the cores each: what they give does not
    depend on that but for rounding. Elsewhere, and with one core, one after the other. Reports come one at a time, whoever makes them, and
    say how many parts are at work. Raises what `on_progress` or a part raises; the others then end at their next report.
    """
    cores = torch.get_num_threads()
    if min(len(parts), most, cores) < 2 or not model.small or model.device.type != "cpu":
        count = len(parts)
        return [part(span(on_progress, index / count, (index + 1) / count)) for index, part in enumerate(parts)]
    together = _Together(len(parts), on_progress)
    threads = max(1, cores // min(most, len(parts)))

    def run(index: int) -> Made:
        torch.set_num_threads(threads)  # of this thread, and of threads that have not computed yet
        try:
            return parts[index](lambda progress: together.report(index, progress))
        except BaseException as error:
            together.end(error)
            raise

    try:
        with ThreadPoolExecutor(min(most, len(parts)), "udp-arm") as pool:
            futures = [pool.submit(run, index) for index in range(len(parts))]
            try:
                return [future.result() for future in futures]
            except BaseException as error:  # a key pressed as well: the threads would go on to their end
                together.end(error)
                raise together.error from None
    finally:
        torch.set_num_threads(cores)


class _Together:
    """The reports of several threads as those of one piece of work."""

    def __init__(self, count: int, on_progress: OnProgress) -> None:
        self._shares = [0.0] * count
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self.error: BaseException | None = None

    def end(self, error: BaseException) -> None:
        """Let nobody report any more; the first of several errors is the one."""
        self.error = self.error or error

    def report(self, index: int, progress: Progress) -> None:
        """Pass on what part `index` reports. Raises `Stopped` once the work is to end."""
        with self._lock:
            if self.error is not None:
                raise Stopped("another arm ended the work")
            self._shares[index] = min(1.0, max(self._shares[index], progress.overall))
            running = sum(share < 1 for share in self._shares)
            fraction = sum(self._shares) / len(self._shares)
            self._on_progress(replace(progress, fraction=fraction, at_once=max(1, running)))
