"""How visible a protection is, beside what it does: butteraugli against the effect on what the latents decode to.

    python -m benchmarks.visibility --photos examples/subject --autoencoder TAESD --out docs

`TAESD` is a folder with a published autoencoder in diffusers format, of the model's own latents, that the protections do not
know. The photos, as squares of `--side` pixels, are protected as one set by each of `--methods`. For each: butteraugli's
distance to the photos (Debian: libjxl-devtools), PSNR and SSIM; *effect*, how far what the published autoencoder makes of the
protected photos at the model's resolution is from the photos, less what it makes of clean ones (LPIPS with equal weights on the
features of the embedded model's encoder, as `udp.protection.decoded` has it). Means over the photos; prints Markdown and writes
visibility.json. Those of `--race` keep their own steps, where the others get as many gradients as the default: their seconds, one after
the other on all cores, say what the same effect costs. No imitator is trained here: see `benchmarks.subjects`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.texts import gradients_of, parse_method
from benchmarks.transfer import encoder_of, load, seen
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photos
from udp.protection.decoded import DecodedDistance
from udp.protection.methods import EUDP
from udp.tensors import fit_square, to_pixels, to_tensor

METHODS = (
    "random", "eudp", "eudp:reach_share=0.4", "eudp:perceptual=color", "eudp:perceptual=texture", "eudp:perceptual=color+texture",
)  # fmt: skip
LEVELS = (8.0, 6.0)  # the second for the default alone: what a smaller budget gives away
# Not at equal cost: how long does the default's method take for what AdvDM's usual hundred steps do?
RACE = (
    "advdm:pgd_steps=100", "eudp:rounds=2,reach=off", "eudp:rounds=1,start=universal", "eudp:rounds=2,start=universal", "eudp:rounds=2",
    "eudp:rounds=3", "eudp:rounds=4", "eudp:rounds=13",
)  # fmt: skip


def squares(photos: list[Photo], side: int) -> torch.Tensor:
    """Centre squares, (N, 3, side, side) in [0, 1]."""
    return torch.cat([fit_square(to_tensor(photo.pixels)[None], side) for photo in photos])


class Effect:
    """How far from the photos a published autoencoder's pictures of protected ones are, beyond those of the photos."""

    def __init__(self, model: LatentDiffusionModel, folder: Path, photos: list[Photo]) -> None:
        self.model, self.autoencoder = model, load(folder)
        self.clean = squares(photos, model.resolution)
        self.distance = DecodedDistance(_Through(model, self.autoencoder))
        self.own = self._of(photos)

    def __call__(self, protected: list[Photo]) -> float:
        """The mean over the photos."""
        return self._of(protected) - self.own

    @torch.no_grad()
    def _of(self, photos: list[Photo]) -> float:
        latents = encoder_of("", self.autoencoder).encode(squares(photos, self.model.resolution))
        return float(self.distance(latents, self.clean))


class _Through:
    """The embedded model's eyes on the published autoencoder's pictures."""

    def __init__(self, model: LatentDiffusionModel, autoencoder: torch.nn.Module) -> None:
        self.encoder_features, self.autoencoder = model.encoder_features, autoencoder

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return (self.autoencoder.decode(latents).sample / 2 + 0.5).clamp(0, 1)


def table(rows: list[dict]) -> str:
    """Markdown, a row a protection."""
    lines = ["| protection | butteraugli | PSNR, SSIM | effect |", "|---|---|---|---|"]
    for row in rows:
        if not row.get("race"):
            lines.append(
                f"| {row['method']}, {row['levels']:g}/255 | {row['butteraugli']} | {row['psnr_db']} dB, {row['ssim']} | "
                f"{row['effect']:.2f} |"
            )
    return "\n".join(lines)


def race(rows: list[dict]) -> str:
    """Markdown: effect and seconds of those that kept their own steps."""
    lines = ["| protection | effect | seconds |", "|---|---|---|"]
    lines += [f"| {row['method']} | {row['effect']:.2f} | {row['seconds']} |" for row in rows if row.get("race")]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--race", nargs="*", default=RACE, metavar="METHOD", help="with steps of their own")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--out", type=Path, help="folder for visibility.json")
    options = parser.parse_args()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    model = load_model(options.model)
    photos = [
        Photo(photo.name, to_pixels(fit_square(to_tensor(photo.pixels)[None], options.side)[0]))
        for photo in read_photos(list_photos(options.photos))
    ]
    effect = Effect(model, options.autoencoder, photos)
    rows = []
    equal = gradients_of(EUDP())
    for levels, texts, gradients in (
        (LEVELS[0], options.methods, equal), (LEVELS[1], ["eudp"], equal), (LEVELS[0], options.race, None),
    ):  # fmt: skip
        for text in texts:
            method = parse_method(text, levels / 255, gradients)
            begun = time.monotonic()
            protected = method(photos, model)
            seconds = time.monotonic() - begun
            found = [seen(before, after.pixels) for before, after in zip(photos, protected, strict=True)]
            means = {key: float(np.mean([figures[key] for figures in found])) for key in found[0]}
            rows.append({
                "method": text, "levels": levels, "butteraugli": round(means["butteraugli"], 1),
                "psnr_db": round(means["psnr_db"], 1), "ssim": round(means["ssim"], 3),
                "effect": round(effect(protected), 2), "seconds": round(seconds), "race": gradients is None,
            })  # fmt: skip
            print(rows[-1], flush=True)
    print(table(rows), race(rows), sep="\n\n")
    if options.out:
        facts = {
            "date": datetime.date.today().isoformat(),
            "machine": f"{torch.get_num_threads()} of {os.cpu_count()} CPU cores, torch {torch.__version__}",
            "photos": len(photos),
            "side": options.side,
            "rows": rows,
        }
        (options.out / "visibility.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
