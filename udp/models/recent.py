"""A memory that forgets: a shared app must not keep every visitor's prompt, nor grow with each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

_LOCK = threading.Lock()


def recall(kept: dict[Hashable, Any], key: Hashable, make: Callable[[], Any], most: int) -> Any:
    """What `make` makes, kept under `key` until `most` others were asked for since.

    Threads may share `kept`; two that miss a value at the same time both make it.
    """
    with _LOCK:
        if key in kept:
            kept[key] = kept.pop(key)
            return kept[key]
    value = make()
    with _LOCK:
        kept.pop(key, None)
        kept[key] = value
        while len(kept) > most:
            del kept[next(iter(kept))]
    return value
