"""Prompts to tokens, by tokenizers that several threads share."""

from __future__ import annotations

import threading
from typing import Any

_LOCK = threading.Lock()


def tokenized(tokenizer: Any, text: str, **options: Any) -> Any:
    """`tokenizer(text, **options)`, one at a time: transformers' fast tokenizers keep how to pad and to cut from one call to the next, in
    a place that all threads share."""  # fmt: skip
    with _LOCK:
        return tokenizer(text, **options)
