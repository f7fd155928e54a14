"""What a metadata.jsonl says of photos: its columns, and its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from udp.errors import InvalidInput
from udp.files import shown

METADATA = "metadata.jsonl"


class Columns:
    """The rows of a metadata.jsonl, each read from the file when it is asked for.

    `stat` is the file's size in bytes and time of change when it was looked through, `names` are those of its columns.
    """

    def __init__(self, path: Path, column: str = "") -> None:
        """Raises `InvalidInput` for a line that is no JSON object with a `file_name`."""
        self.path, self.places = path, dict[str, int]()
        self.values = dict[str, str]()
        self.names = dict[str, None]()
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            self.stat = [found.st_size, found.st_mtime_ns]
            while line := file.readline():
                if not line.strip():
                    continue
                row = self._row(line)
                name = str(PurePosixPath(row["file_name"]))
                self.places[name] = file.tell() - len(line)
                self.names |= dict.fromkeys(row)
                if column:
                    self.values[name] = str(row.get(column, ""))

    def _row(self, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("file_name"), str):
                return row
        except ValueError:
            pass
        raise InvalidInput(
            f"expected every line of {self.path.name!r} to be a JSON object with file_name, got {line[:80].decode(errors='replace')!r}"
        )

    def row(self, name: str) -> dict[str, Any]:
        """What it says of the photo `name`, a path from where it lies, but for that name; empty if it says nothing.

        Raises `InvalidInput` if the file is another than the one that was looked through.
        """
        if name not in self.places:
            return {}
        try:
            with self.path.open("rb") as file:
                file.seek(self.places[name])
                found = self._row(file.readline())
        except (InvalidInput, FileNotFoundError):
            found = None
        if not found or str(PurePosixPath(found["file_name"])) != name:
            raise InvalidInput(
                f"expected {self.path.name!r} as it was when the photos were listed, got another: run the same command again"
            )
        return {key: value for key, value in found.items() if key != "file_name"}


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
