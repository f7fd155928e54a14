"""What the square that PGD can start from does by itself, beside random signs and PGD, and what taking it out gives back.

    python -m benchmarks.start --photos SUBJECTS/dog SUBJECTS/cat SUBJECTS/can --out docs

On the photos of each folder, at the size that the embedded model sees: the distance that EUDP's own term raises
(`udp.protection.decoded`: how far what the autoencoder makes of the photo is from the photo; more is stronger). *Subtracted* is the
least distance that is left when somebody who has the square, and knows where it fits best, subtracts `SHARES` of it from photos that
`--methods` protected, from the start "universal" and from a random one. Prints Markdown and writes start.json.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.records import ended
from benchmarks.texts import parse_method
from udp.files import write_whole
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photos
from udp.protection.decoded import DecodedDistance
from udp.protection.pgd import PGD, PGDSettings
from udp.protection.start import RANDOM, UNIVERSAL, laid, square
from udp.tensors import to_pixels, to_tensor

METHODS = ["eudp:rounds=1", "eudp:rounds=2", "eudp"]
STEPS = 40  # of PGD on the distance alone
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)


class Distances:
    """Of one photo at the model's size, `clean` (1, 3, S, S) in [0, 1]."""

    def __init__(self, model: LatentDiffusionModel, clean: torch.Tensor) -> None:
        self.model, self.clean, self._distance = model, clean, DecodedDistance(model)

    def of(self, changed: torch.Tensor) -> torch.Tensor:
        """Scalar, differentiable, of a picture (1, 3, S, S)."""
        return self._distance(self.model.encode(changed), self.clean)

    @torch.no_grad()
    def least(self, changed: Iterable[torch.Tensor]) -> float:
        """The smallest of those of many pictures."""
        return min(float(self.of(one)) for one in changed)


def random_signs(clean: torch.Tensor, budget: float) -> torch.Tensor:
    """`clean` with every value moved by the budget, up or down by chance."""
    drawn = torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))
    return (clean + budget * (drawn - 0.5).sign()).clamp(0, 1)


def with_square(clean: torch.Tensor, budget: float, moved: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """`clean` under the square, moved by so many pixels."""
    return (clean + budget * laid(square(), clean.shape[-2:], moved)).clamp(0, 1)


def attacked(distances: Distances, budget: float) -> torch.Tensor:
    """The photo after `STEPS` steps of PGD up the distance, from a random start."""
    clean = distances.clean
    settings = PGDSettings(budget / 4, "ascend", 1, momentum=0.8, schedule="linear", total_steps=STEPS)
    attack = PGD([clean], [random_signs(clean, budget) - clean], [budget], settings)
    attack.run(lambda perturbed, originals, step: distances.of(perturbed[0]), STEPS)
    return clean + attack.perturbations[0]


def place_of(perturbation: torch.Tensor) -> tuple[int, int]:
    """Where in `perturbation` (1, 3, S, S) the square lies: by which pixels it is moved where it fits best."""
    side = square().shape[-1]
    repeats = [perturbation[0][:, i : i + side, j : j + side] for i, j in _corners(perturbation.shape[-1], side)]
    folded = torch.stack(repeats).mean(0)
    fits = torch.fft.ifft2(torch.fft.fft2(folded) * torch.fft.fft2(square()).conj()).real.sum(0)
    return divmod(int(fits.argmax()), side)


def _corners(size: int, side: int) -> Iterable[tuple[int, int]]:
    return itertools.product(range(0, size - side + 1, side), repeat=2)


def taken_out(distances: Distances, protected: torch.Tensor, budget: float) -> float:
    """The least distance that is left after subtracting some of the square from `protected`, by somebody who knows where it lies."""
    over = budget * laid(square(), protected.shape[-2:], place_of(protected - distances.clean))
    return distances.least((protected - share * over).clamp(0, 1) for share in SHARES)


def measured(
    photos: list[Photo], model: LatentDiffusionModel, methods: Sequence[str], budget: float
) -> dict[str, float]:
    """Means over photos."""
    squares = [model.prepare([to_tensor(photo.pixels)[None]]) for photo in photos]
    small = [Photo(photo.name, to_pixels(each[0])) for photo, each in zip(photos, squares, strict=True)]
    kinds = [(text, begins) for text in methods for begins in (UNIVERSAL, RANDOM)]
    made = [replace(parse_method(text, budget), start=begins, reach="off")(small, model) for text, begins in kinds]
    rows = []
    for photo, *protected in zip(small, *made, strict=True):
        clean, *changed = (model.prepare([to_tensor(one.pixels)[None]]) for one in (photo, *protected))
        distances = Distances(model, clean)
        row = {"clean": clean, "random signs": random_signs(clean, budget), "the square": with_square(clean, budget)}
        row |= {f"PGD, {STEPS} steps": attacked(distances, budget)}
        found = {name: distances.least([picture]) for name, picture in row.items()}
        for (text, begins), picture in zip(kinds, changed, strict=True):
            found[f"{text}, {begins} start"] = distances.least([picture])
            found[f"{text}, {begins} start, the square subtracted"] = taken_out(distances, picture, budget)
        rows.append(found)
    return {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}


def table(rows: Sequence[dict]) -> str:
    """Markdown: a row a picture, a column a set."""
    lines = [f"| photos | {' | '.join(row['set'] for row in rows)} |", "|---" * (len(rows) + 1) + "|"]
    for name in rows[0]["distance"]:
        found = " | ".join(f"{row['distance'][name]:.2f}" for row in rows)
        lines.append(f"| {name} | {found} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, a set each")
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    parser.add_argument("--model", default="mini", help="a name or a folder")
    parser.add_argument("--methods", nargs="+", default=METHODS, help="as eudp, or eudp:rounds=2")
    parser.add_argument("--budget", type=float, default=8, help="in levels of 255")
    options = parser.parse_args(arguments)

    def work() -> str:
        model = load_model(options.model)
        rows = []
        for folder in options.photos:
            photos = read_photos(list_photos(folder))
            distance = measured(photos, model, options.methods, options.budget / 255)
            rows.append({"set": folder.resolve().name, "photos": len(photos), "distance": distance})
            print(f"{rows[-1]['set']}: done", flush=True)
        facts = {
            "date": datetime.date.today().isoformat(),
            "machine": f"{os.cpu_count()} CPU cores, torch {torch.__version__}",
            "budget_levels": options.budget, "methods": options.methods, "rows": rows,
        }  # fmt: skip
        options.out.mkdir(parents=True, exist_ok=True)
        write_whole(options.out / "start.json", json.dumps(facts, indent=1) + "\n")
        return table(rows)

    return ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
