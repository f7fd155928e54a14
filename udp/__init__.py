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

_PLACES = {
    "METHODS": "udp.protection.methods",
    "RECIPES": "udp.imitation.recipes",
    "Photo": "udp.photos",
    "Trial": "udp.evaluation.trial",
    "attack": "udp.api",
    "load_model": "udp.models.loading",
    "protect": "udp.api",
    "protect_folder": "udp.api",
    "protect_folders": "udp.api",
    "read_photos": "udp.photos",
    "write_png": "udp.photos",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    if name in _PLACES or name == "__version__":
        return getattr(importlib.import_module(_PLACES.get(name, "udp.version")), name)
    raise AttributeError(f"module 'udp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
