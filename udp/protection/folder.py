"""A protected set on disk: the photos, the controls of a trial beside them, and a manifest of every setting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from udp.decoding import suffixes
from udp.digests import digest, photos_digest, weights_digest
from udp.errors import InvalidInput, UnreadablePhoto
from udp.files import MANIFEST, versions, write_json, write_whole
from udp.models.base import DiffusionModel
from udp.photos import Photo, read_photo, write_png
from udp.progress import OnProgress, Progress, Stage, ignore_progress
from udp.protection.base import ProtectionMethod
from udp.protection.methods import RandomNoise
from udp.protection.visibility import visibility
from udp.settings import describe_settings, for_model

CONTROLS = "controls"
UNFINISHED = "unfinished.json"  # lies in a folder while a set is written to it, and after a kill


def protection_manifest(
    originals: Sequence[Photo], protected: Sequence[Photo], method: ProtectionMethod, model: str, prompt: str, seed: int
) -> dict[str, Any]:
    """Every setting, and the visibility of every photo's perturbation, as JSON values."""
    return {
        "method": method.name,
        "reference": method.reference,
        "settings": describe_settings(method),
        "budget_levels_of_255": round(method.budget * 255, 3),
        "model": Path(model).name,
        "prompt": prompt,
        "seed": seed,
        "versions": versions(),
        "photos": [
            {"file": f"{after.name}.png", "original": {"file": before.file, "sha256": photos_digest([before])},
             "size": list(before.size), "notes": list(before.notes),
             **visibility(before, after)}
            for before, after in zip(originals, protected, strict=True)
        ],
    }  # fmt: skip


def earlier_photos(folder: Path) -> list[Path]:
    """What an earlier run of ours wrote to `folder`, finished or killed: the photos that it listed, and their controls."""
    names: list[str] = []
    for listed in (MANIFEST, UNFINISHED):
        try:
            rows = json.loads((folder / listed).read_text(encoding="utf-8"))["photos"]
            names += [Path(row["file"]).name for row in rows]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    names += [f"{name}.part" for name in names]
    places = (folder, folder / CONTROLS / "clean", folder / CONTROLS / "random")
    return [place / name for place in places for name in names if (place / name).is_file()]


def check_free(folder: Path) -> None:
    """Raise `InvalidInput` if pictures lie in `folder` that no manifest there lists: a trial would train on them too."""
    listed = set(earlier_photos(folder))
    for place in (folder, folder / CONTROLS / "clean", folder / CONTROLS / "random"):
        found = [path for path in sorted(place.glob("*")) if path.suffix.lower() in suffixes() and path not in listed]
        if found:
            raise InvalidInput(
                f"expected --out to be a new folder, or one that `protect` wrote, got {str(place)!r} with other pictures, "
                f"such as {found[0].name!r}: choose another folder"
            )


def write_protection(
    folder: Path,
    originals: Sequence[Photo],
    protected: Sequence[Photo],
    random: Sequence[Photo],
    manifest: dict[str, Any],
) -> None:
    """Protected PNGs and the manifest in `folder`; clean and random-noise PNGs for a trial in `folder`/controls.

    They replace what an earlier run wrote there, whatever its photos were called.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stale = earlier_photos(folder)
    # First, so that the next run knows what a killed one has left; the manifest comes last.
    names = dict.fromkeys([*(path.name for path in stale), *(row["file"] for row in manifest["photos"])])
    write_json(folder / UNFINISHED, {"photos": [{"file": name} for name in names]})
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in stale:
        path.unlink(missing_ok=True)
    for place, photos in ((folder, protected), (folder / CONTROLS / "clean", originals),
                          (folder / CONTROLS / "random", random)):  # fmt: skip
        place.mkdir(parents=True, exist_ok=True)
        for photo in photos:
            write_png(place / f"{photo.name}.png", photo)
    write_json(folder / MANIFEST, manifest)
    (folder / UNFINISHED).unlink()


def protect_once(
    folder: Path,
    photos: Sequence[Photo],
    method: ProtectionMethod,
    model: DiffusionModel,
    prompt: str,
    seed: int,
    on_progress: OnProgress = ignore_progress,
) -> dict[str, list[Photo]]:
    """The arms clean, random and protected; the protected set is computed once and read from `folder` after that.

    `folder` is one that `python -m udp attack --instance` reads too. Another method, seed, model or photo makes a new
    set.
    """
    method = for_model(method, model.small)
    key = digest({
        "method": [method.name, describe_settings(method)], "photos": photos_digest(photos), "prompt": prompt,
        "seed": seed, "weights": weights_digest(model.modules),
    })  # fmt: skip
    mark = folder / "key.txt"
    random = RandomNoise.beside(method)(photos, model, prompt, seed)
    if mark.is_file() and mark.read_text(errors="replace").strip() == key and (kept := _kept(folder, photos)):
        on_progress(Progress(Stage.PROTECTED_EARLIER, 1, 1))
        return {"clean": list(photos), "random": random, "protected": kept}
    protected = method(photos, model, prompt, seed, on_progress)
    mark.unlink(missing_ok=True)
    for stale in [*folder.glob("*.png"), *(folder / CONTROLS).glob("*/*.png")]:
        stale.unlink()
    manifest = protection_manifest(photos, protected, method, model.name, prompt, seed)
    write_protection(folder, photos, protected, random, manifest)
    write_whole(mark, key + "\n")
    return {"clean": list(photos), "random": random, "protected": protected}


def _kept(folder: Path, photos: Sequence[Photo]) -> list[Photo] | None:
    """The protected photos that `folder` holds, None if one is missing, damaged or of another size."""
    try:
        kept = [read_photo(folder / f"{photo.name}.png") for photo in photos]
    except UnreadablePhoto:
        return None
    sound = all(a.size == b.size for a, b in zip(kept, photos, strict=True))
    return [replace(a, name=b.name) for a, b in zip(kept, photos, strict=True)] if sound else None
