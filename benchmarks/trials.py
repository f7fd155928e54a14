"""What the benchmarks of protections share: sets of photos, arms that differ in the method alone, figures; in several processes.

`run` is the whole way from folders of photos to rows of figures. Every part (the photos of one method, the pictures of one arm)
lies in a folder when it is done and is not made again, so a killed run goes on, and what ends first is said with the time left.
"""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.texts import gradients_of
from udp.digests import digest, photos_digest
from udp.errors import InvalidInput
from udp.evaluation.arms import Arm
from udp.evaluation.bench import Cells
from udp.evaluation.cells import FolderStore
from udp.evaluation.found import FoundPhotos
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import learned
from udp.files import finished, finishing
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.recipes.base import Recipe
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.models.memory import default_options
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

# Written into every row's key. Another word for rows whose figures are measured in another way, so that old ones are made again.
MEASURED = "framed"

SHOWN = 8  # pictures of an arm, in the picture of all arms


@functools.cache
def loaded(name: str, as_embedded: bool = False) -> DiffusionModel:
    """A model by its name or folder; `as_embedded` computes as the embedded one does, for others of its size."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_model(name, options=default_options(device, embedded=True)) if as_embedded else load_model(name)


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
    as_embedded: bool = False

    def __call__(self) -> None:
        """Do it, unless it is done."""
        model, trial = loaded(self.model, self.as_embedded), self.trial
        if self.recipe is None:
            place = photos_of(self.folder, self.arm)
            protected(self.arms[CLEAN], self.method, model, trial.instance_prompt, trial.seed, place)
            return

        trial = model.suited(trial)
        cells = Cells(self.arms, model, trial, FolderStore(self.folder))
        bench, _ = cells.bench(0, trial.cleaning)
        cells.arm(bench, self.arm, FoundPhotos(self.arms, model, trial), model.suited(self.recipe), trial.cleaning)

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
    """What is run on each set: `methods` by arm, `recipes` by title, `cleanings`, and `seeds` of perturbation and imitation alike.

    Photos are protected against `model`. Imitators have it too, but for those whose title has another in `others`: small ones,
    which compute as the embedded one does.
    """

    model: str
    methods: Mapping[str, ProtectionMethod]
    recipes: Mapping[str, Recipe]
    trial: Trial
    cleanings: Sequence[str] = ("none",)
    seeds: int = 1
    photos: int = 0
    others: Mapping[str, str] = field(default_factory=dict)

    def read(self, source: Path) -> list[Photo]:
        """The set's photos, the first `photos` of them unless that is 0."""
        return with_captions(read_photos(list_photos(source)[: self.photos or None]), "off")


@dataclass(frozen=True)
class Imitator:
    """Who learns from every arm: a recipe by its title, and what is done to the photos first."""

    title: str
    recipe: Recipe
    cleaning: str
    model_name: str
    as_embedded: bool = False

    @property
    def model(self) -> DiffusionModel:
        """What is fine-tuned."""
        return loaded(self.model_name, self.as_embedded)

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe's, those filled in that depend on the model's size."""
        return describe_settings(self.model.suited(self.recipe))

    @property
    def other(self) -> list[Any]:
        """What tells another model: its weights, and the schedule, which they do not tell."""
        schedule = self.model.pipeline.scheduler.config
        return [self.model.fingerprint, {key: repr(value) for key, value in schedule.items()}]

    def of(self, trial: Trial) -> Trial:
        """The trial with these photos' cleaning."""
        return replace(trial, cleaning=self.cleaning)

    def place(self, out: Path) -> Path:
        """Where its arms lie; two recipes of one name differ in their settings, or in the model."""
        what = [self.settings, self.title, self.other] if self.as_embedded else self.settings
        return out / f"{self.recipe.name}-{digest(what)[:8]}"

    def parts(self, trial: Trial, place: Path, arms: Mapping[str, list[Photo]]) -> list[Part]:
        """What there is to do, an arm each."""
        return [
            Part(self.model_name, self.of(trial), place, arms, arm, recipe=self.recipe, as_embedded=self.as_embedded)
            for arm in arms
        ]

    def key(self, plan: Plan, name: str, photos: list[Photo], trial: Trial) -> str:
        """What decides its row of the set `name`; a row of the same key need not be made again."""
        model = loaded(plan.model)
        methods = {arm: [method.name, describe_settings(model.suited(method))] for arm, method in plan.methods.items()}
        asked = [describe_settings(self.model.suited(self.of(trial))), repr(parse_cleaning(self.cleaning))]
        recipe = [self.title, self.recipe.name, self.settings]
        if self.as_embedded:
            recipe.append(self.other)
        return digest([name, methods, recipe, asked, photos_digest(photos), model.fingerprint, FIGURES, MEASURED])


