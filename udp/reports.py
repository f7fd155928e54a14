"""Writing results to disk: PNGs, a manifest of every setting and figure, picture grids.

No times and no absolute paths go into a manifest, so the same seed on the same machine gives the same bytes.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from udp.evaluate import Report, Trial
from udp.finetune import Recipe
from udp.images import write_png
from udp.metrics import visibility
from udp.protect import ProtectionMethod
from udp.types import Photo, describe_settings

MANIFEST = "manifest.json"
CONTROLS = "controls"


def versions() -> dict[str, str]:
    """Versions of the packages that decide results."""
    return {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers", "peft")}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Indented JSON in UTF-8."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
            {"file": f"{after.name}.png", "size": list(before.size), "notes": list(before.notes),
             **visibility(before, after)}
            for before, after in zip(originals, protected, strict=True)
        ],
    }  # fmt: skip


def write_protection(
    folder: Path,
    originals: Sequence[Photo],
    protected: Sequence[Photo],
    random: Sequence[Photo],
    manifest: dict[str, Any],
) -> None:
    """Protected PNGs and the manifest in `folder`; clean and random-noise PNGs for a trial in `folder`/controls."""
    for place, photos in ((folder, protected), (folder / CONTROLS / "clean", originals),
                          (folder / CONTROLS / "random", random)):  # fmt: skip
        place.mkdir(parents=True, exist_ok=True)
        for photo in photos:
            write_png(place / f"{photo.name}.png", photo)
    write_json(folder / MANIFEST, manifest)


def attack_manifest(
    report: Report, recipe: Recipe, trial: Trial, model: str, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """Every setting, every arm's figures and the verdict, as JSON values; `warnings` are about the photos."""
    return {
        "recipe": recipe.name,
        "reference": recipe.reference,
        "settings": describe_settings(recipe),
        "trial": asdict(trial),
        "model": Path(model).name,
        "versions": versions(),
        "figures": {arm.name: arm.metrics for arm in (report.base, *report.arms)},
        "intervals": {arm.name: arm.intervals for arm in (report.base, *report.arms)},
        "basis": report.basis,
        "extractors": dict(report.extractors),
        "spread": {arm.name: arm.spread for arm in (report.base, *report.arms) if arm.spread},
        "verdict": asdict(report.judgement),
        "warnings": list(warnings),
    }


def write_attack(folder: Path, report: Report, manifest: dict[str, Any]) -> None:
    """Pictures of every arm, a grid, the losses as CSV and the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for arm in (report.base, *report.arms):
        rows[arm.name] = list(arm.images)
        for index, image in enumerate(arm.images):
            Image.fromarray(image).save(folder / f"{arm.name}-{index}.png")
    grid(rows).save(folder / "grid.png")
    write_losses(folder / "losses.csv", report)
    write_json(folder / MANIFEST, manifest)


def write_losses(path: Path, report: Report) -> None:
    """The training loss of every step, a column an arm."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *(arm.name for arm in report.arms)])
        for step, values in enumerate(zip(*(arm.losses for arm in report.arms), strict=True), 1):
            writer.writerow([step, *(f"{value:.6f}" for value in values)])


def grid(rows: dict[str, Sequence[np.ndarray]], side: int = 192) -> Image.Image:
    """Labelled rows of pictures on white; columns share a seed."""
    gap, font = 8, ImageFont.load_default(18)
    label = max(150, *(round(font.getlength(name)) + 3 * gap for name in rows))
    columns = max(len(images) for images in rows.values())
    canvas = Image.new("RGB", (label + columns * (side + gap) + gap, len(rows) * (side + gap) + gap), "white")
    draw = ImageDraw.Draw(canvas)
    for row, (name, images) in enumerate(rows.items()):
        top = gap + row * (side + gap)
        draw.multiline_text((gap * 2, top + side // 2 - 12), name.replace("_", " "), fill="black", font=font)
        for column, image in enumerate(images):
            tile = Image.fromarray(image)
            scale = side / max(tile.size)
            size = (round(tile.width * scale), round(tile.height * scale))
            tile = tile.resize(size, Image.Resampling.LANCZOS)
            canvas.paste(tile, (label + gap + column * (side + gap), top))
    return canvas
