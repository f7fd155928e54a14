"""What a catalogue remembers in its output: the settings it was begun with, and of each set whether it is finished or failed.

It lies in a hidden folder, which readers of data sets pass over. A note is absent, old or complete at any moment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from udp.catalogue.listing import PhotoGroup
from udp.digests import digest
from udp.errors import InvalidInput
from udp.files import finished, write_json
from udp.photo_files import file_digest

NOTES = ".catalogue"
SETTINGS = "catalogue.json"


class Notes:
    """The notes in the output folder `out`."""

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out / NOTES

    def mark(self, name: str) -> Path:
        """Where the note of a finished set lies."""
        return self.folder / "sets" / f"{_short(name)}.json"

    def failure(self, name: str) -> Path:
        """Where it is noted why a set failed."""
        return self.folder / "failed" / f"{_short(name)}.json"

    def settled(self) -> dict[str, set[str]]:
        """The names of the notes there are, of sets that are finished and of sets that failed."""
        return {kind: set(_names(self.folder / kind)) for kind in ("sets", "failed")}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time, on every machine that sees this folder; the lock of one that dies is free."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            yield

    def agree(self, settings: dict[str, Any], note: bool = True) -> None:
        """Note what the catalogue is made with; without `note`, before the model is known to load, only compare. Raises `InvalidInput` if it was begun with something else.

        Or a slip on the command line would make days of work again, or leave a data set of two methods.
        """
        with self.locked():
            path = self.out / SETTINGS
            begun = _read(path)
            for key, value in settings.items():
                if key in begun and begun[key] != json.loads(json.dumps(value)):
                    raise InvalidInput(
                        f"expected {key} as {self.out.name!r} was begun with, {_brief(begun[key])}, got {_brief(value)}: choose "
                        "another folder (--out), or the same settings"
                    )
            if note and settings.keys() - begun.keys():
                write_json(path, {**begun, **settings})

    def rows(self, group: PhotoGroup, key: str, shard: bool) -> list[dict[str, Any]] | None:
        """The rows of a set that is finished, None if it is not, or if its photos or what was made of them have changed.

        Photos of the same size in bytes and time of change are taken for the same, others are read and compared. `shard` says
        that what was made of them lies in a shard by now.
        """

        def read(note: dict[str, Any]) -> list[dict[str, Any]] | None:
            made = note["made"].items()
            whole = shard or all((self.out / file).stat().st_size == size for file, size in made)
            same = note["stats"] == group.stats() or note["sha256"] == self.digests(group)
            return note["rows"] if whole and same else None

        return finished(self.mark(group.name), key, read)

    def digests(self, group: PhotoGroup) -> list[str]:
        """SHA-256 of each photo's file, "" for one that is gone."""
        with group.opened(self.room(group)) as paths:
            return digests(paths)

    def room(self, group: PhotoGroup) -> Path:
        """A place to unpack a set of a shard to."""
        return self.folder / "unpacked" / _short(group.name)

    def read(self, path: Path) -> dict[str, Any]:
        """A note, empty if it is not there."""
        return _read(path)


def digests(paths: list[Path]) -> list[str]:
    """SHA-256 of each file, "" for one that is not there."""
    return [file_digest(path) if path.is_file() else "" for path in paths]


def _short(name: str) -> str:
    return digest(name)[:20]


def _names(folder: Path) -> list[str]:
    try:
        return [name.removesuffix(".json") for name in os.listdir(folder) if name.endswith(".json")]
    except FileNotFoundError:
        return []


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _brief(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
