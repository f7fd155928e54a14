"""The folder that a protected set is written to, part after part: what lies there is whole, ours, and listed."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from udp.decoding import suffixes
from udp.errors import InvalidInput
from udp.files import MANIFEST, probe, write_json
from udp.photo_files import file_digest
from udp.photos import Photo, write_png

CONTROLS = "controls"
UNFINISHED = "unfinished.json"  # lies in a folder while photos are written to it, and after a kill


class Controls(enum.StrEnum):
    """What is written beside protected photos, to compare them with."""

    BOTH = "clean and random"
    CLEAN = "clean"
    NONE = "none"


def places(folder: Path) -> tuple[Path, Path, Path]:
    """Where the protected photos, the clean ones and those with random noise lie in `folder`."""
    return folder, folder / CONTROLS / "clean", folder / CONTROLS / "random"


def check_ready(folder: Path, sources: Iterable[Path]) -> None:
    """Raise `InvalidInput` unless a protected set made from `sources`, files or folders, can be written to `folder`.

    Before the work: what lies in the way there, and photos that would be replaced while they are still needed.
    """
    probe(folder, (*places(folder), folder / CONTROLS), (folder / MANIFEST, folder / UNFINISHED))
    check_apart(folder, places(folder), sources)
    check_free(folder)


def check_finished(folder: Path) -> None:
    """Raise `InvalidInput` if the writing of a set in `folder` was interrupted: what is there is some of it."""
    if (folder / UNFINISHED).exists():
        raise InvalidInput(
            f"expected a finished set in {str(folder)!r}, got one whose writing was interrupted: run `protect` again"
        )


def check_apart(folder: Path, written: Iterable[Path], sources: Iterable[Path]) -> None:
    """Raise `InvalidInput` if a source, a file or a folder, lies where results are `written` in `folder`."""
    taken = {place.resolve() for place in written}
    if any(taken & _homes(source) for source in sources):
        raise InvalidInput(
            f"expected the output folder (--out) to be another folder than that of the photos, got {str(folder)!r} for both: what is written there, "
            "and in its controls, takes the place of what was"
        )


def _homes(source: Path) -> set[Path]:
    """The folders that a source is read from, two for a link to a file; none for what no system takes for a path."""
    try:
        if source.is_dir():
            return {source.resolve()}
        return {source.parent.resolve(), source.resolve().parent}
    except (OSError, ValueError, RuntimeError):
        return set()


class OutputFolder:
    """Writes parts of a protected set to `folder`, where each stays when the process is killed.

    Until all are there, `UNFINISHED` lists the names of all, and of each part that is done its key, rows of the manifest
    and digests of its files. What an earlier run wrote goes when the first part is written, not before.
    """

    def __init__(self, folder: Path, names: Iterable[str], keys: Iterable[str] = ()) -> None:
        """For photos called `names` (of PNGs) in all, in parts with these `keys`, of which some may be done."""
        self.folder, self.names = folder, list(names)
        self.done = {key: part for key, part in _parts(folder).items() if key in set(keys) and _whole(folder, part)}
        self._begun = False

    def rows(self, key: str) -> list[dict[str, Any]] | None:
        """The rows of a part that is done already and whole, else None."""
        return self.done[key]["rows"] if key in self.done else None

    def write(self, key: str, rows: list[dict[str, Any]], arms: Sequence[Sequence[Photo]]) -> None:
        """One part: its photos protected, clean and with random noise (see `places`), or fewer of these from the first on."""
        self._begin()
        files = {}
        for place, photos in zip(places(self.folder), arms, strict=False):
            place.mkdir(parents=True, exist_ok=True)
            for photo in photos:
                path = write_png(place / f"{photo.name}.png", photo)
                files[path.relative_to(self.folder).as_posix()] = file_digest(path)
        self.done[key] = {"rows": rows, "files": files}
        self._note(self.names)

    def finish(self, manifest: dict[str, Any]) -> None:
        """The manifest, last of all."""
        self._begin()
        write_json(self.folder / MANIFEST, manifest)
        (self.folder / UNFINISHED).unlink()

    def _begin(self) -> None:
        if self._begun:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {self.folder / file for part in self.done.values() for file in part["files"]}
        stale = [path for path in earlier_photos(self.folder) if path not in kept]
        # First, so that the next run knows what a killed one has left.
        self._note(dict.fromkeys([*(path.name for path in stale), *self.names]))
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for path in stale:
            path.unlink(missing_ok=True)
        self._begun = True

    def _note(self, names: Iterable[str]) -> None:
        parts = [{"key": key, **part} for key, part in self.done.items()]
        write_json(self.folder / UNFINISHED, {"photos": [{"file": name} for name in names], "parts": parts})


def _parts(folder: Path) -> dict[str, dict[str, Any]]:
    """The parts that a killed run finished, by their keys; none where its notes are missing or damaged."""
    try:
        parts = json.loads((folder / UNFINISHED).read_text(encoding="utf-8"))["parts"]
        return {part["key"]: {"rows": part["rows"], "files": part["files"]} for part in parts}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _whole(folder: Path, part: dict[str, Any]) -> bool:
    try:
        return all(file_digest(folder / file) == sha256 for file, sha256 in part["files"].items())
    except (OSError, AttributeError):
        return False


def earlier_photos(folder: Path) -> list[Path]:
    """What an earlier run of ours wrote to `folder`, finished or killed: the photos that it listed, and their controls."""
    names = [name for listed in (MANIFEST, UNFINISHED) for name in _listed(folder / listed) or ()]
    names += [f"{name}.part" for name in names]
    return [place / name for place in places(folder) for name in names if (place / name).is_file()]


def damaged_lists(folder: Path) -> list[Path]:
    """The files in `folder` that list the photos of a set, finished or not, and cannot be read as such."""
    return [path for name in (MANIFEST, UNFINISHED) if (path := folder / name).is_file() and _listed(path) is None]


def _listed(path: Path) -> list[str] | None:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["photos"]
        return [Path(row["file"]).name for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_free(folder: Path) -> None:
    """Raise `InvalidInput` if pictures lie in `folder` that no manifest there lists: a trial would train on them too."""
    listed = set(earlier_photos(folder))
    for place in places(folder):
        found = [
            path
            for path in sorted(place.glob("*"))
            if path.suffix.lower() in suffixes()
            and path not in listed
            and (path.is_file() or path.suffix.lower() == ".png")  # as ours are called
        ]
        if found:
            raise InvalidInput(
                f"expected the output folder (--out) to be a new folder, or one that `protect` wrote, got {str(place)!r} with other pictures, "
                f"such as {found[0].name!r}: choose another folder"
            )
