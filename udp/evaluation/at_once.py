"""Arms at the same time, where that is faster: small fine-tunes on a processor with several cores.

A step of the embedded model is hundreds of small operations, too small to be shared: two cores take five sixths of the time of one. With
a thread for each arm they are busy all the time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from udp.errors import Stopped
from udp.models.base import DiffusionModel
from udp.progress import OnProgress, Progress, span

Made = TypeVar("Made")
MOST_SECONDS = 20.0  # for all that a thread may still do between two reports


def at_once(
    parts: Sequence[Callable[[OnProgress], Made]], model: DiffusionModel, on_progress: OnProgress, in_turn: bool = False
) -> list[Made]:
    """What each of `parts` makes, in their order; all of them are about as much work, done with `model`.

    On a processor the parts of a small model run at the same time, in threads with an equal share of the cores: what they give does not
    depend on that but for rounding. Elsewhere, with one core and where they are to be made `in_turn`, one after the other. Reports come one
    at a time, whoever makes them, and say how many parts are at work. Raises what `on_progress` or a part raises; the others then end at
    their next report. A thread from elsewhere that computes for the first time in the meantime keeps the arms' number of cores.
    """
    cores = torch.get_num_threads()
    if in_turn or min(len(parts), cores) < 2 or not model.small or model.device.type != "cpu":
        count = len(parts)
        return [part(span(on_progress, index / count, (index + 1) / count)) for index, part in enumerate(parts)]
    together, found = _Together(len(parts), on_progress), dict[int, Made]()
    threads = max(1, cores // len(parts))

    def run(index: int) -> None:
        torch.set_num_threads(threads)
        try:
            found[index] = parts[index](lambda progress: together.report(index, progress))
        except BaseException as error:
            together.end(error)
        finally:
            over[index].set()

    over = [threading.Event() for _ in parts]  # a join that was interrupted takes its thread for ended
    # Not a pool's: the interpreter waits for those when it ends.
    running = [threading.Thread(target=run, args=(i,), name=f"udp-arm-{i}", daemon=True) for i in range(len(parts))]
    try:
        for thread in running:
            thread.start()
        for ended in over:
            ended.wait()
    except BaseException as error:  # a key was pressed: the threads end at their next report
        together.end(error)
        for thread, ended in zip(running, over, strict=True):
            if thread.ident is not None:  # torch ends the process with an error if it is in the middle of something
                ended.wait(MOST_SECONDS)
        raise
    finally:
        torch.set_num_threads(cores)
    if together.error is not None:
        raise together.error
    return [found[index] for index in range(len(parts))]


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
            try:
                self._on_progress(replace(progress, fraction=fraction, at_once=max(1, running)))
            except BaseException as error:
                self.end(error)
                raise
