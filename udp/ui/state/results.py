"""Results on disk: PNGs, previews, and ZIP archives with the full settings beside the pictures."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from udp.errors import InvalidInput
from udp.evaluation.arms import Report
from udp.evaluation.lab import Lab, LabReport
from udp.files import MANIFEST, write_whole
from udp.language import ENGLISH, Text
from udp.photos import Photo, PhotoSet, flattened, read_photo, read_photos, read_set, same_name, write_png
from udp.protection.base import ProtectionMethod
from udp.protection.budget import whole_levels
from udp.protection.folder import Protection
from udp.reports.card import card
from udp.reports.html import called
from udp.reports.lab import lab_manifest, write_lab
from udp.reports.pictures import grid
from udp.reports.trial import attack_manifest, learned_files, losses_table
from udp.settings import publish_settings

MOST_PHOTOS = 16
MOST_MEGAPIXELS = 200  # of all photos together: 4.2 GiB for 192 of them, by `benchmarks.folders`
PREVIEW_SIDE = 1400
CARD = "card.png"
THUMBNAIL_SIDE = 320
NAME_LENGTH = 80
KINDS = ("clean", "protected", "before", "after", "perturbation", "thumbnail")


@dataclass(frozen=True)
class SavedPhoto:
    """One photo before and after, as full-size PNGs, with previews no larger than `PREVIEW_SIDE`."""

    name: str
    size: tuple[int, int]
    clean: Path
    protected: Path
    before: Path
    after: Path
    perturbation: Path
    thumbnail: Path
    figures: dict[str, Any]
    notes: tuple[Text, ...]


@dataclass(frozen=True)
class SavedProtection:
    """A finished protection and where it lies.

    `gain` is how much the perturbation pictures are amplified; `example` names the example set, if it was one.
    """

    photos: tuple[SavedPhoto, ...]
    method: ProtectionMethod
    gain: float
    archive: Path
    prompt: str
    seed: int
    example: str = ""
    skipped: tuple[Text | str, ...] = ()
    model: str = ""

    def load(self) -> tuple[list[Photo], list[Photo]]:
        """The clean and the protected photos, read back."""
        return [read_photo(p.clean) for p in self.photos], [read_photo(p.protected) for p in self.photos]


def take_photos(paths: Sequence[str | Path] | None) -> list[Photo]:
    """Open a visitor's files, named safely. Raises `InvalidInput` for none, too many or too large, and for bad files."""
    return _safely(read_photos(paths or [], most=MOST_PHOTOS))


def take_readable(paths: Sequence[str | Path] | None) -> PhotoSet:
    """The same, leaving out the files that cannot be read unless all of them are; a sentence says why of each."""
    found = read_set(paths or [], most=MOST_PHOTOS)
    return replace(found, photos=_safely(found.photos))


def _safely(photos: Sequence[Photo]) -> list[Photo]:
    pixels = sum(photo.size[0] * photo.size[1] for photo in photos)
    if pixels > MOST_MEGAPIXELS * 1_000_000:
        raise InvalidInput(
            f"expected at most {MOST_MEGAPIXELS} megapixels in all photos together, got {pixels / 1e6:.0f}: use fewer or "
            "smaller photos"
        )
    return [replace(photo, name=name) for photo, name in zip(photos, safe_names(p.name for p in photos), strict=True)]


def safe_names(names: Iterable[str]) -> list[str]:
    """File names (no suffix) safe on every system: letters, digits, ".", "-", "_", unique whatever the case."""
    taken: set[str] = set()
    result = []
    for name in names:
        base = re.sub(r"[^\w.-]+", "_", name).strip("._-")[:NAME_LENGTH] or "photo"
        candidate, number = base, 2
        while same_name(candidate) in taken:
            candidate, number = f"{base}-{number}", number + 1
        taken.add(same_name(candidate))
        result.append(candidate)
    return result


def shrink(pixels: np.ndarray, longest: int) -> Image.Image:
    """An image no larger than `longest` on its longer side."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return image


def save_preview(photo: Photo, longest: int, path: Path) -> None:
    """A small PNG in the photo's own colour space, without which wide colours look dull."""
    shrink(photo.pixels, longest).save(path, icc_profile=photo.icc_profile)


def save_thumbnails(photos: Sequence[Photo], folder: Path) -> list[Path]:
    """Small upright PNGs for a gallery."""
    paths = [folder / f"{photo.name}.png" for photo in photos]
    for path, photo in zip(paths, photos, strict=True):
        save_preview(flattened(photo), THUMBNAIL_SIDE, path)
    return paths


def amplify(original: np.ndarray, protected: np.ndarray, gain: float) -> np.ndarray:
    """Mid-gray plus the perturbation times `gain`, uint8."""
    difference = protected.astype(np.float32) - original
    return np.clip(np.rint(128 + gain * difference), 0, 255).astype(np.uint8)


