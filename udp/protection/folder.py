"""A protected set on disk: the photos, the controls of a trial beside them, and a manifest of every setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from udp.digests import captioned_digest, digest, photos_digest
from udp.files import finished, finishing, versions
from udp.language import ENGLISH, Text
from udp.models.base import DiffusionModel
from udp.photos import Photo, read_photo
from udp.progress import OnProgress, Progress, Stage, ignore_progress
from udp.protection.base import ProtectionMethod
from udp.protection.division import by_sets
from udp.protection.methods import RandomNoise
from udp.protection.output import OutputFolder, check_free
from udp.protection.visibility import visibility
from udp.settings import describe_settings, publish_settings


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
        method = model.suited(method)
        protected = by_sets(method, photos, model, prompt, seed, on_progress, masks)
        return cls(photos, protected, method, model.name, prompt, seed, left_out=left_out)

    def with_control(self, model: DiffusionModel, masks: Sequence[np.ndarray | None] | None = None) -> Protection:
        """The same with `random` drawn."""
        return replace(self, random=self.control(model, self.prompt, self.seed, masks))

    def control(
        self, model: DiffusionModel, prompt: str, seed: int, masks: Sequence[np.ndarray | None] | None = None
    ) -> list[Photo]:
        """The originals with random noise that may change each pixel as much as the method may."""
        return by_sets(RandomNoise.beside(self.method), self.originals, model, prompt, seed, masks=masks)

    @property
    def arms(self) -> dict[str, list[Photo]]:
        """The sets of a trial, by the names of its arms."""
        return {"clean": list(self.originals), "random": list(self.random), "protected": list(self.protected)}

    def rows(self) -> list[dict[str, Any]]:
        """What the manifest says of each photo: its files, its notes and the visibility of its perturbation."""
        return [
            {"file": f"{after.name}.png", "original": {"file": before.file, "sha256": photos_digest([before])},
             "size": list(before.size), "notes": list(map(ENGLISH.say, before.notes)),
             **({"caption": before.caption} if before.caption else {}),
             **visibility(before, after)}
            for before, after in zip(self.originals, self.protected, strict=True)
        ]  # fmt: skip

    def manifest(self) -> dict[str, Any]:
        """Every setting, and the visibility of every photo's perturbation, as JSON values."""
        return describe(self.method, self.model, self.prompt, self.seed, self.rows(), self.left_out)

    def write(self, folder: Path) -> dict[str, Any]:
        """Protected PNGs and the manifest in `folder`, the sets to compare them with in `folder`/controls.

        They replace what an earlier run wrote there, whatever its photos were called.
        Returns the manifest.
        """
        manifest = self.manifest()
        output = OutputFolder(folder, [row["file"] for row in manifest["photos"]])
        output.write("all", manifest["photos"], (self.protected, self.originals, self.random))
        output.finish(manifest)
        return manifest


def describe(
    method: ProtectionMethod,
    model: str,
    prompt: str,
    seed: int,
    rows: Sequence[dict[str, Any]],
    left_out: Sequence[Text | str] = (),
    sets: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The manifest of a protected set as JSON values; `sets` say how it was divided, if it was."""
    return {
        "method": method.name,
        "reference": method.reference,
        "settings": publish_settings(method),
        "budget_levels_of_255": round(method.budget * 255, 3),
        "model": Path(model).name,
        "prompt": prompt,
        "seed": seed,
        "versions": versions(),
        **({"sets": list(sets)} if len(sets) > 1 else {}),
        "photos": list(rows),
        **({"left_out": list(map(ENGLISH.say, left_out))} if left_out else {}),
    }


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
    set. Raises `InvalidInput` if pictures of somebody else's lie in `folder`, and what `ProtectionMethod.__call__` does.
    """
    method = model.suited(method)
    key = digest({
        "method": [method.name, describe_settings(method)], "photos": captioned_digest(photos), "prompt": prompt,
        "seed": seed, "weights": model.fingerprint,
    })  # fmt: skip
    mark = folder / "key.txt"
    check_free(folder)
    if kept := finished(mark, key, lambda _: _kept(folder, photos)):
        on_progress(Progress(Stage.PROTECTED_EARLIER, 1, 1))
        return Protection(photos, kept, method, model.name, prompt, seed).with_control(model).arms
    made = Protection.make(photos, method, model, prompt, seed, on_progress).with_control(model)
    with finishing(mark, key):
        made.write(folder)
    return made.arms


def _kept(folder: Path, photos: Sequence[Photo]) -> list[Photo] | None:
    """The protected photos that `folder` holds, None if one is of another size; raises `UnreadablePhoto`."""
    kept = [read_photo(folder / f"{photo.name}.png") for photo in photos]
    sound = all(a.size == b.size for a, b in zip(kept, photos, strict=True))
    return [replace(a, name=b.name, caption=b.caption) for a, b in zip(kept, photos, strict=True)] if sound else None
