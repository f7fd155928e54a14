"""WebDataset shards read: what is in a tar, what is said of its photos there, and the photos themselves.

A tar may hold a name more than once; as for everything that unpacks one, the last of them counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import lzma
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from udp.decoding import RAW_SUFFIXES, is_picture, suffixes
from udp.errors import InvalidInput

NEVER_PHOTOS = frozenset({".json", ".jsonl", ".txt", ".csv", ".tar", ".md", ".html", ".part"})  # not opened to find out


DAMAGE = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)  # of a tar, and of a compressed one


@dataclass(frozen=True)
class Contents:
    """The table of a tar: its photos in order, files that it holds more than once and how often, links, and whether its end is marked."""

    photos: tuple[str, ...]
    repeated: dict[str, int]
    links: list[str]
    ended: bool


@contextlib.contextmanager
def _opened(shard: Path) -> Iterator[tarfile.TarFile]:
    """A tar to be read. Raises `InvalidInput` if it is none, or damaged where it is read."""
    try:
        with tarfile.open(shard) as tar:
            yield tar
    except DAMAGE as error:
        raise InvalidInput(f"expected {shard.name!r} to be a tar that can be read, got: {error}") from error


def contents(shard: Path) -> Contents:
    """What lies in a tar, but for hidden files. A photo is called so, or begins like one, and then has no ending that is known.

    Raises `InvalidInput` if it is no tar, or one that goes on behind its end.
    """
    photos, links, files = dict[str, None](), list[str](), Counter[str]()
    with _opened(shard) as tar:
        for member in tar:
            if any(_is_hidden(part) for part in PurePosixPath(member.name).parts):
                continue
            if member.issym() or member.islnk():
                links.append(member.name)
            elif member.isfile():
                files[member.name] += 1
                photos |= {member.name: None} if _is_photo(tar, member) else {}
        ended = _ends(shard, tar)
    return Contents(tuple(photos), {name: count for name, count in files.items() if count > 1}, links, ended)


def _is_hidden(part: str) -> bool:
    return part == "__MACOSX" or (part.startswith(".") and part not in (".", ".."))


def _is_photo(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    ending = PurePosixPath(member.name).suffix.lower()
    if ending in suffixes() | RAW_SUFFIXES:
        return True
    return ending not in NEVER_PHOTOS and is_picture(tar.extractfile(member).read(32))


def _ends(shard: Path, tar: tarfile.TarFile) -> bool:
    """Whether zeros follow the last member, as they have to. Raises `InvalidInput` if something else does: Python takes a header
    that is damaged for the end, and tars that were put together for the first of them.
    """
    tar.fileobj.seek(tar.offset)
    empty = True
    while block := tar.fileobj.read(1 << 20):
        empty = False
        if block.strip(b"\0"):
            raise InvalidInput(
                f"expected {shard.name!r} to be whole, got a tar with something behind its end: damaged, or two put together; unpack it "
                "with a program that forgives that, and pack it again"
            )
    return not empty


def sample_of(name: str) -> str:
    """The key of the sample that a member belongs to: its path up to the first dot of its name."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def samples(shard: Path, files: Sequence[str]) -> list[dict[str, Any]]:
    """JSON and texts beside photos in a shard: the fields of the one, the other under its ending."""
    wanted = {sample_of(name): dict[str, dict[str, Any]]() for name in files}
    with _opened(shard) as tar:
        for member in tar:
            found, ending = wanted.get(sample_of(member.name)), member.name.rpartition("/")[2].partition(".")[2]
            if found is None or not member.isfile() or ending not in ("json", "txt", "cls"):
                continue
            text = tar.extractfile(member).read().decode("utf-8", "replace")
            try:
                value = json.loads(text) if ending == "json" else text
            except ValueError:
                value = text
            found[member.name] = value if isinstance(value, dict) else {ending: value}
    return [{key: value for part in wanted[sample_of(name)].values() for key, value in part.items()} for name in files]


def unpack(shard: Path, files: Sequence[str], room: Path) -> list[Path]:
    """Each in a folder of its own, under the last part of its name: a path in a tar may lead anywhere."""
    places = {name: room / str(index) / PurePosixPath(name).name for index, name in enumerate(files)}
    with tarfile.open(shard) as tar:
        for member in tar:
            if member.isfile() and (place := places.get(member.name)):
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file)
    return list(places.values())


def member_digests(shard: Path, files: Sequence[str]) -> list[str]:
    """SHA-256 of each, "" for one that is not there, read where they lie: nothing is unpacked."""
    found = dict.fromkeys(files, "")
    if not shard.exists():
        return list(found.values())
    with (
        contextlib.suppress(*DAMAGE),
        tarfile.open(shard) as tar,
    ):  # one that is written anew is told when it is unpacked
        for member in tar:
            if member.isfile() and member.name in found:
                found[member.name] = hashlib.file_digest(tar.extractfile(member), "sha256").hexdigest()
    return list(found.values())
