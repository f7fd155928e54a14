"""The list of sets in a source: a tree of folders, an ImageFolder with metadata.jsonl, or WebDataset shards.

Listing opens no photo whose name says that it is one: only names are looked at, and the tables of contents of tars. So it takes
seconds for tens of thousands of photos, and memory for their names alone.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from udp.catalogue.columns import Columns, check_column
from udp.catalogue.layout import METADATA, RECORDS, SETTINGS, Layout
from udp.catalogue.similar import alike, in_order, looks_of
from udp.catalogue.tars import NEVER_PHOTOS, contents, member_digests, samples, unpack
from udp.catalogue.walk import Walk
from udp.decoding import RAW_SUFFIXES, suffixes
from udp.digests import digest
from udp.errors import InvalidInput
from udp.files import MANIFEST, shown, write_json
from udp.photo_files import file_digest
from udp.photos import called_or_is_picture, fitting_name, own_names, together
from udp.protection.output import CONTROLS

# What a folder of the output may hold beside photos and sets.
RESERVED = {CONTROLS, MANIFEST, SETTINGS, *RECORDS}
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")


@dataclass(frozen=True)
class PhotoGroup:
    """A set of a catalogue: photos that lie in the folder or tar `place`, called `files` there.

    `name` is where it will lie in the output, "" for the output folder itself; `inside` is where `place` lies in the source.
    `columns` has more to say of the photos, which are `below` the folder of that file.
    """

    name: str
    place: Path
    files: tuple[str, ...]
    inside: str = ""
    columns: Columns | None = field(default=None, compare=False)
    below: str = ""

    @property
    def sharded(self) -> bool:
        """Whether it lies in a tar."""
        return self.place.suffix.lower() == ".tar" and not self.place.is_dir()

    def originals(self) -> list[str]:
        """The photos' paths in the source, as text that can be written anywhere."""
        return [shown(str(PurePosixPath(self.inside, PurePosixPath(name).name))) for name in self.files]

    def stats(self) -> list[list[int]]:
        """Size in bytes and time of change of each photo's file, of the tar if it lies in one; zeros for one that is gone."""
        paths = [self.place] if self.sharded else [self.place / name for name in self.files]
        return [[found.st_size, found.st_mtime_ns] if (found := _stat(path)) else [0, 0] for path in paths]

    def digests(self) -> list[str]:
        """SHA-256 of each photo's file, "" for one that is gone or cannot be read."""
        if self.sharded:
            return member_digests(self.place, self.files)
        return [known_digest(self.place / name) for name in self.files]

    def same_photos(self, note: dict[str, Any]) -> bool:
        """Whether its photos are those that `note` has the `stats` and the `sha256` of; `digests` are asked for if they must be.

        So they are of one that could not be read: who is allowed to changes no file.
        """
        if note["stats"] != self.stats():
            return note["sha256"] == self.digests()
        unread = [name for name, sha256 in zip(self.files, note["sha256"], strict=True) if not sha256]
        return not unread or not any(replace(self, files=tuple(unread)).digests())

    def told_by(self) -> list[int]:
        """Size in bytes and time of change of the file that `more` is read from, zeros if there is none."""
        if self.sharded:
            return self.stats()[0]
        return self.columns.stat if self.columns else [0, 0]

    def more(self) -> list[dict[str, Any]]:
        """What else the source says of each photo: its row of metadata.jsonl, or of a shard the other parts of its sample.

        Raises `InvalidInput` if the metadata.jsonl is none any more.
        """
        if self.sharded:
            return samples(self.place, self.files)
        if self.columns is None:
            return [{} for _ in self.files]
        return [self.columns.row(str(PurePosixPath(self.below, name))) for name in self.files]

    @contextmanager
    def opened(self, room: Path) -> Iterator[list[Path]]:
        """The photos as files; those of a tar are unpacked into the folder `room`, and gone after that."""
        if not self.sharded:
            yield [self.place / name for name in self.files]
            return
        shutil.rmtree(room, ignore_errors=True)
        try:
            yield unpack(self.place, self.files, room)
        finally:
            shutil.rmtree(room, ignore_errors=True)


@dataclass(frozen=True)
class Listing:
    """The sets of a source in order, the photos that metadata.jsonl names in vain, and a sentence for each folder, link or archive that
    is passed over, and for each name that a shard or a metadata.jsonl holds more than once.
    """

    groups: list[PhotoGroup]
    missing: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def photos(self) -> int:
        """How many there are in all sets."""
        return sum(len(group.files) for group in self.groups)


