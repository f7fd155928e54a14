"""Long work in the background: one line for the model, jobs that outlive whoever watches them, a stop that stops."""

from __future__ import annotations

import atexit
import collections
import contextvars
import enum
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from udp.errors import InvalidInput, Stopped
from udp.progress import OnProgress, Progress, TimeLeft

Result = TypeVar("Result")


class State(enum.Enum):
    """Where a job stands. The last three are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Update:
    """Progress with times in seconds; `seconds_left` is None until there is something to extrapolate from."""

    progress: Progress
    seconds_spent: float
    seconds_left: float | None


class Job(Generic[Result]):
    """A piece of work, its progress so far, and in the end its result.

    `id` cannot be guessed. `history` only grows, so a watcher that comes late reads it from the start; `images` are
    the latest finished pictures by arm, `glimpses` those of arms that still learn with the training step of each, `about`
    whatever whoever submitted it wants to find again. Only the line that runs the job changes it; anybody may `stop` it.
    """

    def __init__(self, work: Callable[[OnProgress], Result], about: Any = None) -> None:
        self.about = about
        self.id = secrets.token_urlsafe(18)
        self.history: list[Progress] = []
        self.images: dict[str, tuple[np.ndarray, ...]] = {}
        self.glimpses: dict[str, list[tuple[int, np.ndarray]]] = {}
        self.state = State.WAITING
        self.seconds = 0.0
        self._work = work
        self._context = contextvars.copy_context()  # a Space finds the visitor's GPU quota there
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._started = 0.0
        self._time_left = TimeLeft()
        self._result: Result | None = None
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for: it has ended, or it was asked to stop."""
        return self._stop.is_set() or self._ended.is_set()

    def stop(self) -> None:
        """End the work at its next report of progress; while it waits in line, at once."""
        if not self._ended.is_set():
            self._stop.set()

    def update(self) -> Update | None:
        """The latest progress, None before the first."""
        if not self.history:
            return None
        now, progress = time.monotonic(), self.history[-1]
        return Update(progress, now - self._started, self._time_left.seconds(progress.overall, now))

    def result(self) -> Result:
        """Return what the work returned, or raise what it raised, waiting for the end; `Stopped` if it was stopped."""
        if self._stop.is_set() and not self._ended.is_set():
            raise Stopped("stopped as asked")  # the work may still be in the middle of a step
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def wait(self, seconds: float) -> bool:
        """Whether the work is over, waiting at most so long for it, also where it was asked to stop."""
        return self._ended.wait(seconds)

    def run(self) -> None:
        """Run to the end in the calling thread; for a `JobLine`."""
        self.state, self._started = State.RUNNING, time.monotonic()
        try:
            if self._stop.is_set():
                raise Stopped("stopped as asked")
            self._result = self._context.run(self._work, self._on_progress)
            self.state = State.DONE
        except Stopped as error:
            self._error, self.state = error, State.STOPPED
        except BaseException as error:
            self._error, self.state = error, State.FAILED
        finally:
            self.seconds = time.monotonic() - self._started
            self._ended.set()

    def _on_progress(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped("stopped as asked")
        if progress.images:
            self.images[progress.arm] = progress.images
            progress = replace(progress, images=())
        if progress.glimpse is not None:
            self.glimpses.setdefault(progress.arm, []).append((progress.done, progress.glimpse))
            progress = replace(progress, glimpse=None)
        self._time_left.note(progress, time.monotonic())
        self.history.append(progress)


class JobLine:
    """Runs jobs one after the other in a thread of its own: one model, one machine.

    `most_waiting` limits how many may wait.
    """

    def __init__(self, most_waiting: int = 20) -> None:
        self.most_waiting = most_waiting
        self._waiting: collections.deque[Job] = collections.deque()
        self._current: Job | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Put a job at the end of the line. Raises `InvalidInput` if the line is full."""
        with self._changed:
            waiting = [other for other in self._waiting if not other.ended]
            if len(waiting) >= self.most_waiting:
                raise InvalidInput(f"expected fewer than {self.most_waiting} runs in line, got that many: try later")
            self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="udp-jobs", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._changed.notify()

    def close(self, seconds: float = 20.0) -> None:
        """Stop all jobs and wait, at most so long, for the one that runs: torch ends the process with an error if it is in the
        middle of something."""  # fmt: skip
        with self._changed:
            current = self._current
            for job in (*self._waiting, *([current] if current else [])):
                job.stop()
        if current:
            current.wait(seconds)

    def place(self, job: Job) -> int:
        """How many jobs run before this one; 0 if it is running or over."""
        with self._changed:
            if job not in self._waiting:
                return 0
            ahead = list(self._waiting)[: self._waiting.index(job)]
            return sum(not other.ended for other in ahead) + (self._current is not None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._current = None
                while not self._waiting:
                    self._changed.wait()
                job = self._current = self._waiting.popleft()
            job.run()
