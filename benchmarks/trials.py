"""What the benchmarks of protections share: sets of photos, arms that differ in the method alone, figures; in several processes.

`run` is the whole way from folders of photos to rows of figures. Every part (the photos of one method, the pictures of one arm)
lies in a folder when it is done and is not made again, so a killed run goes on, and what ends first is said with the time left.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.texts import gradients_of
from udp.digests import digest, photos_digest
from udp.errors import InvalidInput, UDPError
from udp.evaluation.arms import Arm
from udp.evaluation.bench import Cells, imitator_photos
from udp.evaluation.cells import FolderStore
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import learned
from udp.files import finished, finishing
from udp.imitation.recipes.base import Recipe
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photo_files import with_captions
from udp.photos import Photo, list_photos, read_photos, write_png
from udp.protection.base import ProtectionMethod
from udp.protection.visibility import visibility
from udp.reports.pictures import grid
from udp.settings import describe_settings

CLEAN = "clean"
# What is kept of the figures that an arm has; FID and the like need many pictures.
FIGURES = ("clean_loss", "fid", "kid", "precision", "recall", "diversity", "structure_similarity", "texture_distance",
           "noise_level", "final_training_loss")  # fmt: skip

SHOWN = 8  # pictures of an arm, in the picture of all arms

loaded = functools.cache(load_model)


@dataclass(frozen=True)
class Part:
    """What one process does at a time: the photos of the method `method`, or with `recipe` the pictures of `arm`.

    `folder` is where the set's photos lie, or with `recipe` its cells.
    """

    model: str
    trial: Trial
    folder: Path
    arms: Mapping[str, list[Photo]]
    arm: str
    method: ProtectionMethod | None = None
    recipe: Recipe | None = None

    def __call__(self) -> None:
        """Do it, unless it is done."""
        model, trial = loaded(self.model), self.trial
        if self.recipe is None:
            place = photos_of(self.folder, self.arm)
            protected(self.arms[CLEAN], self.method, model, trial.instance_prompt, trial.seed, place)
            return

        def cleaned(arm: str) -> list[Photo]:
            return imitator_photos({name: self.arms[name] for name in (CLEAN, arm)}, model, trial)[arm]

        trial = model.suited(trial)
        cells = Cells(self.arms, model, trial, FolderStore(self.folder))
        bench, _ = cells.bench(0)
        cells.arm(bench, self.arm, cleaned, model.suited(self.recipe), trial.cleaning)

    @property
    def title(self) -> str:
        """What it says when it is done."""
        if self.recipe is None:
            return f"{self.arm}, seed {self.trial.seed}"
        cleaned = "" if self.trial.cleaning == "none" else f", cleaned by {self.trial.cleaning}"
        return f"{self.recipe.name} on {self.arm}{cleaned}, seed {self.trial.seed}"


def photos_of(folder: Path, arm: str) -> Path:
    """Where the photos of an arm lie."""
    return folder / arm.replace("/", " of ").replace(":", " with ")


def protected(
    photos: list[Photo], method: ProtectionMethod, model: DiffusionModel, prompt: str, seed: int, folder: Path
) -> list[Photo]:
    """The photos as `method` changes them, from `folder` if they were finished there."""
    mark = folder / "photos.json"
    key = digest([method.name, describe_settings(model.suited(method)), photos_digest(photos), prompt, seed,
                  model.fingerprint])  # fmt: skip

    def read(content: dict) -> list[Photo]:
        return [
            replace(read_photos([folder / f"{index}.png"])[0], name=photo.name) for index, photo in enumerate(photos)
        ]

    if (kept := finished(mark, key, read)) is not None:
        return kept
    begun = time.monotonic()
    made = method(photos, model, prompt, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with finishing(mark, key) as content:
        for index, photo in enumerate(made):
            write_png(folder / f"{index}.png", photo)
        content |= {"photos": len(made), "seconds": round(time.monotonic() - begun, 1)}
    return made


def together(parts: Sequence[Part], pool: ProcessPoolExecutor | None) -> None:
    """Do them all, as many at a time as `pool` has processes, and say after each how far it is.

    Raises what a part raises, and `BrokenProcessPool` if a process was killed.
    """
    begun = time.monotonic()
    for done, part in enumerate(finishing_order(parts, pool), 1):
        spent = time.monotonic() - begun
        left = spent / done * (len(parts) - done)
        print(f"  {part.title}: {done} of {len(parts)} after {spent:.0f} s, about {left:.0f} s left", flush=True)


def finishing_order(parts: Sequence[Part], pool: ProcessPoolExecutor | None) -> Iterator[Part]:
    """Each part when it is done."""
    if pool is None:
        for part in parts:
            part()
            yield part
        return
    running = {pool.submit(part): part for part in parts}
    try:
        for future in as_completed(running):
            future.result()
            yield running[future]
    finally:
        for future in running:
            future.cancel()


@contextlib.contextmanager
def workers(count: int) -> Iterator[ProcessPoolExecutor | None]:
    """That many processes, which share the cores; none for one."""
    if count == 1:
        yield None
        return
    threads = max(1, (os.cpu_count() or 1) // count)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # seconds of imports, once for all of them
    with ProcessPoolExecutor(count, context, torch.set_num_threads, (threads,)) as pool:
        yield pool


@dataclass(frozen=True)
class Plan:
    """What is run on each set: `methods` by arm, `recipes` by title, `cleanings`, and `seeds` of perturbation and imitation alike."""

    model: str
    methods: Mapping[str, ProtectionMethod]
    recipes: Mapping[str, Recipe]
    trial: Trial
    cleanings: Sequence[str] = ("none",)
    seeds: int = 1
    photos: int = 0

    def read(self, source: Path) -> list[Photo]:
        """The set's photos, the first `photos` of them unless that is 0."""
        return with_captions(read_photos(list_photos(source)[: self.photos or None]), "off")


