"""A memory that forgets: a shared app must not keep every visitor's prompt, nor grow with each."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


def recall(kept: dict[Hashable, Any], key: Hashable, make: Callable[[], Any], most: int) -> Any:
    """What `make` makes, kept under `key` until `most` others were asked for since."""
    value = kept.pop(key) if key in kept else make()
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
    return value
