"""What a run of the lab leaves behind: report.json, report.html and a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from udp.evaluation.lab import Lab, LabReport
from udp.evaluation.verdict import RULE, VerdictId
from udp.files import versions, write_json, write_whole
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.recipes.base import Recipe
from udp.language import ENGLISH, Text, text
from udp.photos import Photo, flattened
from udp.protection.base import ProtectionMethod
from udp.protection.visibility import visibility
from udp.reports.html import SUMMARY_HEAD, page, summary_rows
from udp.settings import describe_settings, publish_settings
from udp.tensors import fit_square, to_pixels, to_tensor

FEW_PICTURES = 16
SHOWN_SIDE = 256


def lab_manifest(
    report: LabReport, lab: Lab, method: ProtectionMethod, protected_with: str, title: str, odd: Sequence[Text] = ()
) -> dict[str, Any]:
    """Every setting and every figure as JSON values.

    `protected_with` is the model the protection was made with, `odd` what there is to warn of in the photos.
    """
    pairs = list(zip(lab.arms["clean"], lab.arms["protected"], strict=True))
    seen = [visibility(a, b) for a, b in pairs if a.size == b.size]
    return {
        "title": title,
        "method": {"name": method.name, "reference": method.reference, **publish_settings(method)},
        "protected_with": Path(protected_with).name,
        "attacked_with": Path(report.model).name,
        "photos": len(pairs),
        "visibility": {key: round(float(np.mean([row[key] for row in seen])), 4) for key in (seen[0] if seen else ())},
        "trial": {key: value for key, value in asdict(report.trial).items() if key != "cleaning"},
        "recipes": {recipe.name: _recipe(recipe) for recipe in report.recipes},
        "cleanings": {name: parse_cleaning(name).reference for name in dict.fromkeys(r.cleaning for r in report.rows)},
        "versions": versions(),
        "basis": " ".join(map(ENGLISH.say, report.rows[0].report.basis)),
        "extractors": {key: ENGLISH.say(name) for key, name in report.rows[0].report.extractors.items()},
        "rows": [
            {
                "recipe": row.recipe,
                "cleaning": row.cleaning,
                "verdict": row.report.judgement.describe(),
                "learned": {arm: asdict(share) for arm, share in row.learned.items()},
                "effect": asdict(row.effect) if row.effect else None,
                "kept": asdict(row.kept) if row.kept else None,
                "figures": {arm.name: arm.metrics for arm in (row.report.base, *row.report.arms)},
                "intervals": {arm.name: arm.intervals for arm in (row.report.base, *row.report.arms)},
                "runs": {arm.name: arm.runs for arm in (row.report.base, *row.report.arms)},
            }
            for row in report.rows
        ],
        "rule": ENGLISH.say(RULE),
        "warnings": [ENGLISH.say(warning) for warning in (*odd, *warnings(report))],
    }


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {"reference": recipe.reference, **describe_settings(recipe)}


def warnings(report: LabReport) -> list[Text]:
    """What a reader has to know before believing the figures."""
    trial, said = report.trial, []
    if trial.seeds < 2:
        said.append(text("lab.one_seed"))
    if trial.pictures < FEW_PICTURES:
        said.append(text("lab.few_pictures", pictures=trial.pictures))
    if trial.unprotected_share > 0:
        said.append(text("lab.unprotected", share=trial.unprotected_share))
    failed = [f"{r.recipe} ({r.cleaning})" for r in report.rows if r.report.judgement.id is VerdictId.NOT_LEARNED]
    if failed:
        said.append(text("lab.not_learned", cells=", ".join(failed)))
    return said


def write_lab(
    folder: Path, report: LabReport, manifest: Mapping[str, Any], photos: Mapping[str, Sequence[Photo]]
) -> None:
    """report.json and report.html (self-contained) in `folder`; `photos` are the training sets to show."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", dict(manifest))
    shown = {name: [_square(photo) for photo in found] for name, found in photos.items()}
    facts = (
        "method",
        "protected_with",
        "attacked_with",
        "photos",
        "visibility",
        "trial",
        "recipes",
        "cleanings",
        "versions",
    )
    settings = {key: manifest[key] for key in facts}
    shown_page = page(report, str(manifest["title"]), settings, shown, manifest["warnings"])
    write_whole(folder / "report.html", shown_page)


def _square(photo: Photo) -> np.ndarray:
    return to_pixels(fit_square(to_tensor(flattened(photo).pixels)[None], SHOWN_SIDE)[0])


def table(report: LabReport) -> str:
    """Recipes x cleanings as Markdown, which a terminal and a README both show."""
    lines = ["| " + " | ".join(SUMMARY_HEAD) + " |", "|" + "---|" * len(SUMMARY_HEAD)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in summary_rows(report))])
