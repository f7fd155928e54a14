"""What a metadata.jsonl says of photos: its columns, and its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from udp.catalogue.layout import METADATA
from udp.errors import InvalidInput
from udp.files import shown


class Columns:
    """The rows of a metadata.jsonl, each read from the file when it is asked for.

    `title` is what people find it by, `names` are those of its columns, `repeated` are photos that it has more than one row of, whose
    last counts.
    """

    def __init__(self, path: Path, column: str = "", title: str = METADATA) -> None:
        """Raises `InvalidInput` for a file that cannot be read and a line that is no JSON object with a `file_name`."""
        self.path, self.column, self.title = path, column, title
        self._look_through()

    @property
    def stat(self) -> list[int]:
        """The file's size in bytes and time of change, zeros if it is gone."""
        try:
            return _stat(self.path)
        except OSError:
            return [0, 0]

    def _look_through(self) -> None:
        places, values, names, repeated = dict[str, int](), dict[str, str](), dict[str, None](), dict[str, None]()
        try:
            with self.path.open("rb") as file:
                stat = _stat(file.fileno())
                for number, line in enumerate(iter(file.readline, b""), 1):
                    if not line.strip():
                        continue
                    row = self._row(line, f", line {number}")
                    name = str(PurePosixPath(row["file_name"]))
                    repeated |= {name: None} if name in places else {}
                    places[name] = file.tell() - len(line)
                    names |= dict.fromkeys(row)
                    if self.column:
                        values[name] = str(row.get(self.column, ""))
        except OSError as error:
            raise InvalidInput(
                f"expected {self.title!r} to be a file that can be read, got: {error.strerror}"
            ) from error
        # All at once: what was read of a file that ends in the middle of a line is no table.
        self.places, self.values, self.names, self.repeated, self._looked = places, values, names, repeated, stat

    def _row(self, line: bytes, where: str = "") -> dict[str, Any]:
        try:
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("file_name"), str):
                return row
        except (ValueError, RecursionError):  # the latter of brackets in brackets
            pass
        raise InvalidInput(
            f"expected every line of {self.title!r} to be a JSON object with file_name, got "
            f"{line[:80].decode(errors='replace')!r}{where}"
        )

    def row(self, name: str) -> dict[str, Any]:
        """What it says of the photo `name`, a path from where it lies, but for that name; empty if it says nothing.

        A file that has changed since it was looked through is looked through again: a caption that is corrected while a catalogue is
        made costs no work. Raises `InvalidInput` as in the beginning.
        """
        found = self._found(name)
        if found is None:
            self._look_through()
            found = self._found(name)
        if found is None:
            raise InvalidInput(f"expected {self.title!r} to stay as it is while it is read, got another each time")
        return {key: value for key, value in found.items() if key != "file_name"}

    def _found(self, name: str) -> dict[str, Any] | None:
        """The row, empty if there is none; None if the file is not as it was."""
        try:
            if _stat(self.path) != self._looked:
                return None
            if name not in self.places:
                return {}
            with self.path.open("rb") as file:
                file.seek(self.places[name])
                found = self._row(file.readline())
        except (InvalidInput, OSError):
            return None
        return found if str(PurePosixPath(found["file_name"])) == name else None


def _stat(file: Path | int) -> list[int]:
    found = os.stat(file)
    return [found.st_size, found.st_mtime_ns]


def check_column(column: str, tables: Iterable[Columns]) -> None:
    """Raise `InvalidInput` if `column` is named, and is in none of them."""
    names = {name: None for columns in tables for name in columns.names if name != "file_name"}
    if column and column not in names:
        raise InvalidInput(
            f"expected --column to be a column of {METADATA}, got {column!r}: "
            + (
                f"choose among {', '.join(map(shown, names))}"
                if names
                else f"there is no {METADATA} with columns in the source"
            )
        )
