"""WebDataset shards read: what is in a tar, what is said of its photos there, and the photos themselves."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from udp.errors import InvalidInput


def members(shard: Path) -> list[str]:
    """The files in a tar, in order. Raises `InvalidInput` if it is none."""
    try:
        with tarfile.open(shard) as tar:
            return [member.name for member in tar if member.isfile()]
    except (OSError, tarfile.TarError) as error:
        raise InvalidInput(f"expected {shard.name!r} to be a tar that can be read, got: {error}") from error


def sample_of(name: str) -> str:
    """The key of the sample that a member belongs to: its path up to the first dot of its name."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def samples(shard: Path, files: Sequence[str]) -> list[dict[str, Any]]:
    """JSON and texts beside photos in a shard: the fields of the one, the other under its ending."""
    wanted = {sample_of(name): dict[str, Any]() for name in files}
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
            found.update(value if isinstance(value, dict) else {ending: value})
    return [wanted[sample_of(name)] for name in files]


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
