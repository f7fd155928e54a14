"""Every protection method at several budgets, at equal cost, against the same fine-tune.

    python -m benchmarks.compare_methods --photos SUBJECTS --subjects dog can --out compare
    python -m benchmarks.compare_methods --photos SUBJECTS --out compare --methods eudp eudp:momentum=1 advdm --budgets 8

A cell is one subject, method and budget: protect, fine-tune on the result, and see how much of the clean photos the model
learned. Every method gets the same number of gradients a photo (PGD steps times draws; surrogate steps and forward-only
passes come on top, so seconds are given too). A cell is a JSON file, written when it is done: stop whenever you like, and
the same command goes on where it stopped. Cells made with other settings are made again. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from udp.errors import InvalidInput, UDPError
from udp.evaluation.bench import imitator_photos
from udp.evaluation.metrics.features import clean_loss
from udp.evaluation.trial import Trial
from udp.files import finished, finishing
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.recipes import RECIPES
from udp.imitation.recipes.base import Recipe
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photos
from udp.protection.base import ProtectionMethod
from udp.protection.methods import METHODS
from udp.protection.visibility import visibility
from udp.settings import check_settings, describe_settings, given, kind_of

CLEAN = "clean"
SWITCH = {"true": True, "false": False}
Changed = TypeVar("Changed", ProtectionMethod, Recipe)


def parse_method(text: str, budget: float, gradients: int | None = None) -> ProtectionMethod:
    """A method from "eudp" or "eudp:momentum=1,augment=jpeg", at `gradients` a photo if given. Raises `InvalidInput`."""
    name, _, changes = text.partition(":")
    if name not in METHODS:
        raise InvalidInput(f"expected a method among {', '.join(METHODS)}, got {name!r}")
    method = changed(METHODS[name](budget=budget), changes)
    method = method if gradients is None else at_cost(method, gradients)
    check_settings(method)
    return method


def parse_recipe(text: str, steps: int | None = None) -> Recipe:
    """A recipe from "lora" or "dreambooth:batch_size=16", of `steps` if given. Raises `InvalidInput`."""
    name, _, changes = text.partition(":")
    if name not in RECIPES:
        raise InvalidInput(f"expected a recipe among {', '.join(RECIPES)}, got {name!r}")
    recipe = changed(RECIPES[name](), changes)
    recipe = dataclasses.replace(recipe, steps=steps) if steps else recipe
    check_settings(recipe)
    return recipe


def changed(base: Changed, changes: str) -> Changed:
    """`base` with the settings in "momentum=1,augment=jpeg". Raises `InvalidInput`."""
    known = {item.name: item for item in dataclasses.fields(base)}
    for change in filter(None, changes.split(",")):
        field, _, value = change.partition("=")
        if field not in known:
            raise InvalidInput(f"expected a setting of {base.name} among {', '.join(known)}, got {field!r}")
        kind = kind_of(known[field])
        try:
            value = SWITCH[value] if kind is bool else kind(value)
            base = dataclasses.replace(base, **{field: given(known[field], value)})
        except (KeyError, ValueError):
            raise InvalidInput(f"expected {field} to be a {kind.__name__}, got {value!r}") from None
    return base


def at_cost(method: ProtectionMethod, gradients: int) -> ProtectionMethod:
    """The same method with as many rounds, or PGD steps where it has no rounds, as `gradients` a photo allow.

    Rounds get the method's own PGD steps or fewer, down to half, so that all gradients are spent, where a number does that.
    """
    fields = {item.name for item in dataclasses.fields(method)}
    steps = max(1, gradients // getattr(method, "draws", 1))
    if "rounds" in fields:
        own = method.pgd_steps
        size = next((size for size in range(own, -(-own // 2) - 1, -1) if steps % size == 0), own)
        return dataclasses.replace(method, rounds=max(1, round(steps / size)), pgd_steps=size)
    return dataclasses.replace(method, pgd_steps=steps) if "pgd_steps" in fields else method


def gradients_of(method: ProtectionMethod) -> int:
    """How many gradients a photo costs: PGD steps times draws."""
    return getattr(method, "rounds", 1) * getattr(method, "pgd_steps", 0) * getattr(method, "draws", 1)


def measure(photos: list[Photo], method: ProtectionMethod | None, options: argparse.Namespace) -> dict[str, Any]:
    """One cell: the figures of `method`, or of the clean photos for None, which also has the base model's loss."""
    model, trial = load_model(options.model), Trial(seed=options.seed, cleaning=options.cleaning)
    start = time.monotonic()
    protected = method(photos, model, trial.instance_prompt, options.seed) if method else photos
    seconds = time.monotonic() - start
    arm = imitator_photos({"arm": protected}, model, trial)["arm"]
    tuned = parse_recipe(options.recipe, options.steps).fit(arm, model, trial.instance_prompt, options.seed)
    figures = {"clean_loss": clean_loss(model, tuned.network, photos, trial.instance_prompt)}
    if method is None:
        return {**figures, "base_loss": clean_loss(model, model.network, photos, trial.instance_prompt)}
    seen = [visibility(a, b) for a, b in zip(photos, protected, strict=True)]
    return {
        **figures,
        **{key: float(np.mean([v[key] for v in seen])) for key in ("psnr_db", "ssim")},
        "largest_difference_levels": max(v["largest_difference_levels"] for v in seen),
        "gradients": gradients_of(method),
        "seconds": round(seconds, 1),
    }


