"""What is left of the protection when an imitator cleans the photos first, or trains against it: the worst case first.

    python -m benchmarks.robustness --photos SUBJECTS/dog SUBJECTS/can --out OUT --seeds 3 --workers 2
    python -m benchmarks.robustness --photos examples/style --preset style --out OUT --cleanings none jpeg75 gridpure

Arms are clean photos, random noise and EUDP, all of them cleaned alike. What an arm learned is relative to the clean arm that was
cleaned in the same way; how near its pictures come to the photos is not. Writes OUT/robustness.json and prints Markdown.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.texts import parse_method, parse_recipe
from benchmarks.trials import CLEAN, Plan, add_options, ended, run_and_record, spread, values_of
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.prompts import PRESETS
from udp.protection.methods import RandomNoise

RANDOM, PROTECTED = "random noise", "protected"
CLEANINGS = ("none", "jpeg95", "jpeg75", "jpeg50", "half", "blur", "crop", "vae", "upscale", "gridpure", "half+jpeg75",
             "upscale+jpeg75")  # fmt: skip


def imitators(rows: list[dict]) -> dict[tuple[str, str], list[dict]]:
    """The rows by recipe and cleaning."""
    found: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        found.setdefault((row["recipe"], row["cleaning"]), []).append(row)
    return found


def table(rows: list[dict]) -> str:
    """Markdown: a row an imitator, those first who learn most from protected photos; means over sets and seeds.

    The last line is the worst case: of each set and seed, the imitator who learned most.
    """
    lines = [
        "| imitator | learned, random noise | learned, protected | structure, clean / random / protected |",
        "|---|---|---|---|",
    ]

    def taught(of: list[dict]) -> float:
        return float(np.mean(values_of(of, PROTECTED, "learned")))

    for (title, cleaning), of in sorted(imitators(rows).items(), key=lambda item: -taught(item[1])):
        near = " / ".join(
            f"{np.mean(values_of(of, arm, 'structure_similarity')):.2f}" for arm in (CLEAN, RANDOM, PROTECTED)
        )
        learned = " | ".join(spread(values_of(of, arm, "learned"), percent=True) for arm in (RANDOM, PROTECTED))
        lines.append(f"| {title}, {cleaning} | {learned} | {near} |")
    cases: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        cases.setdefault((row["set"], row["seed"]), []).append(row["arms"][PROTECTED]["learned"])
    lines.append(
        f"| **the worst of these for each** | | {spread([max(of) for of in cases.values()], percent=True)} | |"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--cleanings", nargs="+", default=CLEANINGS, help="joined by + for one after the other")
    parser.add_argument("--recipes", nargs="+", default=["dreambooth"], help="as lora, or dreambooth:steps=900")
    parser.add_argument("--method", default="eudp", help="as eudp, or eudp:augment=all")
    parser.add_argument("--budget", type=float, default=8, help="in levels of 255")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="object", help="what the photos show")
    options = parser.parse_args(arguments)
    prompt = PRESETS[options.preset].instance_prompt

    def work() -> str:
        for cleaning in options.cleanings:
            parse_cleaning(cleaning)
        budget = options.budget / 255
        methods = {RANDOM: RandomNoise(budget=budget), PROTECTED: parse_method(options.method, budget)}
        recipes = {text: parse_recipe(text) for text in options.recipes}
        trial = Trial(prompt, prompt, pictures=options.pictures or 4)
        plan = Plan(options.model or "mini", methods, recipes, trial, tuple(options.cleanings), options.seeds)
        return table(run_and_record(plan, options, options.out / "robustness.json", {"method": options.method}))

    return ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