def run(plan: Plan, sets: Sequence[Path], out: Path, processes: int = 1) -> Iterator[dict]:
    """A row of figures for each seed, set, recipe and cleaning. All sets get a seed before the next.

    Parts are kept in `out`, and of each row a picture of all arms, SET/seedN/RECIPE-DIGEST-CLEANING.png.
    """
    places = {source.resolve().name: source for source in sets}
    if len(places) < len(sets):
        raise InvalidInput(f"expected sets in folders of different names, got {', '.join(map(str, sets))}")
    with workers(processes) as pool:
        for seed in range(plan.seeds):
            for name, source in places.items():
                yield from _set(plan, source, seed, out / name / f"seed{seed}", pool)


def _set(plan: Plan, source: Path, seed: int, out: Path, pool: ProcessPoolExecutor | None) -> Iterator[dict]:
    photos, model = plan.read(source), loaded(plan.model)
    # Far apart: pictures are drawn from the trial's seed and those after it.
    trial = replace(plan.trial, seed=1000 * seed)
    protecting = (Part(plan.model, trial, out, {CLEAN: photos}, arm, method) for arm, method in plan.methods.items())
    together([*protecting], pool)
    arms = {CLEAN: photos} | {
        arm: protected(photos, method, model, trial.instance_prompt, trial.seed, photos_of(out, arm))
        for arm, method in plan.methods.items()
    }
    changed = {arm: changes(photos, arms[arm], method, photos_of(out, arm)) for arm, method in plan.methods.items()}
    for title, recipe in plan.recipes.items():
        settings = describe_settings(model.suited(recipe))
        place = out / f"{recipe.name}-{digest(settings)[:8]}"  # two of one name differ in their settings
        for cleaning in plan.cleanings:
            cleaned = replace(trial, cleaning=cleaning)
            cells = Cells(arms, model, model.suited(cleaned), FolderStore(place))
            bench, base = cells.bench(0)  # once, for all processes
            together([Part(plan.model, cleaned, place, arms, arm, recipe=recipe) for arm in arms], pool)
            found = [cells.arm(bench, arm, _unmade, model.suited(recipe), cleaning) for arm in arms]
            shown = {arm.name: arm.images[:SHOWN] for arm in found}
            grid(shown, 128).save(place.parent / f"{place.name}-{cleaning}.png")
            yield {
                "set": source.resolve().name, "photos": len(photos), "seed": seed, "recipe": title,
                "settings": settings, "cleaning": cleaning,
                "changes": changed, "arms": figures(base, found),
            }  # fmt: skip


