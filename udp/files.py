"""Files that are complete or absent, results on disk that are made once, and what every manifest says."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from udp.errors import InvalidInput

MANIFEST = "manifest.json"
HALVES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")  # surrogates but for those that stand for bytes of a file's name
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


def typed_path(path: str | Path) -> Path:
    """A path that somebody typed. "~" is the home folder: a shell leaves it in `--out=~/x`, and Python does everywhere."""
    found = Path(path)
    try:
        return found.expanduser() if str(path).startswith("~") and not found.exists() else found
    except (OSError, RuntimeError):  # too long a name; nobody's home
        return found


def shown(text: str) -> str:
    """A text that can be written anywhere: what is not UTF-8 in the name of a file, and halves of pairs that JSON may hold, become
    question marks in diamonds.
    """
    return HALVES.sub("\ufffd", text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def probe(out: Path, folders: Sequence[Path] = (), files: Sequence[Path] = ()) -> None:
    """Find out before the work whether its results can be written. Raises `InvalidInput`; leaves nothing behind.

    `folders` and `files` will be written in `out`: what is of the other kind there would be found in the way at the end.
    """
    made: list[Path] = []
    try:
        parents = (out, *out.absolute().parents)
        nearest = next(place for place in parents if place.exists())
        if not nearest.is_dir():
            raise InvalidInput(
                f"expected the output folder (--out) to be a folder, new or old, got the file {str(nearest)!r}"
            )
        made = [place for place in parents if not place.exists()]
        for again in (True, False):
            try:
                out.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=out) as file:  # no name, if the system can: a kill leaves none of it
                    file.write(b"\0" * 4096)
                    file.flush()
                break
            except FileNotFoundError:  # another process that tried the same new folder has just taken it away again
                if not again:
                    raise
        wrong = [place for place in folders if place.exists() and not place.is_dir()]
        wrong += [place for place in files if place.is_dir()]
        if wrong:
            kinds = ("folder", "file") if wrong[0] in folders else ("file", "folder")
            raise InvalidInput(
                f"expected {wrong[0].name!r} in the output folder {str(out)!r} (--out) to be a {kinds[0]}, new or old, got a {kinds[1]}: choose "
                "another folder for the results"
            )
    except InvalidInput:
        raise
    except (OSError, ValueError) as error:  # a ValueError: a zero byte in the name
        raise InvalidInput(
            f"expected the output folder (--out) to be a folder that can be written to, got {str(out)[:200]!r}: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error
    finally:
        for place in made:
            with contextlib.suppress(OSError, ValueError):
                place.rmdir()


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
