"""What layers put out while a network runs, where several threads may run it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch

# Held while hooks are put in or taken out, and by whoever copies a network: a copy walks through its hooks.
HOOKS = threading.Lock()


@contextlib.contextmanager
def outputs_of(layers: Sequence[torch.nn.Module]) -> Iterator[list[Any]]:
    """A list that gets what `layers` put out in this thread, in the order in which they run, until the end of the block."""
    found: list[Any] = []
    mine = threading.get_ident()  # another thread may be running the same layers

    def keep(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if threading.get_ident() == mine:
            found.append(output)

    with HOOKS:
        hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield found
    finally:
        with HOOKS:
            for hook in hooks:
                hook.remove()
