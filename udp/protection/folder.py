"""A protected set on disk: the photos, the controls of a trial beside them, and a manifest of every setting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from udp.decoding import suffixes
from udp.digests import digest, photos_digest, weights_digest
from udp.errors import InvalidInput
from udp.files import MANIFEST, finished, finishing, versions, write_json
from udp.language import ENGLISH, Text
from udp.models.base import DiffusionModel
from udp.photos import Photo, read_photo, write_png
from udp.progress import OnProgress, Progress, Stage, ignore_progress
from udp.protection.base import ProtectionMethod
from udp.protection.methods import RandomNoise
from udp.protection.visibility import visibility
from udp.settings import describe_settings, for_model, publish_settings

CONTROLS = "controls"
UNFINISHED = "unfinished.json"  # lies in a folder while a set is written to it, and after a kill


@dataclass(frozen=True)
class Protection:
    """Photos before and after, in pairs, and all that led from one to the other: a result that writes itself.

    `method` has what suits the model's size filled in, `model` is the model's name. `random` are the photos with noise of the
    same budget, empty where nobody compares; `left_out` says of files that could not be protected why.
    """

    originals: Sequence[Photo]
    protected: Sequence[Photo]
    method: ProtectionMethod
    model: str
    prompt: str
    seed: int
    random: Sequence[Photo] = ()
    left_out: Sequence[Text | str] = ()

    @classmethod
    def make(
        cls,
        photos: Sequence[Photo],
        method: ProtectionMethod,
        model: DiffusionModel,
        prompt: str,
        seed: int,
        on_progress: OnProgress = ignore_progress,
        masks: Sequence[np.ndarray | None] | None = None,
        left_out: Sequence[Text | str] = (),
    ) -> Protection:
        """Protect `photos`; raises what `ProtectionMethod.__call__` does."""
        method = for_model(method, model.small)
        protected = method(photos, model, prompt, seed, on_progress, masks)
        return cls(photos, protected, method, model.name, prompt, seed, left_out=left_out)

    def with_control(self, model: DiffusionModel, masks: Sequence[np.ndarray | None] | None = None) -> Protection:
        """The same with `random` drawn."""
        return replace(self, random=self.control(model, self.prompt, self.seed, masks))

    def control(
        self, model: DiffusionModel, prompt: str, seed: int, masks: Sequence[np.ndarray | None] | None = None
    ) -> list[Photo]:
        """The originals with random noise that may change each pixel as much as the method may."""
        return RandomNoise.beside(self.method)(self.originals, model, prompt, seed, masks=masks)

    @property
    def arms(self) -> dict[str, list[Photo]]:
        """The sets of a trial, by the names of its arms."""
        return {"clean": list(self.originals), "random": list(self.random), "protected": list(self.protected)}

    def manifest(self) -> dict[str, Any]:
        """Every setting, and the visibility of every photo's perturbation, as JSON values."""
        return {
            "method": self.method.name,
            "reference": self.method.reference,
            "settings": publish_settings(self.method),
            "budget_levels_of_255": round(self.method.budget * 255, 3),
            "model": Path(self.model).name,
            "prompt": self.prompt,
            "seed": self.seed,
            "versions": versions(),
            "photos": [
                {"file": f"{after.name}.png", "original": {"file": before.file, "sha256": photos_digest([before])},
                 "size": list(before.size), "notes": list(map(ENGLISH.say, before.notes)),
                 **visibility(before, after)}
                for before, after in zip(self.originals, self.protected, strict=True)
            ],
            **({"left_out": list(map(ENGLISH.say, self.left_out))} if self.left_out else {}),
        }  # fmt: skip

    def write(self, folder: Path) -> dict[str, Any]:
        """Protected PNGs and the manifest in `folder`, the sets to compare them with in `folder`/controls.

        They replace what an earlier run wrote there, whatever its photos were called.
        Returns the manifest.
        """
        manifest = self.manifest()
        folder.mkdir(parents=True, exist_ok=True)
        stale = earlier_photos(folder)
        # First, so that the next run knows what a killed one has left; the manifest comes last.
        names = dict.fromkeys([*(path.name for path in stale), *(row["file"] for row in manifest["photos"])])
        write_json(folder / UNFINISHED, {"photos": [{"file": name} for name in names]})
        (folder / MANIFEST).unlink(missing_ok=True)
        for path in stale:
            path.unlink(missing_ok=True)
        for place, photos in ((folder, self.protected), (folder / CONTROLS / "clean", self.originals),
                              (folder / CONTROLS / "random", self.random)):  # fmt: skip
            place.mkdir(parents=True, exist_ok=True)
            for photo in photos:
                write_png(place / f"{photo.name}.png", photo)
        write_json(folder / MANIFEST, manifest)
        (folder / UNFINISHED).unlink()
        return manifest


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
    if kept := finished(mark, key, lambda _: _kept(folder, photos)):
        on_progress(Progress(Stage.PROTECTED_EARLIER, 1, 1))
        return Protection(photos, kept, method, model.name, prompt, seed).with_control(model).arms
    made = Protection.make(photos, method, model, prompt, seed, on_progress).with_control(model)
    with finishing(mark, key):
        for stale in [*folder.glob("*.png"), *(folder / CONTROLS).glob("*/*.png")]:
            stale.unlink()
        made.write(folder)
    return made.arms


def _kept(folder: Path, photos: Sequence[Photo]) -> list[Photo] | None:
    """The protected photos that `folder` holds, None if one is of another size; raises `UnreadablePhoto`."""
    kept = [read_photo(folder / f"{photo.name}.png") for photo in photos]
    sound = all(a.size == b.size for a, b in zip(kept, photos, strict=True))
    return [replace(a, name=b.name) for a, b in zip(kept, photos, strict=True)] if sound else None
