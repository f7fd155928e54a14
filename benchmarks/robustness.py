"""What is left of the protection when an imitator cleans the photos first, or trains against it: the worst case first.

    python -m benchmarks.robustness --photos SUBJECTS/dog SUBJECTS/can --out OUT --seeds 3 --workers 2
    python -m benchmarks.robustness --photos examples/style --preset style --out OUT --cleanings none jpeg75 gridpure

Arms are clean photos, random noise and EUDP, all of them cleaned alike. What an arm learned is a share of what the same imitator
learns from clean photos without cleaning, so what a cleaning costs the imitator is seen in the clean arm; the cleaning "none" is
always among them. Writes OUT/robustness.json and prints Markdown.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from benchmarks.records import add_options, ended, run_and_record, spread, values_of
from benchmarks.texts import parse_method, parse_recipe
from benchmarks.trials import CLEAN, Plan
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import learned
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.prompts import PRESETS
from udp.protection.methods import RandomNoise

RANDOM, PROTECTED, UNTOUCHED = "random noise", "protected", "none"
LEAST_LESSON = 0.2  # of what clean photos teach without cleaning
CLEANINGS = (UNTOUCHED, "jpeg95", "jpeg75", "jpeg50", "half", "blur", "crop", "vae", "invert", "upscale", "gridpure", "half+jpeg75",
             "upscale+jpeg75")  # fmt: skip


def shares(rows: list[dict]) -> list[dict]:
    """The rows, each with what every arm `learned` of what the clean photos teach the same imitator without cleaning.

    NaN where those taught nothing.
    """
    untouched = {(row["set"], row["seed"], row["recipe"]): row for row in rows if row["cleaning"] == UNTOUCHED}
    found = []
    for row in rows:
        whole = untouched[row["set"], row["seed"], row["recipe"]]["arms"]
        base, clean, clean_base = row["arms"]["base"], whole[CLEAN], whole["base"]
        taught = {arm: learned(base, figures, clean, clean_base) for arm, figures in row["arms"].items()}
        found.append({**row, "learned": taught})
    return found


def worst_cases(rows: list[dict]) -> list[float]:
    """Of each set and seed what the imitator learned who learned most; without those where clean photos taught nothing."""
    cases: dict[tuple[str, int], list[float]] = {}
    for row in shares(rows):
        cases.setdefault((row["set"], row["seed"]), []).append(row["learned"][PROTECTED])
    return [max(of) for of in cases.values() if not any(map(math.isnan, of))]


def least_effect(rows: list[dict]) -> tuple[str, dict[str, float]] | None:
    """The cleaning after which random noise and the protection differ least in what is learned, and what each arm learns; means.

    Of cleanings after which clean photos still teach `LEAST_LESSON`: where nobody learns, nothing can differ. None without any.
    """
    found: dict[str, list[dict]] = {}
    for row in shares(rows):
        if row["cleaning"] != UNTOUCHED:
            found.setdefault(row["cleaning"], []).append(row["learned"])
    means = {name: {arm: float(np.mean([one[arm] for one in of])) for arm in of[0]} for name, of in found.items()}
    kept = {name: taught for name, taught in means.items() if taught[CLEAN] >= LEAST_LESSON}
    return min(kept.items(), key=lambda item: item[1][RANDOM] - item[1][PROTECTED], default=None)


def table(rows: list[dict]) -> str:
    """Markdown: a row an imitator, those first who learn most from protected photos; means over sets and seeds.

    The last line is the worst case: of each set and seed, the imitator who learned most.
    """
    lines = [
        "| imitator | learned: clean | learned: random noise | learned: protected | structure, clean / random / protected |",
        "|---|---|---|---|---|",
    ]
    found: dict[tuple[str, str], list[dict]] = {}
    for row in shares(rows):
        found.setdefault((row["recipe"], row["cleaning"]), []).append(row)

    def taught(of: list[dict], arm: str) -> list[float]:
        return [row["learned"][arm] for row in of]

    def most(item: tuple[tuple[str, str], list[dict]]) -> float:
        mean = float(np.mean(taught(item[1], PROTECTED)))
        return math.inf if math.isnan(mean) else -mean

    for (title, cleaning), of in sorted(found.items(), key=most):
        near = " / ".join(
            f"{np.mean(values_of(of, arm, 'structure_similarity')):.2f}" for arm in (CLEAN, RANDOM, PROTECTED)
        )
        known = " | ".join(spread(taught(of, arm), percent=True) for arm in (CLEAN, RANDOM, PROTECTED))
        lines.append(f"| {title}, {cleaning} | {known} | {near} |")
    worst = spread(worst_cases(rows) or [math.nan], percent=True)
    return "\n".join([*lines, f"| **the worst of these for each** | | | {worst} | |"])


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
        cleanings = tuple(dict.fromkeys((UNTOUCHED, *options.cleanings)))
        plan = Plan(options.model or "mini", methods, recipes, trial, cleanings, options.seeds)
        return table(run_and_record(plan, options, options.out / "robustness.json", {"method": options.method}))

    return ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
