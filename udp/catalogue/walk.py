"""The folders of a source, links among them: each real folder once, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from udp.decoding import suffixes
from udp.files import shown


@dataclass(frozen=True)
class Folder:
    """A folder at `place`, which is `inside` the source ("" for the source itself), and the names of the files in it."""

    place: Path
    inside: str
    files: list[str]


@dataclass
class Walk:
    """The folders of a source, and a sentence in `notices` for each that is passed over, but for hidden ones."""

    folders: list[Folder] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @classmethod
    def through(cls, source: Path, out: Path) -> Walk:
        """The tree of `source`, folders in order of their paths.

        A link to a folder is followed, as most people who make one expect, unless what it leads to is listed without it or by
        another link, lies around the source, or has to do with `out`, the folder of the results: so no photo comes twice, no
        circle is walked, and no result is protected again.
        """
        walk, seen = cls(), set[Path]()
        here, apart = source.resolve(), out.resolve()
        links = sorted(walk._below(source, "", seen))  # last, so that a folder goes by its own name and not by a link's
        while links:
            place, inside = links.pop(0)
            if said := _in_the_way(place.resolve(), here, apart):
                walk.notices.append(f"{shown(inside)!r} is a link to {said}: not followed")
            else:
                links += sorted(walk._below(place, inside, seen))
        walk.folders.sort(key=lambda folder: PurePosixPath(folder.inside).parts)
        return walk

    def _below(self, top: Path, inside: str, seen: set[Path]) -> Iterator[tuple[Path, str]]:
        """List `top` and the folders below it; what links lead to other folders there."""
        waiting = [(top, inside)]
        while waiting:
            place, inside = waiting.pop()
            try:
                real = place.resolve()
                with os.scandir(place) as scanned:
                    entries = sorted(scanned, key=lambda entry: entry.name)
            except OSError as error:
                self.notices.append(f"the folder {shown(inside)!r} cannot be read: {error.strerror or error}")
                continue
            if real in seen:
                self.notices.append(
                    f"{shown(inside)!r} is, by a link, a folder that is listed under another name: not taken twice"
                )
                continue
            seen.add(real)
            files: list[str] = []
            for entry in entries:
                path = f"{inside}/{entry.name}" if inside else entry.name
                if not _is_folder(entry):
                    files.append(entry.name)
                    if not entry.name.startswith(".") and _leads_nowhere(entry):
                        self.notices.append(f"{shown(path)!r} is a link to nothing")
                elif not entry.name.startswith("."):
                    if entry.is_symlink():
                        yield place / entry.name, path
                    else:
                        waiting.append((place / entry.name, path))
            self.folders.append(Folder(place, inside, files))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where nobody may look
        return False


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link to nothing; one that is called like a photo is told of as a photo that cannot be read."""
    return entry.is_symlink() and not os.path.exists(entry.path) and Path(entry.name).suffix.lower() not in suffixes()


def _in_the_way(there: Path, here: Path, apart: Path) -> str:
    if there in here.parents:
        return "a folder that the source lies in"
    if there == apart or there in apart.parents or apart in there.parents:
        return "the folder of the results, or one in it or around it"
    return ""