def run(
    plan: Plan, sets: Sequence[Path], out: Path, processes: int = 1, known: Mapping[str, dict] | None = None
) -> Iterator[dict]:
    """A row of figures for each seed, set, recipe and cleaning. All sets get a seed before the next.

    Parts are kept in `out`, and of each row a picture of all arms, SET/seedN/RECIPE-DIGEST-CLEANING.png. Rows of `known`, by
    their key, are given as they are, and nothing of them is made.
    """
    places = {source.resolve().name: source for source in sets}
    if len(places) < len(sets):
        raise InvalidInput(f"expected sets in folders of different names, got {', '.join(map(str, sets))}")
    with workers(processes) as pool:
        for seed in range(plan.seeds):
            for name, source in places.items():
                yield from _set(plan, source, seed, out / name / f"seed{seed}", pool, known or {})


def _set(
    plan: Plan, source: Path, seed: int, out: Path, pool: ProcessPoolExecutor | None, known: Mapping[str, dict]
) -> Iterator[dict]:
    photos, model, name = plan.read(source), loaded(plan.model), source.resolve().name
    # Far apart: pictures are drawn from the trial's seed and those after it.
    trial = replace(plan.trial, seed=1000 * seed)
    imitators = [
        Imitator(title, recipe, cleaning, plan.others.get(title, plan.model), title in plan.others)
        for title, recipe in plan.recipes.items()
        for cleaning in plan.cleanings
    ]
    keys = {one: one.key(plan, name, photos, trial) for one in imitators}
    todo = [one for one in imitators if keys[one] not in known]
    if not todo:
        yield from (known[keys[one]] for one in imitators)
        return
    protecting = (Part(plan.model, trial, out, {CLEAN: photos}, arm, method) for arm, method in plan.methods.items())
    together([*protecting], pool)
    arms = {CLEAN: photos} | {
        arm: protected(photos, method, model, trial.instance_prompt, trial.seed, photos_of(out, arm))
        for arm, method in plan.methods.items()
    }
    changed = {arm: changes(photos, arms[arm], method, photos_of(out, arm)) for arm, method in plan.methods.items()}

    def cells(one: Imitator) -> Cells:
        return Cells(arms, one.model, one.model.suited(one.of(trial)), FolderStore(one.place(out)))

    for one in todo:
        cells(one).bench(0, one.cleaning)  # once, for all processes
    together([part for one in todo for part in one.parts(trial, one.place(out), arms)], pool)
    for one in imitators:
        if one not in todo:
            yield known[keys[one]]
            continue
        kept, place = cells(one), one.place(out)
        bench, base = kept.bench(0, one.cleaning)
        photos_found = FoundPhotos(arms, one.model, kept.trial)
        found = [kept.arm(bench, arm, photos_found, one.model.suited(one.recipe), one.cleaning) for arm in arms]
        shown = {arm.name: arm.images[:SHOWN] for arm in found}
        grid(shown, 128).save(place.parent / f"{place.name}-{one.cleaning}.png")
        yield {
            "key": keys[one], "set": name, "photos": len(photos), "seed": seed, "recipe": one.title,
            "settings": one.settings, "cleaning": one.cleaning,
            "changes": changed, "arms": figures(base, found),
        }  # fmt: skip


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
