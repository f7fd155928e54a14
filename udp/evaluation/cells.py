"""Finished cells of a trial or the lab, each with the digest of the settings that made it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from udp.digests import digest
from udp.errors import InvalidInput
from udp.evaluation.arms import Arm
from udp.files import finished, finishing
from udp.imitation.cleaning import framing_of
from udp.photos import write_picture


class Store(Protocol):
    """Where finished cells are kept, so that a run that was broken off repeats nothing.

    `in_turn` says that cells are to be made one after the other even where they could be at once.
    """

    in_turn: bool

    def load(self, name: str, key: str) -> Any | None:
        """The cell, if it was finished with exactly these settings (`key`)."""

    def save(self, name: str, key: str, cell: Any) -> None:
        """Keep a finished cell. It may raise, to end the run there."""


def base_name(run: int, cleaning: str) -> str:
    """What a store calls the base model's pictures of one run, compared with photos framed as `cleaning` frames them."""
    framing = framing_of(cleaning)
    return f"base-{framing}-run{run}" if framing else f"base-run{run}"


def cell_name(recipe: str, cleaning: str, arm: str, run: int) -> str:
    """What a store calls one arm of one recipe under one cleaning."""
    return f"{recipe}-{cleaning}-{arm}-run{run}"


@dataclass
class MemoryStore:
    """A `Store` for as long as the process lives: `cells` are (key, cell) by name, in the order they were finished."""

    cells: dict[str, tuple[str, Any]] = field(default_factory=dict)
    in_turn: ClassVar[bool] = False

    def load(self, name: str, key: str) -> Any | None:
        """See `Store.load`."""
        kept, cell = self.cells.get(name, ("", None))
        return cell if kept == key else None

    def save(self, name: str, key: str, cell: Any) -> None:
        """See `Store.save`."""
        self.cells[name] = key, cell


@dataclass(frozen=True)
class FolderStore:
    """A `Store`: one JSON a cell, with its pictures as PNGs beside it. The JSON comes last and appears whole."""

    folder: Path
    in_turn: ClassVar[bool] = False

    def load(self, name: str, key: str) -> Arm | None:
        """See `Store.load`; a cell that is damaged or lacks a picture is as good as none, and is made again."""
        return finished(self._place(name), key, self._read)

    def read(self, name: str) -> Arm:
        """A finished cell, whatever settings made it. Raises `InvalidInput` if it is not here or damaged."""
        place = self._place(name)
        try:
            return self._read(json.loads(place.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(f"expected {str(place)!r} to be a finished cell, got {error!r}") from error

    def _read(self, content: dict[str, Any]) -> Arm:
        if "check" in content and content["check"] != self._check(content):
            raise ValueError("damaged")
        images = tuple(np.asarray(Image.open(self.folder / file).convert("RGB")) for file in content["images"])
        figures = content["figures"]
        intervals = {name: tuple(ends) for name, ends in content["intervals"].items()}
        return Arm(content["arm"], images, tuple(content["losses"]), figures, (figures,), intervals)

    def save(self, name: str, key: str, arm: Arm) -> None:
        """See `Store.save`."""
        place = self._place(name)
        files = [f"{place.stem}-{index}.png" for index in range(len(arm.images))]
        with finishing(place, key) as content:
            for file, image in zip(files, arm.images, strict=True):
                write_picture(self.folder / file, Image.fromarray(image))
            content |= {"arm": arm.name, "figures": arm.metrics, "intervals": arm.intervals}
            content |= {"losses": arm.losses, "images": files}
            content["check"] = self._check(json.loads(json.dumps(content)))

    def _check(self, content: dict[str, Any]) -> str:
        """What changes with any of a cell's figures and pictures. Cells of earlier versions have none."""
        pictures = [hashlib.sha256((self.folder / file).read_bytes()).hexdigest() for file in content["images"]]
        return digest([{key: content[key] for key in content if key != "check"}, pictures])

    def _place(self, name: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_+.-]', '_', name)}.json"