def _unmade(arm: str) -> list[Photo]:
    raise AssertionError(f"expected the pictures of {arm!r} to be kept already")


def changes(photos: list[Photo], made: list[Photo], method: ProtectionMethod, folder: Path) -> dict[str, float]:
    """What a method costs and how visible it is, means over the photos."""
    seen = [visibility(a, b) for a, b in zip(photos, made, strict=True)]
    mark = json.loads((folder / "photos.json").read_text(encoding="utf-8"))
    means = {key: round(float(np.mean([found[key] for found in seen])), 4) for key in ("psnr_db", "ssim")}
    return {**means, "gradients": gradients_of(method), "seconds": mark["seconds"]}


def figures(base: Arm, arms: Sequence[Arm]) -> dict[str, dict[str, float]]:
    """By arm and figure, the base's too; `learned` of all arms but the base."""
    (clean,) = (arm for arm in arms if arm.name == CLEAN)
    found = {}
    for arm in (base, *arms):
        found[arm.name] = {key: arm.metrics[key] for key in FIGURES if key in arm.metrics}
        if arm is not base:
            found[arm.name]["learned"] = round(learned(base.metrics, arm.metrics, clean.metrics), 3)
    return found


def spread(values: Sequence[float], percent: bool = False) -> str:
    """The mean, and in brackets the smallest and the largest of several; as "72% (61% to 80%)" or "0.81 (0.8 to 0.83)"."""

    def shown(value: float) -> str:
        return f"{value:.0%}" if percent else f"{value:.3g}"

    mean = shown(float(np.mean(values)))
    return mean if len(values) == 1 else f"{mean} ({shown(min(values))} to {shown(max(values))})"


def values_of(rows: Sequence[dict], arm: str, key: str) -> list[float]:
    """A figure of an arm in every row that has it."""
    return [row["arms"][arm][key] for row in rows if key in row["arms"].get(arm, {})]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all of these benchmarks have."""
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, a set each")
    parser.add_argument("--out", type=Path, required=True, help="folder for the record and all that is kept")
    parser.add_argument("--model", help="a name or a folder, instead of the usual one")
    parser.add_argument("--pictures", type=int, help="an arm")
    parser.add_argument("--seeds", type=int, default=1, help="runs, each with its own perturbations and fine-tunes")
    parser.add_argument("--workers", type=int, default=1, help="arms at a time")


def ended(work: Callable[[], str]) -> int:
    """A command's exit code: 0 after printing what `work` gives, 2 after its message for bad input."""
    try:
        print(work())
    except UDPError as error:
        print(f"error: {error}")
        return 2
    return 0


def run_and_record(plan: Plan, options: argparse.Namespace, record: Path, facts: Mapping[str, Any]) -> list[dict]:
    """All rows; `record`, JSON, is written anew after each."""
    rows: list[dict] = []
    record.parent.mkdir(parents=True, exist_ok=True)
    for row in run(plan, options.photos, options.out / record.stem, options.workers):
        rows.append(row)
        head = {
            "date": datetime.date.today().isoformat(),
            "machine": f"{os.cpu_count()} CPU cores, {options.workers} arms at a time, torch {torch.__version__}",
            "model": plan.model, "pictures": plan.trial.pictures, **facts,
        }  # fmt: skip
        record.write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n", encoding="utf-8")
        print(f"{row['set']}, seed {row['seed']}, {row['recipe']}, {row['cleaning']}: done", flush=True)
    return rows
