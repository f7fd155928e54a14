"""Every protection method at several budgets, at equal gradients, against the same patient imitator.

    python -m benchmarks.compare_methods --photos SUBJECTS/dog SUBJECTS/can --out OUT --workers 2
    python -m benchmarks.compare_methods --photos SUBJECTS/dog --out OUT --methods eudp eudp:momentum=1 advdm --budgets 8

Every method gets as many gradients a photo (PGD steps times draws; surrogate steps and forward-only passes come on top, so
seconds are given too) as EUDP has by default; with `--gradients 0` as many as it has itself. Stop whenever you like: the same
command goes on where it stopped. Writes OUT/methods.json and prints a Markdown table.
"""

from __future__ import annotations

import argparse

from benchmarks.records import add_options, ended, run_and_record, spread, values_of
from benchmarks.texts import gradients_of, parse_method, parse_recipe
from benchmarks.trials import CLEAN, Plan
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.prompts import PRESETS
from udp.protection.methods import EUDP, METHODS

NOISE = "random"
VARIANTS = ("eudp:start=universal",)  # beside every method as it is


def table(rows: list[dict]) -> str:
    """Markdown: a row a method and budget, those first that leave least; means over sets and seeds."""
    lines = [
        "| method | budget | learned | structure | PSNR, SSIM | gradients | seconds |",
        "|---|---|---|---|---|---|---|",
        f"| clean | | 100% | {spread(values_of(rows, CLEAN, 'structure_similarity'))} | | | |",
    ]

    def order(arm: str) -> tuple[int, float]:
        taught = values_of(rows, arm, "learned")
        return int(arm.rpartition(" ")[2].removesuffix("/255")), sum(taught) / len(taught)

    for arm in sorted(rows[0]["changes"], key=order):
        method, _, budget = arm.rpartition(" ")
        of = [row["changes"][arm] for row in rows]
        psnr, ssim, seconds = (sum(one[key] for one in of) / len(of) for key in ("psnr_db", "ssim", "seconds"))
        lines.append(
            f"| {method} | {budget} | {spread(values_of(rows, arm, 'learned'), percent=True)} | "
            f"{spread(values_of(rows, arm, 'structure_similarity'))} | {psnr:.1f} dB, {ssim:.3f} | "
            f"{of[0]['gradients']} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run, print the table; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--methods", nargs="+", default=[*(name for name in METHODS if name != NOISE), *VARIANTS])
    parser.add_argument("--budgets", nargs="+", type=int, default=[4, 8, 16], help="in levels of 255")
    parser.add_argument(
        "--gradients", type=int, default=gradients_of(EUDP()), help="PGD steps times draws, a photo; 0: a method's own"
    )
    parser.add_argument("--recipe", default="dreambooth", help="as dreambooth, or dreambooth:batch_size=16")
    parser.add_argument("--cleaning", default="none", help="what the imitator does to the photos first")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="object", help="what the photos show")
    options = parser.parse_args(arguments)
    prompt = PRESETS[options.preset].instance_prompt

    def work() -> str:
        methods = {
            f"{text} {levels}/255": parse_method(text, levels / 255, options.gradients or None)
            for levels in options.budgets
            for text in dict.fromkeys([NOISE, *options.methods])
        }
        parse_cleaning(options.cleaning)
        trial = Trial(prompt, prompt, pictures=options.pictures or 4)
        recipes = {options.recipe: parse_recipe(options.recipe)}
        plan = Plan(options.model or "mini", methods, recipes, trial, (options.cleaning,), options.seeds)
        return table(run_and_record(plan, options, options.out / "methods.json", {"gradients": options.gradients}))

    return ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
