"""What a step costs, beside a plain variant that does what the field's scripts do, and beside the arithmetic itself.

    python -m benchmarks.speed --out docs/speed.json
    python -m benchmarks.speed --model random-sd15 --count 1 --batch 1 --steps 2 --rounds 1 --out docs/speed-sd15.json

Three kinds of work: a DreamBooth step, a PGD step of AdvDM over all photos, and a step of sampling four pictures with guidance.
*Plain* is ours too, in the way of the public scripts: gradients into all of the U-Net's weights, the text encoded and the photo's latents
made again in every step, PGD one photo at a time (as AdvDM's and Mist's do; Anti-DreamBooth's takes all in one batch), the usual
memory layout, the pipeline of diffusers. It is timed in float32 and in bfloat16 by autocast, because ours takes bfloat16 where the
processor has units for it. Every measurement is a process of its own, the variants in turn, so a ratio is of one run; seconds are
medians over steps and rounds, the first step of each process left out. *Floor* is how long the operations of ours take at the
rate that this machine multiplies large matrices at. `--lesson` fine-tunes once more with each variant, from the same weights by the same
rate, and gives the loss on fixed noise after that many steps: what a step teaches. Start-up is measured as a user meets it, from the shell.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.memory import OPTIONS, RANDOM, random_sd15
from benchmarks.records import spread
from benchmarks.steps import PICTURES, PROMPT, WORK, Clock, Enough
from udp.evaluation.metrics.features import clean_loss
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.models.memory import MemoryOptions, peak_memory
from udp.photos import list_photos, read_photos

START = {
    "udp --help": ["-m", "udp", "--help"],
    "udp protect --help": ["-m", "udp", "protect", "--help"],
    "the page, built": ["-c", "from udp.ui.page import build; from udp.ui.state.owner import Owner; build(Owner())"],
}
VARIANTS = ("ours", "plain", "plain_bf16")
LESSON = "lesson"
GIVEN = ("model", "photos", "count", "batch", "steps", "threads", "lesson", "seed")  # to the process of one measurement


def measure(options: argparse.Namespace, work: str, variant: int) -> dict[str, float]:
    """Seconds of a step and the process's peak memory in GiB; `variant` is an index of `VARIANTS`.

    Of the work `LESSON` the seconds of a fine-tuning step, and the loss on fixed noise after `options.lesson` of them.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = load(options.model)
    photos = read_photos(list_photos(options.photos))[: options.count]
    clock = Clock(options.lesson if work == LESSON else options.steps)
    ours, plain = WORK["fine-tuning step" if work == LESSON else work]
    given = {"plain": {}, "plain_bf16": {"half": functools.partial(torch.autocast, "cpu", torch.bfloat16)}}
    with contextlib.suppress(Enough):
        if (name := VARIANTS[variant]) in given:
            plain(model, photos, options.batch, clock, **given[name])
        else:
            ours(model, photos, options.batch, clock, options.seed)
    if work == LESSON:
        return {"seconds": clock.seconds(), "loss": clean_loss(model, clock.network, photos, PROMPT)}
    return {"seconds": clock.seconds(), "gib": peak_memory(model.device) / 2**30}


def load(name: str, dtype: torch.dtype = torch.float32, options: MemoryOptions | None = None) -> LatentDiffusionModel:
    """A model by its name, or one of Stable Diffusion 1.5's size with random weights, laid out in memory as any is on a CPU."""
    if torch.cuda.is_available():
        raise SystemExit("expected a machine without a GPU, for which the plain variants are written, got one")
    model = random_sd15(dtype, options or OPTIONS["none"]) if name == RANDOM else load_model(name, dtype, options)
    if not isinstance(model, LatentDiffusionModel):
        raise SystemExit(f"expected a latent diffusion model, which the plain variants are written for, got {name}")
    return model


def operations(model: LatentDiffusionModel, count: int, batch: int) -> dict[str, float]:
    """Floating-point operations of one step of each kind of ours: a backward pass counts as two forward ones."""

    def forward(run: Callable[[], object]) -> float:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run()
        return counter.get_total_flops()

    pixels = torch.zeros(1, 3, model.resolution, model.resolution)
    latents, text = model.encode(pixels).detach(), model.embed(PROMPT)  # which no step of ours encodes again
    network = forward(lambda: model.denoise(model.network, latents, torch.zeros(1, dtype=torch.long), text))
    encoder = forward(lambda: model.encode(pixels))
    # PGD needs gradients of activations alone, one more forward pass; a fine-tune those of weights too.
    return {
        "fine-tuning step": 3 * network * batch,
        "PGD step": 2 * (network + encoder) * count,
        "sampling step": 2 * network * PICTURES,
    }


def matrix_rates(threads: int, side: int = 2048) -> dict[str, float]:
    """Operations a second of a large matrix product, by number format: the best of five."""
    torch.set_num_threads(threads)
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
        taken = []
        for _ in range(6):
            start = time.perf_counter()
            a @ b
            taken.append(time.perf_counter() - start)
        rates[str(dtype).removeprefix("torch.")] = 2 * side**3 / min(taken[1:])
    return rates


def in_own_process(module: str, options: argparse.Namespace, names: Sequence[str], work: str, variant: object) -> dict:
    """What `--one` of a benchmark prints, in a new Python process that is given the options called `names`."""
    command = [sys.executable, "-m", module, "--one", work, str(variant)]
    for name in names:
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def in_turn(variants: Sequence[str], rounds: int, run: Callable[[str], dict]) -> dict[str, list[dict]]:
    """What `run` gives for each variant, all of them in every round, backwards in every second."""
    found: dict[str, list[dict]] = {name: [] for name in variants}
    for turn in range(rounds):
        for variant in variants[::-1] if turn % 2 else variants:
            found[variant].append(run(variant))
    return found


