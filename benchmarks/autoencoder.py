"""How sharp and how sensitive a model's autoencoder is, on the first photo of each subject.

    python -m benchmarks.autoencoder --photos SUBJECTS [--model mini]

Prints reconstruction PSNR and SSIM, and for budgets of 4, 8 and 16 / 255 the rms shift of the latents (over the clean
latents' standard deviation) and the PSNR of decode(encode(x + delta)) against x, under 40 sign-gradient steps that
maximise the latent distance, and under random signs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import list_photos, read_photo
from udp.protection.pgd import PGD, PGDSettings
from udp.tensors import to_pixels, to_tensor

STEPS = 40


def quality(model: LatentDiffusionModel, latents: torch.Tensor, squares: torch.Tensor) -> tuple[float, float]:
    """Mean PSNR in dB and SSIM of the decoded latents against the squares."""
    decoded, originals = ([to_pixels(i) for i in batch] for batch in (model.decode(latents), squares))
    pairs = list(zip(originals, decoded, strict=True))
    return (
        float(np.mean([peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs])),
        float(np.mean([structural_similarity(a, b, channel_axis=2, data_range=255) for a, b in pairs])),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", default="mini")
    options = parser.parse_args()
    model = load_model(options.model)
    folders = sorted(p for p in options.photos.iterdir() if p.is_dir())
    photos = [to_tensor(read_photo(list_photos(folder)[0]).pixels)[None] for folder in folders]
    squares = model.prepare(photos)
    images = list(squares.split(1))
    with torch.no_grad():
        clean = model.encode(squares)
    psnr, ssim = quality(model, clean, squares)
    print(f"{len(images)} photos at {model.resolution} px: reconstruction {psnr:.1f} dB, SSIM {ssim:.3f}")
    print("| budget | attack: shift | attack: decoded | random: shift | random: decoded |\n|---|---|---|---|---|")
    generator = torch.Generator().manual_seed(0)

    def distance(perturbed: Sequence[torch.Tensor], photos: Sequence[torch.Tensor], step: int) -> torch.Tensor:
        return (model.encode(torch.cat(list(perturbed))) - clean).square().mean()

    def measure(perturbation: torch.Tensor) -> str:
        with torch.no_grad():
            latents = model.encode((squares + perturbation).clamp(0, 1))
        shift = float((latents - clean).square().mean().sqrt() / clean.std())
        return f"{shift:.2f} | {quality(model, latents, squares)[0]:.1f} dB"

    for levels in (4, 8, 16):
        signs = [torch.randint(0, 2, i.shape, generator=generator) * 2.0 - 1 for i in images]
        random = [s * levels / 255 for s in signs]
        settings = PGDSettings(levels / 255 / 8, "ascend", len(images))
        attack = PGD(images, [r * 0.5 for r in random], [levels / 255] * len(images), settings)
        attack.run(distance, STEPS)
        print(
            f"| {levels}/255 | {measure(torch.cat(attack.perturbations))} | {measure(torch.cat(random))} |", flush=True
        )


if __name__ == "__main__":
    main()
