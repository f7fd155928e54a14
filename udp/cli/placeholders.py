"""Placeholders for the packages that compute, so that flags are read from the methods' files without loading those.

Importing torch, diffusers and transformers takes seconds, and the help or a mistyped flag needs none of them: only the
fields of dataclasses in modules that import them.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

PACKAGES = (
    "torch",
    "accelerate",
    "diffusers",
    "transformers",
    "peft",
    "safetensors",
    "huggingface_hub",
    "scipy",
    "skimage",
    "pywt",
)


class Placeholder(types.ModuleType):
    """A module in which every name is found, and is whatever its use needs: a base class, a decorator, a type."""

    def __getattr__(self, name: str) -> Placeholder:
        if name.startswith("__"):  # what Python itself asks for, or is there already
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **named: Any) -> Placeholder:
        return self

    def __or__(self, other: Any) -> Placeholder:
        return self

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a placeholder for each of `PACKAGES` and all below them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        ours = fullname.split(".")[0] in PACKAGES
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if ours else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """See `Loader.create_module`."""
        return Placeholder(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """See `Loader.exec_module`: there is nothing to run."""


@contextlib.contextmanager
def placeholders() -> Iterator[None]:
    """Import placeholders inside; afterwards they are gone, and so is every module of ours that was imported with them.

    Where torch is loaded already there is nothing to save, and nothing changes.
    """
    if "torch" in sys.modules:
        yield
        return
    before, finder = set(sys.modules), Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            if name.split(".")[0] in (*PACKAGES, "udp"):
                del sys.modules[name]
