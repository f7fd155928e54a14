"""Whether a protection made against the embedded model holds for imitators who train other networks, by other noise schedules.

    python -m benchmarks.imitators --photos SUBJECTS/dog SUBJECTS/can SUBJECTS/cat --out OUT --workers 2

Arms are clean photos, random noise and EUDP, made once against the embedded model. Each imitator fine-tunes a model of his own by
DreamBooth: the embedded one, or one with its autoencoder, words and text encoder and a U-Net of random weights, with other layers or
another schedule and prediction as `VARIANTS` says. `--also FOLDER` adds trained ones. What is the same for all of them is the
autoencoder: other autoencoders are in `benchmarks.transfer`. What an arm of random weights has *learned* is mostly how to denoise
at all, which any photos teach, so the losses stand beside it. Writes OUT/imitators.json and prints
Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from diffusers import (
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)

from benchmarks.records import add_options, ended, run_and_record, spread, values_of
from benchmarks.texts import parse_method, parse_recipe
from benchmarks.trials import CLEAN, Plan
from udp.errors import InvalidInput
from udp.evaluation.trial import Trial
from udp.imitation.prompts import PRESETS
from udp.models.loading import load_model
from udp.models.seeded import seeded
from udp.protection.methods import RandomNoise

RANDOM, PROTECTED = "random noise", "protected"
TRAINED = "the embedded model"
# Two levels attend to the words where the embedded one has one, and each has two layers for one: nearer to Stable Diffusion's.
DEEPER = {
    "block_out_channels": (64, 128, 192),
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SCHEDULERS = {
    "velocity, no signal at the end": None,  # the embedded model's
    "noise, Stable Diffusion 1.x": DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    "rectified flow": FlowMatchEulerDiscreteScheduler(shift=1.0),
}
RANDOM_WEIGHTS = ", random weights"
# The U-Net's changes and the schedule, by the title.
VARIANTS: dict[str, tuple[Mapping[str, Any], str]] = {
    "the same network": ({}, "velocity, no signal at the end"),
    "deeper and narrower": (DEEPER, "velocity, no signal at the end"),
    "predicts noise, schedule of Stable Diffusion 1.x": ({}, "noise, Stable Diffusion 1.x"),
    "rectified flow": ({}, "rectified flow"),
}


def write_variant(title: str, base: StableDiffusionPipeline, folder: Path, seed: int = 0) -> Path:
    """The pipeline `base` with the network and the scheduler of `VARIANTS`, in a folder that `load_model` reads."""
    changes, schedule = VARIANTS[title]
    config = {name: value for name, value in base.unet.config.items() if not name.startswith("_")}
    with seeded(seed):
        unet = UNet2DConditionModel.from_config({**config, **changes})
    parts = {**base.components, "unet": unet, "scheduler": SCHEDULERS[schedule] or base.scheduler}
    StableDiffusionPipeline(**parts, requires_safety_checker=False).save_pretrained(folder)
    return folder


def table(rows: list[dict]) -> str:
    """Markdown: a row an imitator, means over sets and seeds; of what was learned the smallest and the largest in brackets."""
    three = "clean / random noise / protected"
    lines = [
        f"| imitator | learned: random noise | learned: protected | loss on the clean photos, {three} | structure, {three} |",
        "|---|---|---|---|---|",
    ]
    for title in dict.fromkeys(row["recipe"] for row in rows):
        of = [row for row in rows if row["recipe"] == title]
        learned = [spread(values_of(of, arm, "learned"), percent=True) for arm in (RANDOM, PROTECTED)]
        means = [
            " / ".join(f"{np.mean(values_of(of, arm, key)):.2f}" for arm in (CLEAN, RANDOM, PROTECTED))
            for key in ("clean_loss", "structure_similarity")
        ]
        shown = f"{title}{RANDOM_WEIGHTS if title in VARIANTS else ''}"
        lines.append(f"| {shown} | {' | '.join([*learned, *means])} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--method", default="eudp", help="as eudp, or eudp:augment=all")
    parser.add_argument("--budget", type=float, default=8, help="in levels of 255")
    parser.add_argument("--steps", type=int, help="of each fine-tune")
    parser.add_argument("--variants", nargs="*", choices=[*VARIANTS], default=[*VARIANTS], metavar="TITLE")
    parser.add_argument(
        "--also", type=Path, nargs="+", default=[], help="folders of trained models, called by their names"
    )
    options = parser.parse_args(arguments)
    prompt, model = PRESETS["object"].instance_prompt, options.model or "mini"

    def work() -> str:
        base = load_model(model).pipeline
        places = {
            title: write_variant(title, base, options.out / "models" / str(number))
            for number, title in enumerate(VARIANTS)
            if title in options.variants
        }
        others = {title: str(place) for title, place in places.items()}
        for place in options.also:
            if (name := place.resolve().name) in (TRAINED, *others):
                raise InvalidInput(f"expected --also folders of names that no other imitator has, got {name!r}")
            others[name] = str(place)
        recipes = {title: parse_recipe("dreambooth", options.steps) for title in (TRAINED, *others)}
        budget = options.budget / 255
        methods = {RANDOM: RandomNoise(budget=budget), PROTECTED: parse_method(options.method, budget)}
        trial = Trial(prompt, prompt, pictures=options.pictures or 4)
        plan = Plan(model, methods, recipes, trial, seeds=options.seeds, others=others)
        return table(run_and_record(plan, options, options.out / "imitators.json", {"method": options.method}))

    return ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
