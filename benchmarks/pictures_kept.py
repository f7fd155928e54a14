"""Rows of pictures that other benchmarks kept, each with its figures beside its controls', for `benchmarks.judged`."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.grids import ARMS, Pictures, cut, drawn
from benchmarks.robustness import RANDOM
from benchmarks.subjects import STRONGER, in_report
from benchmarks.trials import CLEAN
from udp.digests import digest
from udp.errors import InvalidInput
from udp.evaluation.cells import FolderStore, base_name, cell_name
from udp.evaluation.verdict import learned, likeness

PATIENT = "patient"  # what the second imitator of `benchmarks.subjects` is called
OF_PATIENT = f"{PATIENT}-"  # how its files begin
# The figures that are held against the ratings: as a share of what the worse control gained, as a difference from it, or as they are.
FIGURES = ("likeness", "learned", "texture_excess", "structure_similarity", "shape_similarity", "similarity",
           "dinov2_image_similarity", "noise_level", "blur", "diversity", "recall", "fid", "kid")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Pictures of one arm, uint8 (S, S, 3) each, where they come from, and their figures."""

    set: str
    arm: str
    pictures: Sequence[np.ndarray] = field(repr=False)
    figures: Mapping[str, float | str | None]
    seed: int = 0
    cleaning: str = "none"
    recipe: str = ""

    def describe(self) -> dict:
        """As JSON values, without the pictures."""
        return {key: value for key, value in vars(self).items() if key != "pictures"}


def beside_controls(
    base: Mapping[str, float], clean: Mapping[str, float], noise: Mapping[str, float], arm: Mapping[str, float]
) -> dict[str, float | str | None]:
    """The figures of an arm, with what the verdict makes of them beside controls of the same budget."""
    share, by = likeness([base], {"clean": [clean], "random": [noise], "protected": [arm]})
    taught = learned(base, arm, clean)
    worse = max(clean["texture_distance"], noise["texture_distance"])
    return {key: arm[key] for key in FIGURES if key in arm} | {
        "likeness": round(share.mean, 3) if share is not None else None,
        "likeness_by": by or None,
        "learned": None if math.isnan(taught) else round(taught, 3),
        "texture_excess": round(arm["texture_distance"] - worse, 3),
    }


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raises `InvalidInput` where what is read inside turns out to be something else."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"expected {str(path)!r} to be what a benchmark kept, got {error!r}") from error


def of_subjects(folder: Path) -> Iterator[Row]:
    """What `benchmarks.subjects` kept: the arms, those of its second budget, and the patient imitator's."""
    for mark in sorted(folder.glob("*.json")):
        with reading(mark):
            content = json.loads(mark.read_text(encoding="utf-8"))
            if not {"row", "squares", "pictures"} <= content.keys():
                continue
            row = content["row"]

            def kept(title: str, arm: str, mark: Path = mark, name: str = row["subject"]) -> Sequence[np.ndarray]:
                file = in_report(arm, title) if title == STRONGER else f"{title}{arm}"
                return cut(mark.with_name(f"{name}-{file}.png"))

            yield from arms_of(row, kept)


def of_grids(record: Path) -> Iterator[Row]:
    """What `benchmarks.subjects` drew beside its record, three pictures an arm; a grid has the subjects that its arms were made for."""
    with reading(record):
        rows = json.loads(record.read_text(encoding="utf-8"))["rows"]
        found: dict[tuple[str, str], Pictures] = {}
        for title, key in (("", "figures"), (STRONGER, "stronger"), (OF_PATIENT, PATIENT)):
            names = [row["subject"] for row in rows if row.get(key)]
            if names:
                with Image.open(record.with_name(f"{title.replace(' ', '-')}{record.stem}.png")) as grid:
                    found |= {(title, name): drawn(grid, index) for index, name in enumerate(names)}
        for row in rows:
            yield from arms_of(row, lambda title, arm, name=row["subject"]: found[title, name][arm])


def arms_of(row: Mapping, pictures: Callable[[str, str], Sequence[np.ndarray]]) -> Iterator[Row]:
    """The rows of a subject; `pictures` gives those of the first imitator (""), of the second budget or of the patient, by the arm."""
    own = f"{255 * row['method']['budget']:g}/255"
    recipe = row["recipe"]["name"]
    tried = [(recipe, row["figures"], "", own)]
    if "stronger" in row:
        tried.append((recipe, row["figures"], STRONGER, f"{row['stronger']['budget_levels']:g}/255"))
    if row.get("patient"):
        tried.append((PATIENT, row["patient"]["figures"], OF_PATIENT, own))
    for imitator, figures, title, budget in tried:
        prefix = title if title == STRONGER else ""
        controls = [figures[in_report(one, prefix)] if one != "base" else figures[one] for one in ("base", *ARMS[:2])]
        for arm in ARMS:
            if arm == CLEAN and prefix:
                continue  # both budgets share it
            yield Row(
                row["subject"], arm if arm == CLEAN else f"{arm} {budget}", pictures(title, arm),
                beside_controls(*controls, figures[in_report(arm, prefix)]), recipe=imitator,
            )  # fmt: skip


def of_trials(folder: Path) -> Iterator[Row]:
    """What a benchmark of `benchmarks.trials` kept: every arm of every row of its records."""
    for path in sorted(folder.glob("*.json")):
        with reading(path):
            record = json.loads(path.read_text(encoding="utf-8"))
            for row in record.get("rows", ()):
                parent = folder / path.stem / row["set"] / f"seed{row['seed']}"
                (place,) = parent.glob(f"*-{digest(row['settings'])[:8]}")
                recipe, store = place.name.rpartition("-")[0], FolderStore(place)
                arms = [arm for arm in row["arms"] if arm != "base"]
                cells = {arm: store.read(cell_name(recipe, row["cleaning"], arm, 0)) for arm in arms}
                controls = [store.read(base_name(0, row["cleaning"])), cells[CLEAN], cells[RANDOM]]
                for arm, cell in cells.items():
                    found = beside_controls(*(one.metrics for one in controls), cell.metrics)
                    yield Row(row["set"], arm, cell.images, found, row["seed"], row["cleaning"], row["recipe"])


def of_kept(folder: Path) -> Iterator[Row]:
    """The page's examples, as `benchmarks.kept` leaves them: a folder each, or one of them."""
    for path in sorted(folder.glob("**/run.json")):
        with reading(path):
            run = json.loads(path.read_text(encoding="utf-8"))
            controls = [run["figures"][one] for one in ("base", *ARMS[:2])]
            for arm in ARMS:
                files = sorted(path.parent.glob(f"{arm}-*.jpg"))
                title = arm if arm == CLEAN else f"{arm} {255 * run['settings']['protection']['budget']:g}/255"
                pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
                found = beside_controls(*controls, run["figures"][arm])
                yield Row(path.parent.resolve().name, title, pictures, found, recipe=run["settings"]["recipe"]["name"])


def rows_of(folder: Path) -> list[Row]:
    """Every row of pictures in a folder of such a benchmark, or of a record with its grids. Raises `InvalidInput` where there is none."""
    found = [*of_grids(folder)] if folder.is_file() else [*of_subjects(folder), *of_trials(folder), *of_kept(folder)]
    if not found:
        raise InvalidInput(f"expected {str(folder)!r} to hold what a benchmark kept, got no pictures")
    return found
