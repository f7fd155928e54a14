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
base model's own network, untrained on the arms: they compare arms of one table and nothing else. Writes OUT/paper-SETTING.json after
each set and prints Markdown. Whatever was finished is kept in OUT and not made again, so a killed run goes on. `--plan` measures
a step of each kind and says how long all would take.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from benchmarks.records import add_options, ended, run_and_record, spread, values_of
from benchmarks.texts import gradients_of, parse_method, parse_recipe
from benchmarks.trials import Plan, loaded
from udp.evaluation.trial import Trial
from udp.imitation.prompts import PRESETS
from udp.protection.base import ProtectionMethod
from udp.protection.methods import EUDP

LEVELS = (8, 16)
METHODS = ("random", "advdm", "udp", "eudp")
SCALES = ("small", "paper")
# What is shown; FID and the like need many pictures.
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
SCRATCH = "dreambooth:from_scratch=true,batch_size="
SETTINGS: dict[str, dict[str, Scale]] = {
    "ddpm": {
        "small": Scale("mini-pixel", (f"{SCRATCH}16,steps=1000,learning_rate=1e-3",), 48, 96),
        "paper": Scale("ddpm-cifar10", (f"{SCRATCH}16,steps=4000,learning_rate=2e-4,random_flip=true",), 5000, 1000),
    },
    "ldm": {
        "small": Scale("mini", (f"{SCRATCH}8,steps=1000,learning_rate=3e-4",), 16, 32),
        "paper": Scale("ldm-celebahq", (f"{SCRATCH}16,steps=4000,learning_rate=1e-4",), 5000, 1000),
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


def table(rows: list[dict]) -> str:
    """Markdown: for each recipe a row an arm, means over sets and seeds; in brackets the smallest and the largest."""
    lines = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        of = [row for row in rows if row["recipe"] == recipe]
        keys = [key for key in ("learned", *FIGURES) if all(key in row["arms"]["clean"] for row in of)]
        lines += [f"| {recipe} | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
        for arm in (arm for arm in of[0]["arms"] if arm != "base"):
            shown = (spread(values_of(of, arm, key), percent=key == "learned") for key in keys)
            lines.append(f"| {arm} | {' | '.join(shown)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def plan(what: Plan, sets: list[Path]) -> str:
    """How long it all would take on this machine, from a few steps of each kind."""
    model, prompt, photos = loaded(what.model), what.trial.instance_prompt, what.read(sets[0])[:4]
    count = sum(len(what.read(path)) for path in sets) * what.seeds
    protecting = 0.0
    for method in (method for method in what.methods.values() if method.uses_model):
        few, more = shortened(method, 1), shortened(method, 3)
        first, last = (timed(lambda part=part: part(photos, model, prompt)) for part in (few, more))
        a_gradient = max(0.0, last - first) / (gradients_of(more) - gradients_of(few))
        # What is left of the first has nothing to do with their number: steps at 512 px, the photos' measures.
        protecting += (first + a_gradient * (gradients_of(method) - gradients_of(few))) / len(photos) * count
    learning, arms = 0.0, (1 + len(what.methods)) * len(sets) * what.seeds
    for recipe in what.recipes.values():
        short = [replace(recipe, steps=steps) for steps in (10, 20)]
        few, more = (timed(lambda part=part: part.fit(photos, model, prompt)) for part in short)
        learning += (few + max(0.0, more - few) / 10 * (recipe.steps - 10)) * arms
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


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=tuple(SETTINGS), required=True)
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--recipes", nargs="+", help="instead of the setting's, as lora or dreambooth:steps=100")
    parser.add_argument("--plan", action="store_true", help="say how long it would take, and do no more")
    add_options(parser)
    options = parser.parse_args(arguments)
    scale = SETTINGS[options.setting][options.scale]
    texts = options.recipes or scale.recipes
    names = [text.partition(":")[0] for text in texts]

    def work() -> str:
        recipes = {
            name if names.count(name) == 1 else text: parse_recipe(text)
            for name, text in zip(names, texts, strict=True)
        }
        trial = Trial(scale.prompt, scale.prompt, pictures=options.pictures or scale.pictures)
        what = Plan(options.model or scale.model, methods(), recipes, trial, seeds=options.seeds, photos=scale.photos)
        if options.plan:
            return plan(what, options.photos)
        facts = {"setting": options.setting, "scale": options.scale}
        return table(run_and_record(what, options, options.out / f"paper-{options.setting}.json", facts))

    return ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
