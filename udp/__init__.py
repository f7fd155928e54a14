"""Unlearnable diffusion perturbations: protect photos, and test the protection by attacking it (arXiv 2306.01902).

    from udp import attack, load_model, protect

    model = load_model("mini")
    protected = protect("examples/subject", model, budget=8 / 255)
    print(attack("examples/subject", protected, model).verdict)

`import udp` alone loads nothing heavy: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["attack", "load_model", "protect"]

_PLACES = {"attack": "udp.api", "load_model": "udp.models"}


def __getattr__(name: str) -> Any:
    if name == "protect":  # the package of the methods, which is callable
        return importlib.import_module("udp.protect")
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'udp' has no attribute {name!r}")
