"""The embedded models' training loop: it follows the wall clock, logs, and writes a checkpoint to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from udp.training import Trainer


def train_by_clock(
    trainer: Trainer,
    loss: Callable[[int], torch.Tensor],
    minutes: float,
    spent: float,
    every: int,
    checkpoint: Path,
    state: Callable[[], dict[str, Any]],
    on_step: Callable[[int], None] | None = None,
) -> None:
    """Descend `loss` until `minutes` have gone by, of which `spent` seconds already have; the schedule follows the clock.

    After every `every` steps a line of the log, and `checkpoint` with `state()`, the trainer's state and the seconds
    spent. It replaces the last one only when it is complete: a killed run never leaves half a file.
    """
    start = time.monotonic() - spent
    recent: list[float] = []

    def report(step: int, value: float) -> None:
        if on_step:
            on_step(step)
        recent.append(value)
        if step % every == 0:
            seconds = time.monotonic() - start
            print(f"step {step} loss {sum(recent) / len(recent):.4f} after {seconds / 60:.1f} min", flush=True)
            recent.clear()
            whole = {**state(), "trainer": trainer.state_dict(), "spent": seconds}
            torch.save(whole, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)

    while time.monotonic() - start < minutes * 60:
        trainer.run(loss, every, report, progress=lambda step: (time.monotonic() - start) / (minutes * 60))
