"""Files that are complete or absent, results on disk that are made once, and what every manifest says."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

MANIFEST = "manifest.json"
Result = TypeVar("Result")


def versions() -> dict[str, str]:
    """Versions of the packages that decide results."""
    return {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers", "peft")}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Indented JSON in UTF-8, written whole."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that is either absent, old or complete, whenever the process is killed. A text is written as UTF-8."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write to, which takes that of `path` once all of it is there; nothing is left of it otherwise."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def finished(mark: Path, key: Any, read: Callable[[dict[str, Any]], Result]) -> Result | None:
    """A result on disk by what `read` makes of its mark, written by `finishing` with the same `key`.

    None, so that it is made again, if it was made from something else, was never finished, or is damaged in any part.
    """
    try:
        text = mark.read_text(encoding="utf-8")
        content = json.loads(text) if mark.suffix == ".json" else {"key": text.strip()}
        return read(content) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError):
        return None


@contextlib.contextmanager
def finishing(mark: Path, key: Any) -> Iterator[dict[str, Any]]:
    """Around the writing of a result's files: there is no mark before its end, so a killed run leaves none.

    `key` is a JSON value that is equal for equal results, such as a digest of all that the result is made from. A mark
    called *.json has it beside what is put into the dictionary given here; another is a text and holds it alone.
    """
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    content: dict[str, Any] = {"key": key}
    yield content
    if mark.suffix == ".json":
        write_json(mark, content)
    else:
        write_whole(mark, f"{key}\n")
