"""Protecting in one call, for a notebook: names instead of objects, folders instead of photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from udp import protect
from udp.errors import InvalidInput
from udp.images import list_photos, read_photos
from udp.models import DiffusionModel, load_model
from udp.types import OnProgress, Photo, ignore_progress

# A folder, a file, or a sequence of files and photos that were read already.
Photos = str | Path | Sequence[str | Path | Photo]


def as_photos(photos: Photos) -> list[Photo]:
    """Read what is a path; a folder counts with all of its photos. Raises `UnreadablePhoto` or `InvalidInput`."""
    if isinstance(photos, (str, Path)):
        return read_photos(list_photos(Path(photos)))
    return [photo if isinstance(photo, Photo) else read_photos([Path(photo)])[0] for photo in photos]


def as_model(model: str | DiffusionModel) -> DiffusionModel:
    """A model, or the one that `load_model` finds by its name. Raises `ModelUnavailable`."""
    return load_model(model) if isinstance(model, str) else model


def protect_photos(
    photos: Photos,
    model: str | DiffusionModel = "mini",
    method: str = "eudp",
    prompt: str = "a photo of sks",
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
    **settings: Any,
) -> list[Photo]:
    """Protected copies of `photos`: same names and sizes, no pixel changed by more than the budget.

    `settings` are the fields of the method, such as `budget=8 / 255` (in [0, 1] pixel units) or `rounds=20`. Write the
    results with `udp.images.write_png`: a lossy file would erase the perturbation. Raises `InvalidInput` for unknown
    methods, settings or values, `UnreadablePhoto`, and `ModelUnavailable`.
    """
    if method not in protect.METHODS:
        raise InvalidInput(f"expected a method among {', '.join(protect.METHODS)}, got {method!r}")
    return with_settings(protect.METHODS[method], settings)(
        as_photos(photos), as_model(model), prompt, seed, on_progress
    )


def with_settings(kind: type, settings: dict[str, Any]) -> Any:
    """`kind(**settings)`. Raises `InvalidInput` that lists the fields if one is unknown."""
    fields = kind.__dataclass_fields__
    unknown = sorted(set(settings) - set(fields))
    if unknown:
        raise InvalidInput(f"expected settings among {', '.join(fields)}, got {', '.join(unknown)}")
    return kind(**settings)
