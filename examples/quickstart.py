"""The Python interface in one script: protect a few photos, attack them, and say what the imitator got.

    python -m examples.quickstart --out out/quickstart

takes a few minutes on two processor cores; `--quick` shows in well under a minute that everything runs, with far too few
steps to protect or to learn anything.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from udp import attack, load_model, protect
from udp.evaluation.trial import Trial
from udp.photos import write_png

SUBJECT = Path(__file__).parent / "subject"


def main(arguments: list[str] | None = None) -> None:
    """Protect, attack, write PNGs and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SUBJECT, help="a folder of photos of one subject")
    parser.add_argument("--out", type=Path, required=True, help="where the PNGs go")
    parser.add_argument("--model", default="mini", help="a model's name, a diffusers folder or a Hub id")
    parser.add_argument("--quick", action="store_true", help="as few steps as possible")
    options = parser.parse_args(arguments)
    protection = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 2} if options.quick else {}
    trial = Trial(pictures=1, sampling_steps=2) if options.quick else Trial()
    training = {"steps": 10} if options.quick else {}

    model = load_model(options.model)
    protected = protect(options.photos, model, budget=8 / 255, **protection)
    report = attack(options.photos, protected, model, recipe="lora", trial=trial, **training)

    options.out.mkdir(parents=True, exist_ok=True)
    for photo in protected:
        write_png(options.out / f"{photo.name}.png", photo)
    for arm in (report.base, *report.arms):
        for index, image in enumerate(arm.images):
            Image.fromarray(image).save(options.out / f"{arm.name}_{index}.png")
        print(arm.name, {name: round(value, 3) for name, value in arm.metrics.items()})
    print(report.verdict)


if __name__ == "__main__":
    main()