def list_sets(source: Path, layout: Layout, notes: Path) -> Listing:
    """The sets of `source`, the same for every process that looks; what was found out slowly is kept in `notes`, a folder in that of
    the results, to which no link is followed.

    Raises `InvalidInput` if there are no photos, or photos beside shards, a metadata.jsonl that is none, or a column in none.
    """
    if not source.exists():
        raise InvalidInput(
            f"expected a folder of photos or shards, or a shard, got {str(source)!r}, which does not exist"
        )
    if source.is_file() and source.suffix.lower() != ".tar":
        raise InvalidInput(
            f"expected a folder of photos or shards, or a shard (.tar, not compressed), got the file {str(source)!r}: give its folder, or "
            "unpack it"
        )
    shards = [
        path
        for path in (sorted(source.iterdir()) if source.is_dir() else [source])
        if path.suffix.lower() == ".tar" and (path == source or not path.name.startswith(".")) and path.is_file()
    ]
    found = _list_shards(source, shards, layout) if shards else _list_tree(source, layout, notes)
    if not found.groups:
        got = f"none: {together(found.notices)}" if found.notices else "none"
        raise InvalidInput(f"expected photos in {str(source)!r} or folders below it, got {got}")
    if shards and source.is_dir() and any(_photo_names(source, os.listdir(source))):
        raise InvalidInput(
            f"expected photos or shards in {str(source)!r}, got both: move one of them to another folder"
        )
    names = own_names(group.name for group in found.groups)
    groups = [replace(group, name=name) for group, name in zip(found.groups, names, strict=True)]
    return replace(found, groups=groups)


def _list_tree(source: Path, layout: Layout, notes: Path) -> Listing:
    walk = Walk.through(source, notes.parent)
    notices = walk.notices + [
        f"{shown(str(PurePosixPath(folder.inside, name)))!r} is an archive below a tree of photos: passed over; give it as a source of its "
        f"own{'' if name.lower().endswith('.tar') else ', unpacked,'} if it holds photos"
        for folder in walk.folders
        for name in sorted(folder.files)
        if name.lower().endswith(ARCHIVES) and not name.startswith(".")
    ]
    tables = {
        folder.inside: Columns(
            folder.place / METADATA, layout.column, shown(str(PurePosixPath(folder.inside, METADATA)))
        )
        for folder in walk.folders
        if METADATA in folder.files
    }
    check_column(layout.column, tables.values())
    groups: list[PhotoGroup] = []
    missing = list[str]()
    seen: dict[str, int] = {}
    for folder in walk.folders:
        place, inside = folder.place, folder.inside
        names = list(_photo_names(place, folder.files))
        if not names:
            continue
        top = next((part for part in (inside, *map(_posix, PurePosixPath(inside).parents)) if part in tables), None)
        columns = tables[top] if top is not None else None
        below = inside.removeprefix(top or "").lstrip("/")
        whole = PhotoGroup(_safe(inside), place, tuple(names), inside, columns, below)
        if columns:
            seen[top] = seen.get(top, 0) + sum(str(PurePosixPath(below, name)) in columns.places for name in names)
        groups += _divided(whole, layout, notes)
    for top, columns in tables.items():
        if seen.get(top, 0) < len(columns.places):
            named = (PurePosixPath(top, name) for name in columns.places)
            missing += [shown(str(path)) for path in named if not _is_file(source / path)]
        notices += _told_in_vain(columns)
    return Listing(groups, tuple(missing), tuple(notices))


