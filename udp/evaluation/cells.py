"""Finished work on disk: cells of the lab and protected sets, each with the digest of the settings that made it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from udp.evaluation.arms import Arm
from udp.files import write_whole


class Store(Protocol):
    """Where finished cells are kept, so that a killed run repeats nothing."""

    def load(self, name: str, key: str) -> Arm | None:
        """The cell, if it was finished with exactly these settings (`key`)."""

    def save(self, name: str, key: str, arm: Arm) -> None:
        """Keep a finished cell."""


@dataclass(frozen=True)
class FolderStore:
    """A `Store`: one JSON a cell, with its pictures as PNGs beside it. The JSON comes last and appears whole."""

    folder: Path

    def load(self, name: str, key: str) -> Arm | None:
        """See `Store.load`; a cell that is damaged or lacks a picture is as good as none, and is made again."""
        try:
            return self._read(self._place(name), key)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError):
            return None

    def _read(self, place: Path, key: str) -> Arm | None:
        content = json.loads(place.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        images = tuple(np.asarray(Image.open(self.folder / file).convert("RGB")) for file in content["images"])
        figures = content["figures"]
        intervals = {name: tuple(ends) for name, ends in content["intervals"].items()}
        return Arm(content["arm"], images, tuple(content["losses"]), figures, (figures,), intervals)

    def save(self, name: str, key: str, arm: Arm) -> None:
        """See `Store.save`."""
        place = self._place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # or a kill between the pictures would leave new ones to an old cell
        files = [f"{place.stem}-{index}.png" for index in range(len(arm.images))]
        for file, image in zip(files, arm.images, strict=True):
            Image.fromarray(image).save(self.folder / file)
        content = {
            "key": key, "arm": arm.name, "figures": arm.metrics, "intervals": arm.intervals, "losses": arm.losses,
            "images": files,
        }  # fmt: skip
        write_whole(place, json.dumps(content, indent=1) + "\n")

    def _place(self, name: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_+.-]', '_', name)}.json"
