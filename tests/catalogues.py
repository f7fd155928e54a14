"""What tests of catalogues ask of a folder of results, and put into one of photos."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    """The files, at any depth."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def times(folder: Path) -> dict[str, int]:
    """When each PNG was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def rows(out: Path) -> list[dict]:
    """The rows of the index."""
    return [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]


def write_rows(source: Path, *found: dict) -> None:
    """A metadata.jsonl."""
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def write_tar(path: Path, *found: tuple[str, bytes]) -> None:
    """A tar of these names and contents, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in found:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
