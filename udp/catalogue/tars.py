"""WebDataset shards read: what is in a tar, what is said of its photos there, and the photos themselves.

A tar may hold a name more than once; as for everything that unpacks one, the last of them counts.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from udp.errors import InvalidInput


def members(shard: Path) -> dict[str, int]:
    """The names of the files in a tar, in order, and how often each is there. Raises `InvalidInput` if it is none."""
    try:
        with tarfile.open(shard) as tar:
            return Counter(member.name for member in tar if member.isfile())
    except (OSError, tarfile.TarError) as error:
        raise InvalidInput(f"expected {shard.name!r} to be a tar that can be read, got: {error}") from error


def sample_of(name: str) -> str:
    """The key of the sample that a member belongs to: its path up to the first dot of its name."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def samples(shard: Path, files: Sequence[str]) -> list[dict[str, Any]]:
    """JSON and texts beside photos in a shard: the fields of the one, the other under its ending."""
    wanted = {sample_of(name): dict[str, dict[str, Any]]() for name in files}
    with tarfile.open(shard) as tar:
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
    with tarfile.open(shard) as tar:
        for member in tar:
            if member.isfile() and member.name in found:
                found[member.name] = hashlib.file_digest(tar.extractfile(member), "sha256").hexdigest()
    return list(found.values())
