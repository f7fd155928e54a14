"""A folder of any size protected set after set: read when its turn comes, written when it is done, never done twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from udp.digests import digest
from udp.errors import InvalidInput
from udp.files import versions
from udp.models.base import DiffusionModel
from udp.photo_files import PhotoFile, PhotoFiles, file_digest, read_mask
from udp.progress import Count, OnProgress, Progress, Stage, counting, ignore_progress
from udp.protection.base import ProtectionMethod, check_mask
from udp.protection.division import divide, set_seed
from udp.protection.folder import Protection, describe
from udp.protection.output import Controls, OutputFolder, check_ready
from udp.settings import check_settings, check_text, describe_settings


def protect_files(
    photos: PhotoFiles,
    folder: Path,
    method: ProtectionMethod,
    model: DiffusionModel,
    prompt: str,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    masks: Sequence[Path | None] | None = None,
    controls: Controls = Controls.BOTH,
    most: int | None = None,
) -> dict[str, Any]:
    """Protect `photos` into `folder`, with the controls and the manifest, which is returned; see `divide` for the sets.

    A run that was ended in any way goes on with the first set that is not done when the same is asked for again, and gives
    the same bytes as one that was not. `masks` are files, one a photo or None; `most` is that of `divide`. Raises `InvalidInput` if other
    pictures lie in `folder` and what `ProtectionMethod.__call__` raises, `UnreadablePhoto` if a file has changed since it
    was looked at.
    """
    method = model.suited(method)
    check_settings(method)
    check_text("the prompt", prompt)  # it goes into the manifest, whatever the method makes of it
    check_ready(folder, [file.path for file in photos.files])
    masks = [None] * len(photos.files) if masks is None else masks
    if len(masks) != len(photos.files):
        raise InvalidInput(f"expected a mask or None for each of {len(photos.files)} photos, got {len(masks)}")
    check_masks(photos.files, masks)
    sets = divide([file.size for file in photos.files], most)
    seeds = [set_seed(seed, index) for index in range(len(sets))]
    made_by = [method.name, describe_settings(method), prompt, model.fingerprint, versions()]
    made_by += [controls] if controls != Controls.BOTH else []
    masked = [mask and file_digest(mask) for mask in masks]
    keys = [
        digest(
            [
                made_by,
                own,
                [_known_by(photos.files[i], masked[i]) for i in part],
            ]
        )
        for part, own in zip(sets, seeds, strict=True)
    ]
    output = OutputFolder(folder, [f"{file.name}.png" for file in photos.files], keys)

    def protect_one(index: int) -> list[dict[str, Any]]:
        """In a function of its own, so that nothing of a set is held while the next one is made."""
        part = sets[index]
        listen = counting(on_progress, Count(part.start, len(photos.files), index, len(sets)), len(part))
        if (rows := output.rows(keys[index])) is not None:
            listen(Progress(Stage.PROTECTED_EARLIER, 1, 1))
            return rows
        read = [photos.files[i].read() for i in part]
        painted = [mask and read_mask(mask) for mask in (masks[i] for i in part)]
        made = Protection.make(read, method, model, prompt, seeds[index], listen, painted)
        arms = [made.protected]
        if controls != Controls.NONE:
            arms.append(made.originals)
        if controls == Controls.BOTH:
            arms.append(made.with_control(model, painted).random)
        output.write(keys[index], rows := made.rows(), arms)
        return rows

    rows = [row for index in range(len(sets)) for row in protect_one(index)]
    told = [{"photos": len(part), "seed": own} for part, own in zip(sets, seeds, strict=True)]
    manifest = describe(method, model.name, prompt, seed, rows, photos.skipped, told)
    output.finish(manifest)
    return manifest


def _known_by(file: PhotoFile, mask: str | None) -> list[str | None]:
    """All of a photo that decides what becomes of it."""
    return [file.name, file.file, file.sha256, mask, *([file.caption] if file.caption else [])]


def check_masks(files: Sequence[PhotoFile], masks: Sequence[Path | None]) -> None:
    """Raise what a method would of a mask that does not fit, before the first set and not hours later."""
    for file, mask in zip(files, masks, strict=True):
        if mask is not None:
            check_mask(file.name, file.size, read_mask(mask))
