"""What a fine-tune has learned of clean photos, and in which time, for several models and recipes beside one another:

    python -m benchmarks.lessons --photos examples/subject SUBJECTS/dog --out docs/lessons.json \\
      --fine-tunes mini=dreambooth OLD=dreambooth:batch_size=8,learning_rate=1e-3

A fine-tune is MODEL=RECIPE; a recipe is written as dreambooth:steps=300. *Loss* is that on fixed noise and timesteps
(`udp.evaluation.metrics.features.clean_loss`), lower is better. Each runs alone, with `--threads` of the processor.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from pathlib import Path

import torch

from benchmarks.records import ended
from benchmarks.texts import parse_recipe
from udp.errors import InvalidInput
from udp.evaluation.metrics.features import clean_loss
from udp.files import write_whole
from udp.models.loading import load_model
from udp.photos import list_photos, read_photos

PROMPT = "a photo of sks"


def lesson(model_name: str, recipe_text: str, folder: Path, seed: int) -> dict:
    """The row of one fine-tune."""
    model, photos = load_model(model_name), read_photos(list_photos(folder))
    recipe = model.suited(parse_recipe(recipe_text))
    begun = time.perf_counter()
    tuned = recipe.fit(photos, model, PROMPT, seed)
    seconds = time.perf_counter() - begun
    before, after = (clean_loss(model, network, photos, PROMPT) for network in (model.network, tuned.network))
    return {
        "set": folder.name, "model": Path(model_name).name, "recipe": recipe_text, "steps": recipe.steps,
        "batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate, "seconds": round(seconds, 1),
        "weights": sum(weight.numel() for weight in model.network.parameters()),
        "loss_before": round(before, 4), "loss": round(after, 4),
    }  # fmt: skip


def table(rows: list[dict]) -> str:
    """Markdown: a line for each fine-tune, a column for each set."""
    sets = list(dict.fromkeys(row["set"] for row in rows))
    lines = [
        f"| model | weights | recipe | ms a step | {' | '.join(f'loss, {name}' for name in sets)} |",
        "|---" * (4 + len(sets)) + "|",
    ]
    for model, recipe in dict.fromkeys((row["model"], row["recipe"]) for row in rows):
        found = {row["set"]: row for row in rows if (row["model"], row["recipe"]) == (model, recipe)}
        first = next(iter(found.values()))
        step = sum(row["seconds"] for row in found.values()) / sum(row["steps"] for row in found.values())
        values = [
            f"{found[name]['loss_before']:.2f} to {found[name]['loss']:.3f}" if name in found else "" for name in sets
        ]
        lines.append(
            f"| {model} | {first['weights'] / 1e6:.1f} M | {first['steps']} steps of {first['batch_size']} at "
            f"{first['learning_rate']:g} | {1000 * step:.0f} | {' | '.join(values)} |"
        )
    return "\n".join(lines)


def work(options: argparse.Namespace) -> str:
    """All fine-tunes; the record is written anew after each. Raises `InvalidInput` for a text that is no fine-tune."""
    if options.threads:
        torch.set_num_threads(options.threads)
    asked = [text.partition("=") for text in options.fine_tunes]
    for (model, equals, recipe), text in zip(asked, options.fine_tunes, strict=True):
        if not (model and equals and recipe):
            raise InvalidInput(f"expected a fine-tune as MODEL=RECIPE, got {text!r}")
        parse_recipe(recipe)
    for what, names in (
        ("fine-tunes", [(Path(model).name, recipe) for model, _, recipe in asked]),
        ("sets", [folder.name for folder in options.photos]),
    ):
        if len(set(names)) < len(names):
            raise InvalidInput(f"expected {what} with names of their own, got {', '.join(map(str, names))}")
    rows: list[dict] = []
    for folder in options.photos:
        for model, _, recipe in asked:
            rows.append(lesson(model, recipe, folder, options.seed))
            facts = {
                "date": datetime.date.today().isoformat(),
                "machine": f"{torch.get_num_threads()} of {os.cpu_count()} CPU cores, torch {torch.__version__}",
            }
            write_whole(options.out, json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    return table(rows)


def main(arguments: list[str] | None = None) -> int:
    """Train, write, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, a set each")
    parser.add_argument("--fine-tunes", nargs="+", required=True, metavar="MODEL=RECIPE")
    parser.add_argument("--threads", type=int, help="of the processor (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the record, JSON")
    options = parser.parse_args(arguments)
    return ended(lambda: work(options))


if __name__ == "__main__":
    raise SystemExit(main())
