"""What each part of EUDP is worth: timesteps, surrogate, the autoencoder's term, gradients; a patient and a hasty imitator.

    python -m benchmarks.ablation --photos SUBJECTS/dog --out OUT --seeds 3 --workers 2

All variants have the default's budget, step size, schedule and momentum, nine rounds where it has thirteen, and no steps at 512 px,
which change what the embedded model sees and are measured in `benchmarks.transfer`. *Frozen* is a surrogate without training steps,
*alternating* the default's; half and twice are four rounds and eighteen; all but the last see random crops. Writes OUT/ablation.json
and prints a Markdown table.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from benchmarks.records import add_options, ended, run_and_record, spread, values_of
from benchmarks.texts import parse_recipe
from benchmarks.trials import CLEAN, Plan
from udp.evaluation.trial import Trial
from udp.imitation.prompts import PRESETS
from udp.protection.base import ProtectionMethod
from udp.protection.methods import EUDP, RandomNoise

NOISE = "random noise"
ROUNDS = 9  # what the first seeds were measured with
# Every weight, for as long as the default takes and for a third of it.
IMITATORS = {"patient": "dreambooth", "hasty": "dreambooth:steps=200"}


def variants() -> dict[str, ProtectionMethod]:
    """By name: EUDP with one, two or three parts taken away, or with other numbers of gradients; and random noise."""
    base = replace(EUDP(), reach="off", rounds=ROUNDS)
    found: dict[str, ProtectionMethod] = {NOISE: RandomNoise(budget=base.budget)}
    for term, weight in (("autoencoder's term", base.encoder_weight), ("no such term", 0.0)):
        for kind, steps in (("alternating", base.surrogate_steps), ("frozen", 0)):
            for drawn, weights in (("sqrt(alpha_bar)", base.timestep_weights), ("uniform", "uniform")):
                changes = {"encoder_weight": weight, "surrogate_steps": steps, "timestep_weights": weights}
                found[f"{term}, {kind}, {drawn}"] = replace(base, **changes)
    return found | {
        "the first of these, half the gradients": replace(base, rounds=base.rounds // 2),
        "the first of these, twice the gradients": replace(base, rounds=2 * base.rounds),
        "the first of these, made for whole photos alone": replace(base, augment="none"),
    }


def table(rows: list[dict]) -> str:
    """Markdown: a row a variant; what each imitator learned and how near the patient one's pictures come to a photo."""
    by = {name: [row for row in rows if row["recipe"] == name] for name in IMITATORS}
    lines = [
        f"| variant | {' | '.join(f'learned, {name}' for name in by)} | structure, patient | gradients, seconds |",
        "|---" * (len(by) + 3) + "|",
    ]
    for arm in (arm for arm in rows[0]["arms"] if arm != "base"):
        cost = [row["changes"][arm] for row in rows if arm != CLEAN]
        spent = f"{cost[0]['gradients']}, {sum(one['seconds'] for one in cost) / len(cost):.0f}" if cost else ""
        learned = " | ".join(spread(values_of(of, arm, "learned"), percent=True) for of in by.values())
        lines.append(
            f"| {arm} | {learned} | {spread(values_of(by['patient'], arm, 'structure_similarity'))} | {spent} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args(arguments)
    prompt = PRESETS["object"].instance_prompt
    recipes = {name: parse_recipe(text) for name, text in IMITATORS.items()}
    trial = Trial(prompt, prompt, pictures=options.pictures or 4)
    plan = Plan(options.model or "mini", variants(), recipes, trial, seeds=options.seeds)
    return ended(lambda: table(run_and_record(plan, options, options.out / "ablation.json", {})))


if __name__ == "__main__":
    raise SystemExit(main())
