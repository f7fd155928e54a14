"""Random weights that a seed decides, whatever else draws from torch's global state."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

_LOCK = threading.Lock()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """For layers, which draw their start from torch's global state: it begins at `seed`, nobody else sees the change, and of
    several threads one at a time draws."""  # fmt: skip
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