def cell(path: Path, photos: list[Photo], method: ProtectionMethod | None, options: argparse.Namespace) -> dict:
    """The figures stored at `path`, if they were made with these settings, else new ones, stored when complete."""
    key = {
        "method": {"name": method.name, **describe_settings(method)} if method else CLEAN,
        **{name: getattr(options, name) for name in ("model", "recipe", "steps", "seed", "cleaning")},
        "photos": [photo.name for photo in photos],
    }
    key = json.loads(json.dumps(key))  # as it will be read: a tuple is a list there
    figures = finished(path, key, lambda content: content["figures"])
    if figures is None:
        figures = measure(photos, method, options)
        with finishing(path, key) as content:
            content["figures"] = figures
    return figures


def learned(figures: dict, clean: dict) -> float:
    """The share of the clean arm's learning that an arm reached (see `udp.evaluation.verdict`); NaN if that learned nothing."""
    gain = clean["base_loss"] - clean["clean_loss"]
    return (clean["base_loss"] - figures["clean_loss"]) / gain if gain > 0 else float("nan")


def table(rows: Sequence[dict], subjects: int) -> str:
    """Markdown: means over the subjects, and the range of what the protected arm learned."""
    lines = [
        f"Means over {subjects} subject{'s' if subjects > 1 else ''}; the clean arm is 100 % by definition.",
        "",
        "| method | budget | PSNR, SSIM | learned: random | learned: protected | range | gradients | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['method']} | {row['levels']}/255 | {row['psnr_db']:.1f} dB, {row['ssim']:.3f} | "
            f"{row['random']:.0%} | {row['learned']:.0%} | {row['least']:.0%} to {row['most']:.0%} | "
            f"{row['gradients']:.0f} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def compare(options: argparse.Namespace) -> list[dict]:
    """All cells, subject by subject and budget by budget; a row for each method and budget."""
    names = options.subjects or sorted(p.name for p in options.photos.iterdir() if p.is_dir())
    found: dict[tuple[str, int], list[dict]] = {}
    for name in names:
        photos = read_photos(list_photos(options.photos / name))
        clean = cell(options.out / name / f"{CLEAN}.json", photos, None, options)
        for levels in options.budgets:
            noise = None
            for text in dict.fromkeys(["random", *options.methods]):
                method = parse_method(text, levels / 255, options.gradients)
                path = options.out / name / f"{text.replace(':', '-').replace(',', '-')}-{levels}.json"
                figures = cell(path, photos, method, options)
                share = learned(figures, clean)
                noise = share if noise is None else noise
                found.setdefault((text, levels), []).append({**figures, "learned": share, "random": noise})
                print(f"{name} {text} {levels}/255: learned {share:.0%}", flush=True)
    rows = []
    for (text, levels), cells in found.items():
        means = {key: float(np.mean([c[key] for c in cells])) for key in cells[0]}
        shares = [c["learned"] for c in cells]
        rows.append({**means, "method": text, "levels": levels, "least": min(shares), "most": max(shares)})
    return sorted(rows, key=lambda row: (row["levels"], row["learned"]))


def main(arguments: list[str] | None = None) -> int:
    """Run, print the table; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder with one folder of photos a subject")
    parser.add_argument("--subjects", nargs="+", help="folder names (default: all)")
    parser.add_argument("--methods", nargs="+", default=[name for name in METHODS if name != "random"])
    parser.add_argument("--budgets", nargs="+", type=int, default=[4, 8, 16], help="in levels of 255")
    parser.add_argument("--gradients", type=int, default=200, help="PGD steps times draws, a photo")
    parser.add_argument("--recipe", default="dreambooth", help="as dreambooth, or dreambooth:batch_size=16")
    parser.add_argument("--steps", type=int, help="training steps of each arm (default: the recipe's)")
    parser.add_argument("--cleaning", default="none", help="what the imitator does to the photos first")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for the cells and table.md")
    options = parser.parse_args(arguments)
    try:
        options.steps = parse_recipe(options.recipe, options.steps).steps
        parse_cleaning(options.cleaning)
        rows = compare(options)
    except UDPError as error:
        print(f"error: {error}")
        return 2
    text = table(rows, len(options.subjects or [p for p in options.photos.iterdir() if p.is_dir()]))
    (options.out / "table.md").write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
