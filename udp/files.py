"""Files that are complete or absent, and what every manifest says."""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def versions() -> dict[str, str]:
    """Versions of the packages that decide results."""
    return {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers", "peft")}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Indented JSON in UTF-8, written whole."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is either absent, old or complete, whenever the process is killed."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
