"""The rows of the index: what is ours in them, and what the source says of a photo besides."""

from __future__ import annotations

from typing import Any

from udp.catalogue.listing import PhotoGroup
from udp.files import shown, versions
from udp.protection.output import CONTROLS
from udp.version import __version__

OURS = (
    "file_name",
    "clean_file_name",
    "original",
    "original_sha256",
    "set",
    "method",
    "budget_levels",
    "largest_difference_levels",
    "psnr_db",
    "ssim",
    "model",
    "seed",
    "version",
)
PICTURES = ("image", "clean")  # what Hugging Face's ImageFolder makes of our two names of files


def made_row(
    name: str, manifest: dict[str, Any], row: dict[str, Any], original: str, sha256: str, twins: bool
) -> dict[str, Any]:
    """What the index says of a photo of the set `name`, by the row of the set's manifest; `twins` if its clean one is there."""
    folder = f"{name}/" if name else ""
    return {
        "file_name": folder + row["file"],
        **({"clean_file_name": f"{folder}{CONTROLS}/clean/{row['file']}"} if twins else {}),
        "original": original,
        "original_sha256": sha256,
        "set": name,
        "method": manifest["method"],
        "budget_levels": manifest["budget_levels_of_255"],
        "largest_difference_levels": row["largest_difference_levels"],
        "psnr_db": row["psnr_db"],
        "ssim": row["ssim"],
        "model": manifest["model"],
        "seed": manifest["seed"],
        "version": f"udp {__version__}, torch {versions()['torch']}",
    }


def with_columns(row: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A row with what the source says now, `more`, in place of what it said before. Columns keep their names unless ours are
    called so, or a reader would look for a file by them.
    """
    ours = {key: row[key] for key in OURS if key in row}
    taken = {*OURS, *PICTURES}
    return {**ours, **{f"source_{key}" if key in taken else key: value for key, value in _written(more).items()}}


def _written(value: Any) -> Any:
    """A JSON value that can be written and read anywhere.

    Hugging Face's ImageFolder opens what a column `mask_file_name` names, at any depth, and fails where that is not there. Only
    photos are in the output, so such a column goes on as text, called `mask_file`.
    """
    if isinstance(value, dict):
        return {_plain(shown(key)): _written(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(_written, value))
    return shown(value) if isinstance(value, str) else value


def _plain(key: str) -> str:
    for ending, plain in (("file_name", "file"), ("file_names", "files")):
        if key == ending or key.endswith(f"_{ending}"):
            return key.removesuffix(ending) + plain
    return key


def rows_now(note: dict[str, Any], group: PhotoGroup) -> list[dict[str, Any]]:
    """The rows of a finished set as the source tells of its photos now, by the note that was made when it was protected.

    Raises `InvalidInput` if a metadata.jsonl is none any more.
    """
    if note.get("told_by") in (None, group.told_by()):  # None: a note of an earlier version, which knows no more
        return note["rows"]
    if not group.same_photos(note):  # of a set in a shard, which is not made again: its rows are of the old ones
        return note["rows"]
    more = group.more()
    return [with_columns(row, more[index]) for row, index in zip(note["rows"], note["of"], strict=True)]
