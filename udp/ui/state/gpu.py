"""Work on a GPU that is lent by the second, as on ZeroGPU: a call for every part that is worth keeping.

`spaces` forks a process for a call, hands it pickled arguments, and takes the GPU back when the seconds that were asked for
are over. Of an error of ours it passes on the class's name alone, so that errors travel as values here. Whatever was
finished has reached the app's process by then, and the next run goes on behind it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from udp.errors import OutOfTime, Stopped, UDPError
from udp.evaluation.cells import MemoryStore
from udp.models.loading import taken_for_small
from udp.progress import OnProgress, Progress
from udp.ui.state.pace import Pace, Stopwatch
from udp.ui.state.work import Work

# An anonymous visitor has 120 s a day, and a call that asks for more than is left is refused.
MOST_SECONDS = 115
LOADING_SECONDS = 15
# Seconds a unit on such a GPU before the first call was timed, for a small and for a large model: guesses.
FIRST_RATE = {True: 0.05, False: 0.3}
MARGIN = 1.5  # over what earlier calls took
WORKER, ABORTED = "ZeroGPU worker error", "GPU task aborted"  # the words of `spaces`


@dataclass(frozen=True)
class Kept:
    """A finished part on its way to the app's process."""

    name: str
    key: str
    cell: Any


@dataclass(frozen=True)
class Outcome:
    """How a call ended: with the work's result, with an error of ours, or with `more` parts to make."""

    value: Any = None
    error: UDPError | None = None
    more: bool = False


Event = Progress | Kept | Outcome


class _Enough(Exception):
    pass


class _OneMore(MemoryStore):
    """A store that passes on what is saved in it, and unless `last` ends the work there."""

    in_turn = True

    def __init__(self, cells: dict[str, tuple[str, Any]], on_kept: Callable[[Kept], None], last: bool) -> None:
        super().__init__(cells)
        self._on_kept, self._last = on_kept, last

    def save(self, name: str, key: str, cell: Any) -> None:
        super().save(name, key, cell)
        self._on_kept(Kept(name, key, cell))
        if not self._last:
            raise _Enough


@dataclass(frozen=True)
class Step:
    """The next part of `work` after those in `cells`; the last one goes on to the result. It can be pickled."""

    work: Work
    cells: dict[str, tuple[str, Any]]

    def units(self) -> float:
        """What it costs, in fine-tuning steps."""
        return next((units for name, units in self.work.plan().items() if name not in self.cells), 1.0)

    def __call__(self, on_progress: OnProgress, on_kept: Callable[[Kept], None]) -> Outcome:
        """Run. Raises what the work raises, but for errors of ours, which are in the outcome."""
        last = sum(name not in self.cells for name in self.work.plan()) <= 1
        try:
            return Outcome(self.work(on_progress, _OneMore(dict(self.cells), on_kept, last)))
        except _Enough:
            return Outcome(more=True)
        except UDPError as error:
            return Outcome(error=error)


def is_lent(environment: Mapping[str, str]) -> bool:
    """Whether this is a Space on ZeroGPU; `spaces` is installed on others too, where `spaces.GPU` does nothing."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def stream(step: Step) -> Iterator[Event]:
    """Run a step as a generator of events, the last an `Outcome`; for places that take no callbacks."""
    events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
    stop = threading.Event()

    def listen(progress: Progress) -> None:
        if stop.is_set():
            raise Stopped("stopped as asked")
        events.put(progress)

    def run() -> None:
        try:
            events.put(step(listen, events.put))
        except BaseException as error:
            events.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        while True:
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            yield event
            if isinstance(event, Outcome):
                return
    finally:
        stop.set()


class LentGpu:
    """A `Runner` that makes every part of the work in a call of its own; `lend` is `spaces.GPU`.

    A call asks for the seconds that its part is expected to need, going by the calls before it. Raises `OutOfTime` where
    no GPU is lent, or it was taken back.
    """

    def __init__(self, lend: Callable[..., Callable[[Any], Any]]) -> None:
        self._pace = Pace()
        self._least: dict[str, float] = {}  # seconds a unit by model, where too few were asked for
        self._stream = lend(duration=self.seconds)(stream)

    def seconds(self, step: Step) -> int:
        """How long a GPU is asked for."""
        name = step.work.model_name
        known = self._pace.rate(name)
        rate = FIRST_RATE[taken_for_small(name)] if known is None else MARGIN * known
        return round(min(MOST_SECONDS, LOADING_SECONDS + step.units() * max(rate, self._least.get(name, 0.0))))

    def __call__(self, work: Work, on_progress: OnProgress, store: MemoryStore) -> Any:
        """See `udp.ui.state.work.Runner`."""
        share = 0.0

        def onwards(progress: Progress) -> None:
            # A call begins by passing what is finished: the bar does not go back for that.
            nonlocal share
            share = max(share, progress.overall)
            on_progress(replace(progress, fraction=share))

        while True:
            before = len(store.cells)
            outcome = self._call(Step(work, dict(store.cells)), onwards, store)
            if outcome.error is not None:
                raise outcome.error
            if not outcome.more:
                return outcome.value
            assert len(store.cells) > before, "a call that keeps nothing would be made for ever"

    def _call(self, step: Step, on_progress: OnProgress, store: MemoryStore) -> Outcome:
        asked, watch = self.seconds(step), Stopwatch()
        try:
            with contextlib.closing(self._stream(step)) as events:
                for event in events:
                    if isinstance(event, Kept):
                        store.save(event.name, event.key, event.cell)
                    elif isinstance(event, Progress):
                        watch.see(event)
                        on_progress(event)
                    else:
                        if event.error is None:
                            self._pace.note(step.work.model_name, step.units(), watch.seconds)
                        return event
        except gr.Error as error:  # of `spaces`: ours come as values
            raise self._refusal(error, step, asked) from error
        raise AssertionError("a stream ends with an outcome or raises")

    def _refusal(self, error: gr.Error, step: Step, asked: int) -> Exception:
        said = str(error.message)
        if error.title != WORKER:
            return OutOfTime(f"expected {asked} s of the shared GPU, got none: {said.strip()}")
        if said != ABORTED:
            return RuntimeError(f"expected the work to end, got {said} in the GPU's process")
        if asked >= MOST_SECONDS:
            return OutOfTime(
                f"expected a part of at most {MOST_SECONDS} s on the shared GPU, got one that takes longer: use fewer steps "
                "or fewer photos"
            )
        self._least[step.work.model_name] = 2 * asked / max(1.0, step.units())
        return OutOfTime(
            f"expected {asked} s of the shared GPU to be enough for the next part, got more work than that: the next try asks "
            "for longer"
        )
