"""The embedded models' training loop: it follows the wall clock, logs, and writes a checkpoint to go on from.

And the average of the weights along the way, which is what is kept in the end.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from udp.models.training import Trainer

SAVE_EVERY = 60.0  # seconds between checkpoints
EMA_DECAY = 0.998


class Ema:
    """An exponential moving average of several modules' parameters; its weights sample better than the last ones."""

    def __init__(self, modules: list[torch.nn.Module]) -> None:
        self.modules = modules
        self.averages = [copy.deepcopy(m).requires_grad_(False) for m in modules]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After a training step (the first steps average over a shorter past)."""
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        for module, average in zip(self.modules, self.averages, strict=True):
            torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), 1 - decay)


def resume(
    checkpoint: Path, trainer: Trainer, load: Callable[[dict[str, Any]], None], device: str | torch.device = "cpu"
) -> float:
    """Go on from `checkpoint`, if it exists, and return the seconds spent until then; `load` gets what was saved."""
    if not checkpoint.exists():
        return 0.0
    saved = torch.load(checkpoint, map_location=device, weights_only=True)
    load(saved)
    trainer.load_state_dict(saved["trainer"])
    return saved["spent"]


def train_by_clock(
    trainer: Trainer,
    loss: Callable[[int], torch.Tensor],
    minutes: float,
    spent: float,
    every: int,
    checkpoint: Path,
    state: Callable[[], dict[str, Any]],
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Descend `loss` until `minutes` have gone by, of which `spent` seconds already have; the schedule follows the clock.

    After every `every` steps a line of the log; about every minute and at the end `checkpoint`, with `state()`, the
    trainer's state and the seconds spent. It replaces the last one only when it is complete: a killed run never leaves
    half a file. `on_step(step, share)` gets the share of the time that has gone by.
    """
    start = time.monotonic() - spent
    saved = time.monotonic()
    recent: list[float] = []

    def save(seconds: float) -> None:
        whole = {**state(), "trainer": trainer.state_dict(), "spent": seconds}
        torch.save(whole, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def report(step: int, value: float) -> None:
        nonlocal saved
        if on_step:
            on_step(step, min(1.0, (time.monotonic() - start) / max(1e-9, minutes * 60)))
        recent.append(value)
        if step % every == 0:
            now = time.monotonic()
            print(f"step {step} loss {sum(recent) / len(recent):.4f} after {(now - start) / 60:.1f} min", flush=True)
            recent.clear()
            if now - saved >= SAVE_EVERY:
                save(now - start)
                saved = now

    begun = trainer.step
    while time.monotonic() - start < minutes * 60:
        trainer.run(loss, every, report, progress=lambda step: (time.monotonic() - start) / (minutes * 60))
    if trainer.step > begun:
        save(time.monotonic() - start)
