"""Writing results to disk: PNGs, a manifest of every setting and figure, picture grids.

No times and no absolute paths go into a manifest, so the same seed on the same machine gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from udp.errors import InvalidInput
from udp.evaluation.arm_names import ArmName
from udp.evaluation.arms import Report
from udp.evaluation.verdict import RULE
from udp.files import MANIFEST, versions, write_json, write_whole
from udp.language import ENGLISH, Text
from udp.photos import write_picture
from udp.protection.output import UNFINISHED
from udp.reports.pictures import grid
from udp.settings import describe_settings


def attack_manifest(report: Report, model: str, warnings: Sequence[Text] = ()) -> dict[str, Any]:
    """Every setting, every arm's figures and the verdict, as JSON values; `warnings` are about the photos."""
    return {
        "recipe": report.recipe.name,
        "reference": report.recipe.reference,
        "settings": describe_settings(report.recipe),
        "trial": asdict(report.trial),
        "model": Path(model).name,
        "versions": versions(),
        "figures": {arm.name: arm.metrics for arm in (report.base, *report.arms)},
        "intervals": {arm.name: arm.intervals for arm in (report.base, *report.arms)},
        "basis": " ".join(map(ENGLISH.say, report.basis)),
        "extractors": {key: ENGLISH.say(name) for key, name in report.extractors.items()},
        "spread": {arm.name: arm.spread for arm in (report.base, *report.arms) if arm.spread},
        "verdict": {**report.judgement.describe(), "rule": ENGLISH.say(RULE)},
        "warnings": list(map(ENGLISH.say, warnings)),
    }


def write_attack(folder: Path, report: Report, manifest: dict[str, Any]) -> None:
    """Pictures of every arm, a grid, the losses as CSV, what was learned (`learned_files`) and the manifest.

    They replace what an earlier attack wrote there. Every file is whole or absent whenever the process is killed, and the
    manifest comes last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / UNFINISHED, {"recipe": report.recipe.name})
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in earlier_results(folder):
        path.unlink(missing_ok=True)
    rows = {}
    for arm in (report.base, *report.arms):
        rows[arm.name] = list(arm.images)
        for index, image in enumerate(arm.images):
            write_picture(folder / f"{arm.name}-{index}.png", Image.fromarray(image))
    write_picture(folder / "grid.png", grid(rows))
    write_whole(folder / "losses.csv", losses_table(report))
    for name, content in learned_files(report).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, content)
    write_json(folder / MANIFEST, manifest)
    (folder / UNFINISHED).unlink()


def check_attack_free(folder: Path) -> None:
    """Raise `InvalidInput` if what an attack replaces in `folder` is not an earlier attack's, finished or killed."""
    kinds = []
    for name in (MANIFEST, UNFINISHED):
        try:
            kinds.append("recipe" in json.loads((folder / name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            kinds.append(None)
    found = [folder / MANIFEST] if False in kinds else [] if True in kinds else earlier_results(folder)
    if found:
        raise InvalidInput(
            f"expected the output folder (--out) to be a new folder, or one that `attack` wrote, got {str(folder)!r}, where {found[0].name!r} of "
            "something else would be replaced: choose another folder"
        )


def earlier_results(folder: Path) -> list[Path]:
    """The pictures and learned weights that an attack wrote to `folder`: one of fewer pictures would leave the rest."""
    ours = re.compile(rf"({'|'.join(ArmName)})-\d+\.png(\.part)?")
    pictures = [path for path in folder.glob("*.png*") if ours.fullmatch(path.name)]
    learned = [path for arm in ArmName for path in (folder / "learned" / arm).glob("*.safetensors*")]
    return sorted([*pictures, *learned])


def learned_files(report: Report) -> dict[str, bytes]:
    """The fine-tunes as files for other programs, by their path below the results: learned/protected/... and so on."""
    return {f"learned/{arm.name}/{name}": content for arm in report.arms for name, content in arm.learned.items()}


def losses_table(report: Report) -> str:
    """The training loss of every step as CSV, a column an arm."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["step", *(arm.name for arm in report.arms)])
    for step, values in enumerate(zip(*(arm.losses for arm in report.arms), strict=True), 1):
        writer.writerow([step, *(f"{value:.6f}" for value in values)])
    return text.getvalue()
