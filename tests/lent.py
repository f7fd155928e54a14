"""A stand-in for `spaces` on ZeroGPU that enforces its rules, as spaces 0.51 does; for tests of what runs there.

Arguments and results are pickled; the task runs in a forked process, whose globals nobody else sees; the GPU is taken back
when the seconds that were asked for are over; of an error the class's name alone comes back, unless it is `gradio.Error`; and a
visitor's quota ends.
"""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import torch

FORK = multiprocessing.get_context("fork")
END = "end"


def error(title: str, message: str) -> gr.Error:
    """As `spaces.zero.gradio.error` makes it."""
    return gr.Error(message, title=title, print_exception=False)


class Lender:
    """`quota` in seconds is what may be asked for in all; `real` seconds are what one of those lasts here.

    `asked` has what was asked for, call by call, and `sent` how many bytes went to the process of each.
    """

    def __init__(self, quota: float = 10_000, real: float = 1.0) -> None:
        self.quota, self.real = quota, real
        self.asked: list[int] = []
        self.sent: list[int] = []

    def GPU(self, duration: Callable[..., int]) -> Callable[[Any], Any]:
        """The decorator of a generator function."""

        def decorate(task: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            def handler(*args: Any) -> Iterator[Any]:
                seconds = duration(*args)
                if type(seconds) is not int or seconds < 1:
                    raise TypeError(f"expected a duration in whole seconds, got {seconds!r}")
                if seconds > self.quota:
                    message = f"You have exceeded your ZeroGPU quota ({seconds}s requested vs. {self.quota}s left). "
                    raise error("ZeroGPU quota exceeded", message + "Try again in 23:59:00. ")
                self.quota -= seconds
                self.asked.append(seconds)
                sent = pickle.dumps(args)
                self.sent.append(len(sent))
                yield from self._events(task, sent, seconds * self.real)

            return handler

        return decorate

    def _events(self, task: Callable[..., Iterator[Any]], sent: bytes, seconds: float) -> Iterator[Any]:
        results: Any = FORK.Queue()
        process = FORK.Process(target=_work, args=(task, sent, results), daemon=True)
        process.start()
        until = time.monotonic() + seconds
        try:
            while True:
                try:
                    kind, content = pickle.loads(results.get(timeout=max(0.0, until - time.monotonic())))
                except queue.Empty:
                    raise error("ZeroGPU worker error", "GPU task aborted") from None
                if kind == END:
                    return
                if kind == "error":
                    raise content if isinstance(content, gr.Error) else error("ZeroGPU worker error", content)
                yield content
        finally:
            process.kill()
            process.join()


def _work(task: Callable[..., Iterator[Any]], sent: bytes, results: Any) -> None:
    torch.set_num_threads(1)  # threads of the process that was forked are not there
    try:
        for event in task(*pickle.loads(sent)):
            results.put(pickle.dumps(("event", event)))
        results.put(pickle.dumps((END, None)))
    except Exception as raised:
        known = raised if isinstance(raised, gr.Error) else type(raised).__name__
        results.put(pickle.dumps(("error", known)))
    results.close()
    results.join_thread()