def start_up(rounds: int) -> dict[str, float]:
    """Seconds from the shell to each of `START`, the median."""
    found: dict[str, list[float]] = {name: [] for name in START}
    for _ in range(rounds):
        for name, arguments in START.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            found[name].append(time.perf_counter() - begun)
    return {name: round(statistics.median(taken), 2) for name, taken in found.items()}


def rows(options: argparse.Namespace, rates: dict[str, float]) -> list[dict]:
    """Every kind of work, its variants in turn, backwards in every second round; `rates` as `matrix_rates` gives them."""
    count = operations(load(options.model), options.count, options.batch)
    fastest = max(rates.values())
    made = []
    for work in options.work:
        run = functools.partial(in_own_process, "benchmarks.speed", options, GIVEN, work)
        found = in_turn(VARIANTS, options.rounds, lambda name, run=run: run(VARIANTS.index(name)))
        row = {
            "work": work,
            **{f"{name}_seconds": statistics.median(each["seconds"] for each in found[name]) for name in VARIANTS},
            **{f"{name}_gib": max(each["gib"] for each in found[name]) for name in VARIANTS},
            "gflop": count[work] / 1e9,
            "floor_seconds": count[work] / fastest,
        }
        made.append({name: value if name == "work" else float(f"{value:.3g}") for name, value in row.items()})
        print(table(made[-1:]).splitlines()[-1], flush=True)
    return made


def lessons(options: argparse.Namespace) -> dict:
    """The losses that each variant's fine-tunes end with, a seed a round, their steps, and the loss before; nothing without steps."""
    if not options.lesson:
        return {}
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for seed in range(options.rounds):
        given = argparse.Namespace(**{**vars(options), "seed": seed})
        for index, name in enumerate(VARIANTS):
            found[name].append(round(in_own_process("benchmarks.speed", given, GIVEN, LESSON, index)["loss"], 4))
    model, photos = load(options.model), read_photos(list_photos(options.photos))[: options.count]
    return {"steps": options.lesson, "before": round(clean_loss(model, model.network, photos, PROMPT), 4), **found}


def taught(lesson: dict) -> str:
    """A sentence; empty without a lesson."""
    if not lesson:
        return ""
    ours, plain, half = (spread(lesson[name]) for name in VARIANTS)
    return (
        f"Loss on the photos, at fixed noise, after {lesson['steps']} steps, seeds: {len(lesson['ours'])}: ours {ours}, plain {plain}, plain "
        f"in bfloat16 {half}; before {lesson['before']:.3g}."
    )


def table(made: list[dict]) -> str:
    """Markdown."""
    lines = [
        "| | ours | plain | plain, bfloat16 | times as fast as either | memory, ours and plain | operations | floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in made:
        taken = [row[f"{name}_seconds"] for name in VARIANTS]
        shown = " | ".join(f"{1000 * seconds:.0f} ms" for seconds in taken)
        lines.append(
            f"| {row['work']} | {shown} | {taken[1] / taken[0]:.1f}, {taken[2] / taken[0]:.1f} | "
            f"{row['ours_gib']:.1f} and {row['plain_gib']:.1f} GiB | {row['gflop']:.0f} GFLOP | "
            f"{1000 * row['floor_seconds']:.0f} ms |"
        )
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser, work: Iterable[str], steps: int, rounds: int) -> None:
    """The options of a benchmark whose every measurement is a process of its own; `steps` and `rounds` are their defaults."""
    parser.add_argument("--photos", type=Path, default=Path("examples/subject"))
    parser.add_argument("--steps", type=int, default=steps, help="timed in each process, the first of them left out")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0, help="of `--one`")
    parser.add_argument("--work", nargs="+", choices=tuple(work), default=tuple(work))
    parser.add_argument("--out", type=Path, help="JSON")
    parser.add_argument("--one", nargs=2, metavar=("WORK", "VARIANT"), help="measure one in this process")


def main(arguments: list[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help=f"a latent diffusion model, or {RANDOM}")
    parser.add_argument("--count", type=int, default=4, help="photos that a PGD step moves")
    parser.add_argument("--batch", type=int, default=4, help="photos in a fine-tuning step")
    parser.add_argument(
        "--lesson", type=int, default=600, help="steps of the fine-tunes whose loss is compared; 0: none"
    )
    add_options(parser, WORK, steps=12, rounds=3)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(measure(options, options.one[0], int(options.one[1]))))
        return
    rates = matrix_rates(options.threads)
    facts = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{options.threads} of {os.cpu_count()} CPU cores, torch {torch.__version__}",
        "settings": {name: getattr(options, name) for name in ("model", "count", "batch", "steps", "rounds")},
        "matrix_gflops": {name: round(rate / 1e9) for name, rate in rates.items()},
        "rows": rows(options, rates),
        "lesson": lessons(options),
        "start_seconds": start_up(options.rounds),
    }
    if options.out:
        options.out.write_text(json.dumps(facts, indent=2) + "\n")
    fast = " and ".join(f"{rate} GFLOP/s in {name}" for name, rate in facts["matrix_gflops"].items())
    print(f"\n{table(facts['rows'])}\n\n{facts['machine']}: {fast}. {taught(facts['lesson'])}")
    print(", ".join(f"{name}: {seconds} s" for name, seconds in facts["start_seconds"].items()))


if __name__ == "__main__":
    main()
