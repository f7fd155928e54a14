"""What lies beside photos and says what they show, as trainers read it: text files, metadata.jsonl, names of folders."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from udp.files import shown

METADATA = "metadata.jsonl"  # Hugging Face's ImageFolder: an object a line, with the file's name and its text
KEYS = ("text", "caption", "prompt")
# kohya's layout: a folder of folders, each called after how often its photos are repeated and what they show.
REPEATED = re.compile(r"\d{1,3}_(?P<words>.*\S)")
MOST_BYTES = 100_000  # a larger text is no caption


def caption_of(photo: Path) -> str:
    """The caption of the file `photo`, empty if there is none.

    A text file that is called like it counts first, then its line in metadata.jsonl, then the name of its folder, if that is one
    of `repeated_folders`.
    """
    beside = photo.with_suffix(".txt")
    if beside != photo and (found := _content(beside)[0]):
        return " ".join(found.split())
    rows = _rows(photo.parent / METADATA)
    if found := rows.get(photo.name) or rows.get(photo.stem):
        return found
    named = REPEATED.fullmatch(photo.parent.name)
    return named["words"] if named and repeated_folders(photo.parent.parent) else ""


def unread_caption(photo: Path) -> str:
    """Why the text file that is called like the file `photo` could not be read, empty if it could or there is none."""
    beside = photo.with_suffix(".txt")
    return _content(beside)[1] if beside != photo else ""


def captions_beside(files: list[Path]) -> set[str]:
    """The names of the files that are captions of `files`, of one folder."""
    return {METADATA, *(file.with_suffix(".txt").name for file in files)}


def repeated_folders(folder: Path) -> list[Path]:
    """The folders in `folder` if all of them are called as in kohya's layout ("10_sks person"), else none."""
    try:
        below = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return below if all(REPEATED.fullmatch(path.name) for path in below) else []


def _content(file: Path) -> tuple[str, str]:
    """What a text file holds, and why it cannot be read; both are empty for one that is not there."""
    try:
        if not file.is_file():
            return "", "it is a link to nothing" if file.is_symlink() else ""
        if (size := file.stat().st_size) > MOST_BYTES:
            return "", f"it has {size:,} bytes, more than the {MOST_BYTES:,} of a caption"
        return file.read_text(encoding="utf-8-sig").strip(), ""
    except OSError as error:
        return "", error.strerror or str(error)
    except ValueError:
        return "", "it is not UTF-8"


def _rows(file: Path) -> dict[str, str]:
    try:
        return _read_rows(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=4)
def _read_rows(file: Path, changed: int) -> dict[str, str]:
    """Captions by the names of files, with their endings and without; `changed` lets a new version be read."""
    found: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8-sig", errors="replace").split("\n"):  # JSON may hold other ends of lines
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
            continue
        text = next((row[key] for key in KEYS if isinstance(row.get(key), str) and row[key].strip()), "")
        if text:
            name = Path(row["file_name"])
            if name.parent != Path():  # of a photo in a folder below, whose name another here may have too
                continue
            found |= dict.fromkeys((name.name, name.stem), shown(" ".join(text.split())))
    return found
