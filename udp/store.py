"""Finished work on disk: cells of the lab and protected sets, each with the digest of the settings that made it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from udp.evaluate import Arm
from udp.images import list_photos, read_photos
from udp.lab import digest, photos_digest, weights_digest
from udp.models import DiffusionModel
from udp.protect import ProtectionMethod, RandomNoise
from udp.reports import CONTROLS, protection_manifest, write_protection
from udp.types import OnProgress, Photo, Progress, describe_settings, for_model, ignore_progress


@dataclass(frozen=True)
class FolderStore:
    """A `Store`: one JSON a cell, with its pictures as PNGs beside it. The JSON comes last and appears whole."""

    folder: Path

    def load(self, name: str, key: str) -> Arm | None:
        """See `Store.load`."""
        place = self._place(name)
        if not place.is_file():
            return None
        content = json.loads(place.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        images = tuple(np.asarray(Image.open(self.folder / file).convert("RGB")) for file in content["images"])
        figures = content["figures"]
        intervals = {name: tuple(ends) for name, ends in content["intervals"].items()}
        return Arm(content["arm"], images, tuple(content["losses"]), figures, (figures,), intervals)

    def save(self, name: str, key: str, arm: Arm) -> None:
        """See `Store.save`."""
        place = self._place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        files = [f"{place.stem}-{index}.png" for index in range(len(arm.images))]
        for file, image in zip(files, arm.images, strict=True):
            Image.fromarray(image).save(self.folder / file)
        content = {
            "key": key, "arm": arm.name, "figures": arm.metrics, "intervals": arm.intervals, "losses": arm.losses,
            "images": files,
        }  # fmt: skip
        _write_whole(place, json.dumps(content, indent=1) + "\n")

    def _place(self, name: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_+.-]', '_', name)}.json"


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
        "seed": seed, "weights": weights_digest(model),
    })  # fmt: skip
    mark = folder / "key.txt"
    random = RandomNoise.beside(method)(photos, model, prompt, seed)
    if mark.is_file() and mark.read_text().strip() == key:
        by_name = {photo.name: photo for photo in read_photos(list_photos(folder))}
        on_progress(Progress("protected earlier", 1, 1))
        return {"clean": list(photos), "random": random, "protected": [by_name[photo.name] for photo in photos]}
    protected = method(photos, model, prompt, seed, on_progress)
    mark.unlink(missing_ok=True)
    for stale in [*folder.glob("*.png"), *(folder / CONTROLS).glob("*/*.png")]:
        stale.unlink()
    manifest = protection_manifest(photos, protected, method, model.name, prompt, seed)
    write_protection(folder, photos, protected, random, manifest)
    _write_whole(mark, key + "\n")
    return {"clean": list(photos), "random": random, "protected": protected}


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is either absent, old or complete, whenever the process is killed."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