def save_protection(made: Protection, folder: Path, example: str = "") -> SavedProtection:
    """Write PNGs, previews and the ZIP (protected PNGs and the manifest) into `folder`."""
    gain = 127 / whole_levels(made.method.budget)
    manifest = made.manifest()
    for kind in KINDS:
        (folder / kind).mkdir()
    saved = []
    for old, new, figures in zip(made.originals, made.protected, manifest["photos"], strict=True):
        at = {kind: folder / kind / f"{new.name}.png" for kind in KINDS}
        write_png(at["clean"], old)
        write_png(at["protected"], new)
        save_preview(flattened(old), PREVIEW_SIDE, at["before"])
        save_preview(flattened(new), PREVIEW_SIDE, at["after"])
        shrink(amplify(old.pixels, new.pixels, gain), PREVIEW_SIDE).save(at["perturbation"])
        save_preview(flattened(new), THUMBNAIL_SIDE, at["thumbnail"])
        saved.append(SavedPhoto(new.name, old.size, figures=figures, notes=old.notes, **at))
    archive = folder / "protected-photos.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:  # a PNG does not compress further
        for photo in saved:
            bundle.write(photo.protected, f"{photo.name}.png")
        bundle.writestr(MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False))
    return SavedProtection(
        tuple(saved), made.method, gain, archive, made.prompt, made.seed, example, tuple(made.left_out), made.model
    )


def save_attack(
    report: Report,
    model: str,
    protection: ProtectionMethod | None,
    folder: Path,
    warnings: Sequence[Text] = (),
) -> tuple[dict[str, list[Path]], Path]:
    """Write every arm's pictures, a grid, a card, losses.csv, report.json and what was learned into a ZIP.

    Returns pictures by arm, and the ZIP.
    """
    arms = (report.base, *report.arms)
    pictures: dict[str, list[Path]] = {}
    for arm in arms:
        (folder / arm.name).mkdir()
        pictures[arm.name] = [
            folder / arm.name / f"seed-{report.trial.seed + index}.png" for index in range(len(arm.images))
        ]
        for path, image in zip(pictures[arm.name], arm.images, strict=True):
            Image.fromarray(image).save(path)
    grid({called(arm.name): arm.images for arm in arms}).save(folder / "grid.png")
    card(report, Path(model).name, protection).save(folder / CARD)
    write_whole(folder / "losses.csv", losses_table(report))
    content = attack_manifest(report, model, warnings)
    if protection:
        content["protection"] = {"method": protection.name, "settings": publish_settings(protection)}
    archive = folder / "attack.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:
        for arm_name, paths in pictures.items():
            for path in paths:
                bundle.write(path, f"pictures/{arm_name}/{path.name}")
        for name in ("grid.png", CARD, "losses.csv"):
            bundle.write(folder / name, name)
        for name, data in learned_files(report).items():
            bundle.writestr(name, data)
        bundle.writestr("report.json", json.dumps(content, indent=2, ensure_ascii=False))
    return pictures, archive


def robustness_rows(report: LabReport) -> list[dict[str, Any]]:
    """Of every cleaning what each arm learned, the effect, effect kept and verdict as JSON values; None where there is none."""
    return [
        {
            "recipe": row.recipe,
            "cleaning": row.cleaning,
            "learned": {arm: asdict(share) for arm, share in row.learned.items()},
            "effect": asdict(row.effect) if row.effect else None,
            "kept": asdict(row.kept) if row.kept else None,
            "verdict": ENGLISH.say(row.report.judgement.word),
        }
        for row in report.rows
    ]


def save_robustness(
    report: LabReport,
    lab: Lab,
    method: ProtectionMethod,
    known: bool,
    model: str,
    folder: Path,
    warnings: Sequence[Text] = (),
) -> tuple[list[tuple[Path, str]], Path]:
    """A grid of pictures for every cleaning, and a ZIP with the grids, report.html and report.json.

    `known` is False if the protection was made elsewhere, so that `method` tells its budget alone. Returns the grids with
    their cleanings, and the ZIP.
    """
    grids = []
    for row in report.rows:
        arms = (row.report.base, *row.report.arms)
        path = folder / f"{row.recipe}-{row.cleaning}.png"
        grid({called(arm.name): arm.images for arm in arms}).save(path)
        grids.append((path, row.cleaning))
    manifest = lab_manifest(report, lab, method, model, "How well the protection lasts", warnings)
    if not known:
        manifest["method"] = {"name": "unknown: uploaded photos", "budget": method.budget}
    write_lab(folder, report, manifest, {called(name): photos for name, photos in lab.arms.items()})
    files = [*(path for path, _ in grids), folder / "report.html", folder / "report.json"]
    return grids, pack(files, folder / "robustness.zip")


def pack(paths: Sequence[Path], archive: Path) -> Path:
    """A ZIP of files, flat."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:
        for path in paths:
            bundle.write(path, path.name)
    return archive
