"""Long work in the background: a stream of progress with the time left, and a stop that stops."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from udp.errors import Stopped
from udp.types import OnProgress, Progress

Result = TypeVar("Result")


@dataclass(frozen=True)
class Update:
    """Progress with times in seconds; `seconds_left` is None until there is something to extrapolate from."""

    progress: Progress
    seconds_spent: float
    seconds_left: float | None


class Job(Generic[Result]):
    """Runs `work(on_progress)` in a thread.

    Iterate over `updates()`, then read `result()`, which re-raises what the work raised. `stop()` makes the next
    `on_progress` call raise `Stopped`; leaving `updates()` early (a closed browser tab ends the generator) stops too.
    """

    def __init__(self, work: Callable[[OnProgress], Result]) -> None:
        self._work = work
        self._events: queue.Queue[Progress | None] = queue.Queue()
        self._stop = threading.Event()
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work(self._on_progress)
        except BaseException as error:
            self._error = error
        finally:
            self._events.put(None)

    def _on_progress(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped("stopped as asked")
        self._events.put(progress)

    def stop(self) -> None:
        """Ask the work to end at its next report of progress."""
        self._stop.set()

    def updates(self, every: float = 0.0) -> Iterator[Update]:
        """Progress as it comes, ending with the work; at most one update in `every` seconds, finished pictures always."""
        last = 0.0
        try:
            while (progress := self._events.get()) is not None:
                now = time.monotonic()
                if now - last < every and not progress.images:
                    continue
                last = now
                spent, share = now - self._start, progress.overall
                left = spent * (1 - share) / share if share > 0.02 else None
                yield Update(progress, spent, left)
        finally:
            self.stop()

    def result(self) -> Result:
        """Wait for the end and return what the work returned, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result
