"""What a catalogue remembers in its output: the settings it was begun with, and of each set whether it is finished or failed.

It lies in a hidden folder, which readers of data sets pass over. A note is absent, old or complete at any moment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from udp.catalogue.layout import SETTINGS
from udp.catalogue.listing import PhotoGroup
from udp.digests import digest
from udp.errors import InvalidInput
from udp.files import finished, write_json
from udp.protection.output import damaged_lists

NOTES = ".catalogue"


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

    def claim(self, name: str) -> Path:
        """The file that a process locks while it makes a set."""
        return self.folder / "claims" / f"{_short(name)}.lock"

    @property
    def begun(self) -> bool:
        """Whether a catalogue was begun in this folder, so that records there are ours."""
        return self.read(self.out / SETTINGS).keys() >= {"method", "settings"} or any(self.settled().values())

    def agree_on_source(self, source: Path, groups: Sequence[PhotoGroup], note: bool = True) -> None:
        """Note where the photos are from; without `note` only compare. Raises `InvalidInput` if they were from elsewhere, and no set has
        a photo that it had: another source would have its photos replace those of the first. One that was moved has them all.
        """
        path, here = self.folder / "source.json", digest(str(source.resolve()))
        with self.locked():
            if self.read(path).get("place") == here:
                return
            sets = self.settled()["sets"]
            known = [group for group in groups if self.mark(group.name).stem in sets]
            if sets and not any(_shared(self.read(self.mark(group.name)), group) for group in known):
                raise InvalidInput(
                    f"expected the source that {self.out.name!r} was begun with, got {str(source)!r}, where no set has a photo that the set of "
                    "its name had: choose another folder (--out) for another source"
                )
            if note:
                write_json(path, {"place": here})

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
            begun = self.read(path)
            if not begun and path.exists():
                raise InvalidInput(
                    f"expected {str(path)!r} to say what this folder was begun with, got a damaged file: delete it if that was what is asked "
                    "for now, and run the same command again, or choose another folder (--out)"
                )
            for key, value in json.loads(json.dumps(settings)).items():
                if key in begun and begun[key] != value:
                    then, now = _differing(begun[key], value)
                    raise InvalidInput(
                        f"expected {key} as {self.out.name!r} was begun with, {_brief(then)}, got {_brief(now)}: choose "
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
            stats = group.stats()  # before the photos are read: what changes after that has another time
            if not whole or not group.same_photos(note):
                return None
            self._take_times(group, note, stats)
            return note["rows"]

        return finished(self.mark(group.name), key, read)

    def _take_times(self, group: PhotoGroup, note: dict[str, Any], stats: list[list[int]]) -> None:
        """Note new times of the same photos, as a copy has, so that no later look has to read them all."""
        if note["stats"] == stats:
            return
        with self.claimed(group.name) as claimed:
            if claimed:
                write_json(self.mark(group.name), {**note, "stats": stats})

    def clear_damaged(self, name: str) -> None:
        """Before a set is made again: if what lists its photos is damaged, delete those that its note lists, for nothing else says
        that they are ours. Raises `InvalidInput` if that note is damaged too, or was never written.
        """
        damaged = damaged_lists(folder := self.out / name)
        if not damaged:
            return
        made = self.read(self.mark(name)).get("made")
        if not isinstance(made, dict):
            raise InvalidInput(
                f"expected {str(damaged[0])!r} to list the photos of its set, got a damaged file: if an earlier run made them, delete the PNGs "
                f"in {str(folder)!r} and that file, and run the same command again, which makes the set again; or choose another folder (--out)"
            )
        for path in (*(self.out / file for file in made), *damaged):
            path.unlink(missing_ok=True)

    @contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Whether the set `name` is this process's to make while the block runs, and no other's on any machine that sees this folder.

        It is a lock of the system's, so the claim of a process that dies is free. The empty file stays: if it were deleted, two
        processes could hold locks of one name.
        """
        self.claim(name).parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.claim(name), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def room(self, group: PhotoGroup) -> Path:
        """A place to unpack a set of a shard to."""
        return self.folder / "unpacked" / _short(group.name)

    def read(self, path: Path) -> dict[str, Any]:
        """A note, empty if it is not there or damaged."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def finished_set(self, name: str) -> dict[str, Any] | None:
        """The note of a finished set; None if it is not finished, or its note is damaged, so that it has to be made again."""
        note = self.read(self.mark(name))
        return note if note.keys() >= {"key", "set", "rows", "left_out"} else None


def _short(name: str) -> str:
    return digest(name)[:20]


def _names(folder: Path) -> list[str]:
    try:
        return [name.removesuffix(".json") for name in os.listdir(folder) if name.endswith(".json")]
    except FileNotFoundError:
        return []


def _shared(note: dict[str, Any], group: PhotoGroup) -> bool:
    """Whether one of the photos that the note of a set is of, is in `group` still."""
    known = set(note.get("sha256", ())) - {""}
    sizes = {size for size, _ in note.get("stats", ())}
    if not group.sharded:  # what has another size need not be read
        found = zip(group.files, group.stats(), strict=True)
        group = replace(group, files=tuple(name for name, (size, _) in found if size in sizes))
    return bool(known.intersection(group.digests()))


def _differing(a: Any, b: Any) -> tuple[Any, Any]:
    """Two values that differ; of two dictionaries the entries in which they do."""
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return a, b
    keys = [key for key in {**a, **b} if a.get(key) != b.get(key)]
    return {key: a.get(key) for key in keys}, {key: b.get(key) for key in keys}


def _brief(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
