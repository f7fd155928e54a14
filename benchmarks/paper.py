r"""The settings of arXiv 2306.01902, each from photos to figures: what UDP and EUDP do to what an imitator generates.

    python -m benchmarks.paper --setting ddpm --scale small --photos CIFAR10/horse --out OUT
    python -m benchmarks.paper --setting object --scale small --photos SUBJECTS/dog SUBJECTS/can --out OUT
    python -m benchmarks.paper --setting object --scale small --photos SUBJECTS/dog --out OUT --plan

*ddpm*: a DDPM on pixels, from random weights, on pictures of one class; *ldm*: latent diffusion without a prompt, from random
weights, in the embedded model's latent space; *object* and *style*: DreamBooth, LoRA and textual inversion on a few photos.
The paper gives neither its budgets nor its learning rates and steps; those in `SETTINGS` are ours, and
what trains from random weights surely takes fewer steps than there, and at the small scale fewer photos. `--scale small` is for two cores, `paper` for a GPU.

`--workers 2` works on two arms at a time, with a core each: on two cores in about two thirds of the time.

Every folder of `--photos` is a set of its own. Its arms: clean photos, and at each of `LEVELS` random noise, AdvDM (at as many
gradients a photo as EUDP), UDP and EUDP. All arms share their seeds. FID, KID, precision and recall are on the features of the
base model's own network, untrained on the arms: they compare arms of one table and nothing else. Writes OUT/SETTING.json after
each set and prints Markdown. Whatever was finished is kept in OUT and not made again, so a killed run goes on. `--plan` measures
a step of each kind and says how long all would take.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import torch

from benchmarks.compare_methods import gradients_of, parse_method, parse_recipe
from udp.digests import digest, photos_digest
from udp.evaluation.arms import Report
from udp.evaluation.bench import Cells, imitator_photos, run_trial
from udp.evaluation.cells import FolderStore
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import learned
from udp.files import finished, finishing
from udp.imitation.prompts import PRESETS
from udp.imitation.recipes.base import Recipe
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photo_files import with_captions
from udp.photos import Photo, list_photos, read_photos, write_png
from udp.protection.base import ProtectionMethod
from udp.protection.methods import EUDP
from udp.settings import describe_settings

LEVELS = (8, 16)
METHODS = ("random", "advdm", "udp", "eudp")
SCALES = ("small", "paper")
# What is shown of the figures that an arm has; FID and the like need many pictures.
FIGURES = ("fid", "kid", "precision", "recall", "diversity", "structure_similarity", "texture_distance")


@dataclass(frozen=True)
class Scale:
    """One setting at one size: the model, the recipes, how many photos of a set (0: all) and pictures an arm."""

    model: str
    recipes: tuple[str, ...]
    photos: int
    pictures: int
    prompt: str = ""


OBJECT, STYLE = PRESETS["object"].instance_prompt, PRESETS["style"].instance_prompt
FEW = ("dreambooth", "lora", "textual_inversion")
SCRATCH = "dreambooth:from_scratch=true,learning_rate=3e-4,batch_size="
SETTINGS: dict[str, dict[str, Scale]] = {
    "ddpm": {
        "small": Scale("mini-pixel", (f"{SCRATCH}16,steps=1000,random_flip=true",), 48, 96),
        "paper": Scale("ddpm-cifar10", (f"{SCRATCH}128,steps=40000,random_flip=true",), 5000, 1000),
    },
    "ldm": {
        "small": Scale("mini", (f"{SCRATCH}8,steps=1000",), 16, 32),
        "paper": Scale("ldm-celebahq", (f"{SCRATCH}64,steps=40000",), 5000, 1000),
    },
    "object": {"small": Scale("mini", FEW, 0, 16, OBJECT), "paper": Scale("sd15", FEW, 0, 64, OBJECT)},
    "style": {"small": Scale("mini", FEW, 0, 16, STYLE), "paper": Scale("sd15", FEW, 0, 64, STYLE)},
}


def methods() -> dict[str, ProtectionMethod]:
    """By the arm's name: every method at every budget, AdvDM and the like at as many gradients a photo as EUDP."""
    return {
        f"{name} {levels}/255": EUDP(budget=levels / 255) if name == "eudp" else parse_method(name, levels / 255, gradients_of(EUDP()))
        for levels in LEVELS
        for name in METHODS
    }  # fmt: skip


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
    made = method(photos, model, prompt, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with finishing(mark, key) as content:
        for index, photo in enumerate(made):
            write_png(folder / f"{index}.png", photo)
        content["photos"] = len(made)
    return made


@dataclass(frozen=True)
class Part:
    """What one process does at a time: the photos of the method `method`, or with `recipe` the run `run` of arm `arm`.

    It lies in a folder when it is done, where whoever needs it looks first.
    """

    model: str
    trial: Trial
    folder: Path
    arms: dict[str, list[Photo]]
    arm: str
    method: ProtectionMethod | None = None
    recipe: Recipe | None = None
    run: int = 0

    def __call__(self) -> list[Photo]:
        """Do it; the arm's photos."""
        model, trial = loaded(self.model), self.trial
        if self.recipe is None:
            place = self.folder / self.arm.replace("/", " of ")
            return protected(self.arms["clean"], self.method, model, trial.instance_prompt, trial.seed, place)
        trial = model.suited(trial)
        cells = Cells(self.arms, model, trial, FolderStore(self.folder / "cells"))
        bench, _ = cells.bench(self.run)
        found = imitator_photos(self.arms, model, trial)
        cells.arm(bench, self.arm, found.get, model.suited(self.recipe), trial.cleaning)
        return found[self.arm]


loaded = functools.cache(load_model)


def done(part: Part) -> tuple[Part, list[Photo]]:
    """For a pool, whose results come as they are finished."""
    return part, part()


def together(parts: list[Part], pool: Pool | None) -> dict[str, list[Photo]]:
    """Do them all, as many at a time as `pool` has processes, and say after each how far it is. By arm, what they return."""
    begun, made = time.monotonic(), {}
    for part, photos in pool.imap_unordered(done, parts) if pool else map(done, parts):
        made[part.arm] = photos
        spent = time.monotonic() - begun
        what = f"{part.recipe.name} on {part.arm}" if part.recipe else part.arm
        left = spent / len(made) * (len(parts) - len(made))
        print(f"  {what}: {len(made)} of {len(parts)} after {spent:.0f} s, about {left:.0f} s left", flush=True)
    return made


def run_set(
    source: Path,
    scale: Scale,
    recipes: list[Recipe],
    trial: Trial,
    name: str,
    out: Path,
    pool: Pool | None = None,
) -> Iterator[dict]:
    """A row of figures for each recipe on the photos of one folder, by the model of that name."""
    photos, model = with_captions(read_photos(list_photos(source)[: scale.photos or None]), "off"), loaded(name)
    part = functools.partial(Part, name, trial, out)
    made = together([part({"clean": photos}, arm, method) for arm, method in methods().items()], pool)
    arms = {"clean": photos} | {arm: made[arm] for arm in methods()}
    for recipe in recipes:
        begun = time.monotonic()
        store = FolderStore(out / "cells")
        for run in range(trial.seeds):
            Cells(arms, model, model.suited(trial), store).bench(run)  # once, for all processes
            together([part(arms, arm, recipe=recipe, run=run) for arm in arms], pool)
        report = run_trial(arms, model, recipe, trial, store=store)
        yield {
            "set": source.name, "photos": len(photos), "recipe": recipe.name,
            "settings": describe_settings(model.suited(recipe)),
            "seconds": round(time.monotonic() - begun), "arms": figures(report),
        }  # fmt: skip


def figures(report: Report) -> dict[str, dict[str, list[float]]]:
    """By arm and figure, the base's too: a value for each run of the trial; `learned` of all arms but the base."""
    (clean,) = (arm for arm in report.arms if arm.name == "clean")
    found = {}
    for arm in (report.base, *report.arms):
        found[arm.name] = {key: [run[key] for run in arm.runs] for key in FIGURES if key in arm.runs[0]}
        if arm is not report.base:
            runs = zip(report.base.runs, arm.runs, clean.runs, strict=True)
            found[arm.name]["learned"] = [round(learned(*run), 3) for run in runs]
    return found


def table(rows: list[dict]) -> str:
    """Markdown: for each recipe a row an arm, means over sets and runs; in brackets the smallest and the largest."""
    lines = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        of = [row["arms"] for row in rows if row["recipe"] == recipe]
        keys = [key for key in ("learned", *FIGURES) if all(key in arms["clean"] for arms in of)]
        lines += [f"| {recipe}, {len(of)} sets | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
        for arm in (arm for arm in of[0] if arm != "base"):
            lines.append(
                f"| {arm} | {' | '.join(_spread([v for arms in of for v in arms[arm][key]]) for key in keys)} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3g}" + (f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else "")


def plan(sets: list[Path], scale: Scale, recipes: list[Recipe], trial: Trial, model: DiffusionModel) -> str:
    """How long it all would take on this machine, from a few steps of each kind."""
    photos = read_photos(list_photos(sets[0])[:4])
    count = sum(len(list_photos(path)[: scale.photos or None]) for path in sets)
    protecting = 0.0
    for method in (method for method in methods().values() if method.uses_model):
        few, more = shortened(method, 1), shortened(method, 3)
        first, last = (timed(lambda part=part: part(photos, model, scale.prompt)) for part in (few, more))
        a_gradient = max(0.0, last - first) / (gradients_of(more) - gradients_of(few))
        # What is left of the first has nothing to do with the number of gradients: the steps at 512 px, the photos' measures.
        protecting += (first + a_gradient * (gradients_of(method) - gradients_of(few))) / len(photos) * count
    learning, arms = 0.0, (1 + len(methods())) * len(sets) * trial.seeds
    for recipe in recipes:
        short = replace(recipe, steps=10)
        a_step = timed(lambda short=short: short.fit(photos, model, scale.prompt)) / short.steps
        learning += a_step * recipe.steps * arms
    hours = (protecting + learning) / 3600
    return f"about {hours:.1f} hours here without sampling, {protecting / 3600:.1f} of them for the protections"


def shortened(method: ProtectionMethod, steps: int) -> ProtectionMethod:
    """The same method with that many PGD steps in one round, of a surrogate in as many, as far as it has any."""
    fewer = {"pgd_steps": steps, "rounds": 1, "surrogate_steps": steps}
    return replace(method, **{item.name: fewer[item.name] for item in fields(method) if item.name in fewer})


def timed(work: Callable[[], object]) -> float:
    """How many seconds it takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


@contextlib.contextmanager
def workers(count: int) -> Iterator[Pool | None]:
    """That many processes, which share the cores; none for one."""
    if count == 1:
        yield None
        return
    threads = max(1, (os.cpu_count() or 1) // count)
    with multiprocessing.get_context("spawn").Pool(count, torch.set_num_threads, (threads,)) as pool:
        yield pool


def main(arguments: list[str] | None = None) -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=tuple(SETTINGS), required=True)
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, a set each")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", help="instead of the setting's")
    parser.add_argument("--recipes", nargs="+", help="instead of the setting's, as lora or dreambooth:steps=100")
    parser.add_argument("--pictures", type=int, help="an arm, instead of the setting's")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each trial")
    parser.add_argument("--workers", type=int, default=1, help="arms at a time")
    parser.add_argument("--plan", action="store_true", help="say how long it would take, and do no more")
    options = parser.parse_args(arguments)
    scale = SETTINGS[options.setting][options.scale]
    recipes = [parse_recipe(text) for text in options.recipes or scale.recipes]
    trial = Trial(scale.prompt, scale.prompt, pictures=options.pictures or scale.pictures, seeds=options.seeds)
    name = options.model or scale.model
    if options.plan:
        print(plan(options.photos, scale, recipes, trial, loaded(name)))
        return
    rows: list[dict] = []
    with workers(options.workers) as pool:
        for source in options.photos:
            place = options.out / options.setting / source.name
            for row in run_set(source, scale, recipes, trial, name, place, pool):
                rows.append(row)
                facts = {
                    "date": datetime.date.today().isoformat(),
                    "machine": f"{os.cpu_count()} CPU cores, {options.workers} arms at a time, torch {torch.__version__}",
                    "setting": options.setting, "scale": options.scale, "model": name,
                    "pictures": trial.pictures, "seeds": trial.seeds, "rows": rows,
                }  # fmt: skip
                record = options.out / f"{options.setting}.json"
                record.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
                print(f"{row['set']}, {row['recipe']}: {row['seconds']} s", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