def _told_in_vain(columns: Columns) -> Iterator[str]:
    """A sentence on rows that name no photo by a plain path, and on photos with more than one row."""
    table = repr(columns.title)
    odd = [name for name in columns.places if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if odd:
        yield f"{table} names {len(odd)} files by a path that leads out of its folder, such as {shown(odd[0])!r}: those rows are not used"
    if columns.repeated:
        yield f"{table} has more than one row of {len(columns.repeated)} files, such as {shown(next(iter(columns.repeated)))!r}: the last counts"


def _posix(path: PurePosixPath) -> str:
    return str(path).removeprefix(".")


def _photo_names(folder: Path, files: Iterable[str]) -> Iterator[str]:
    """Which files are photos, in order: those called so, and of the rest those that begin like one."""
    known = suffixes() | RAW_SUFFIXES
    for name in sorted(files):
        ending = os.path.splitext(name)[1].lower()
        if not name.startswith(".") and (
            ending in known or (ending not in NEVER_PHOTOS and called_or_is_picture(folder / name))
        ):
            yield name


def _divided(whole: PhotoGroup, layout: Layout, notes: Path) -> Iterator[PhotoGroup]:
    """The sets of a folder or a shard, by the rule of `Layout`."""
    if layout.column:
        values: dict[str, list[str]] = {}
        for name in whole.files:
            key = str(PurePosixPath(whole.below, name))
            values.setdefault(whole.columns.values.get(key, "") if whole.columns else "", []).append(name)
        parts = [(_joined(whole.name, fitting_name(value.replace("/", "-"))), files) for value, files in values.items()]
        for name, files in parts:
            yield from _by_number(replace(whole, name=name, files=tuple(files)), layout, notes)
        return
    yield from _by_number(whole, layout, notes)


def _by_number(whole: PhotoGroup, layout: Layout, notes: Path) -> Iterator[PhotoGroup]:
    parts: Sequence[Sequence[int]] = in_order(len(whole.files), layout.group_size)
    if len(parts) == 1:
        yield whole
        return
    if layout.groups == "similar":
        parts = _similar(whole, layout, notes)
    for number, part in enumerate(parts, 1):
        files = tuple(whole.files[index] for index in part)
        yield replace(whole, name=_joined(whole.name, f"group-{number:05}"), files=files)


def _similar(whole: PhotoGroup, layout: Layout, notes: Path) -> list[list[int]]:
    """`alike`, looked up in `notes` if these files were looked at before: every photo has to be opened for it."""
    note = notes / f"similar-{digest([whole.name, whole.files, whole.stats(), layout.group_size])[:16]}.json"
    notes.mkdir(parents=True, exist_ok=True)
    with FileLock(notes / "lock"):  # one process looks, the others wait for what it finds
        if (known := _noted_groups(note)) is None:
            looks = looks_of([whole.place / name for name in whole.files])
            known = alike(looks, layout.group_size)
            write_json(note, {"groups": known})
    return known


def _noted_groups(note: Path) -> list[list[int]] | None:
    """What was found out before; None if nothing was, or the note of it is damaged."""
    try:
        return json.loads(note.read_text(encoding="utf-8"))["groups"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _list_shards(source: Path, shards: Sequence[Path], layout: Layout) -> Listing:
    groups: list[PhotoGroup] = []
    beside = sorted(path.name for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
    notices = [
        f"{shown(name)!r} is a folder beside shards: passed over; give it as a source of its own if it holds photos or shards"
        for name in beside
        if not name.startswith(".")
    ]
    if layout.groups == "similar" or layout.column:
        raise InvalidInput(
            "expected --groups size or one, and no --column, for shards, whose photos lie in the order of their own"
        )
    for shard in shards:
        found = contents(shard)
        notices += [
            f"{shown(shard.name)!r} holds {shown(name)!r} {count} times: the last of them is taken, as by tar"
            for name, count in found.repeated.items()
        ]
        if found.links:
            such = shown(found.links[0])
            notices.append(
                f"{shown(shard.name)!r} holds {len(found.links)} links, such as {such!r}: passed over; pack the files themselves"
            )
        if not found.ended:
            notices.append(
                f"{shown(shard.name)!r} has no mark at its end: it may have been cut off, and hold fewer photos than it did"
            )
        if not found.photos:
            notices.append(f"{shown(shard.name)!r} holds no file that is called like a photo")
        else:
            whole = PhotoGroup(_safe(shard.stem), shard, found.photos, shard.name)
            groups += _by_number(whole, replace(layout, groups="size"), shard.parent)
    return Listing(groups, notices=tuple(notices))


def _joined(folder: str, name: str) -> str:
    return _safe(f"{folder}/{name}" if folder else name)


def _safe(name: str) -> str:
    """A folder's place in the output: not where the twins of another set, the records or a photo would lie, and not hidden."""
    parts = [shown(part) for part in name.split("/") if part not in ("", ".", "..")]
    parts = [f"_{part}" if part.startswith(".") else part for part in parts]
    return "/".join(
        f"{part}_" if part.casefold() in RESERVED or part.lower().endswith(".png") else part for part in parts
    )


def known_digest(path: Path) -> str:
    """SHA-256 of a photo's file, "" if it is gone or cannot be read."""
    try:
        return file_digest(path) if path.is_file() else ""
    except OSError:
        return ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # what no system takes for a path: half a pair, a zero byte, too long a name
        return False


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
