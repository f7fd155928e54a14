"""How sharp and how sensitive a model's autoencoder is, on the first photo of each subject.

    python -m benchmarks.autoencoder --photos SUBJECTS [--model mini] [--teacher TAESD]

Prints reconstruction PSNR and SSIM, and for budgets of 4, 8 and 16 / 255 the rms shift of the latents (over the clean
latents' standard deviation) and the PSNR of decode(encode(x + delta)) against x, under 40 sign-gradient steps that
maximise the latent distance, and under random signs. `--teacher`, a folder or Hub id with the autoencoder that the model's was
learned from, adds how far the two's latents are apart at several sizes, what the teacher reconstructs, and how far the teacher's
latents move under attacks on the model, on the teacher itself, and under random signs, all at 8 / 255.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import list_photos, read_photo
from udp.protection.pgd import PGD, PGDSettings
from udp.tensors import fit_square, to_pixels, to_tensor

Encode = Callable[[torch.Tensor], torch.Tensor]  # (N, 3, S, S) in [0, 1] to latents
STEPS = 40
SIDES = (128, 256, 512)  # pixels, of the comparison with a teacher
TEACHER_BUDGET = 8 / 255


def quality(model: LatentDiffusionModel, latents: torch.Tensor, squares: torch.Tensor) -> tuple[float, float]:
    """Mean PSNR in dB and SSIM of the decoded latents against the squares."""
    decoded, originals = ([to_pixels(i) for i in batch] for batch in (model.decode(latents), squares))
    pairs = list(zip(originals, decoded, strict=True))
    return (
        float(np.mean([peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs])),
        float(np.mean([structural_similarity(a, b, channel_axis=2, data_range=255) for a, b in pairs])),
    )


def attacked(encode: Encode, squares: torch.Tensor, budget: float, start: torch.Tensor) -> torch.Tensor:
    """`squares` after `STEPS` sign-gradient steps away from their latents by `encode`, from the perturbation `start`."""
    with torch.no_grad():
        clean = encode(squares)

    def distance(perturbed: Sequence[torch.Tensor], photos: Sequence[torch.Tensor], step: int) -> torch.Tensor:
        return (encode(torch.cat(list(perturbed))) - clean).square().mean()

    images = list(squares.split(1))
    attack = PGD(images, list(start.split(1)), [budget] * len(images), PGDSettings(budget / 8, "ascend", len(images)))
    attack.run(distance, STEPS)
    return (squares + torch.cat(attack.perturbations)).clamp(0, 1)


def beside(model: LatentDiffusionModel, teacher: AutoencoderTiny, photos: Sequence[torch.Tensor]) -> None:
    """Print how the latents of `photos` (1, 3, H, W) differ from the teacher's, and what moves the teacher's."""

    def taught(pixels: torch.Tensor) -> torch.Tensor:
        return teacher.encode(pixels * 2 - 1).latents

    for side in SIDES:
        squares = torch.cat([fit_square(photo, side) for photo in photos])
        with torch.no_grad():
            pairs = [(model.encode(one), taught(one)) for one in squares.split(1)]
        apart = np.mean([float((a - b).square().mean().sqrt() / b.std()) for a, b in pairs])
        print(f"{side} px: latents {apart:.2f} standard deviations from the teacher's", flush=True)
    squares = torch.cat([fit_square(photo, model.resolution) for photo in photos])
    signs = torch.randint(0, 2, squares.shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    start = signs * TEACHER_BUDGET
    changes = {
        "nothing": squares,
        "random signs": (squares + start).clamp(0, 1),
        "attack on the model": attacked(model.encode, squares, TEACHER_BUDGET, start * 0.5),
        "attack on the teacher": attacked(taught, squares, TEACHER_BUDGET, start * 0.5),
    }
    with torch.no_grad():
        clean = taught(squares)
        for name, changed in changes.items():
            latents = taught(changed)
            shift = float((latents - clean).square().mean().sqrt() / clean.std())
            error = (teacher.decode(latents).sample / 2 + 0.5).clamp(0, 1) - squares
            decoded = float((-10 * error.square().mean((1, 2, 3)).log10()).mean())
            print(f"teacher, {name}: shift {shift:.2f}, decoded {decoded:.1f} dB", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--teacher", help="folder or Hub id of the autoencoder that the model's was learned from")
    options = parser.parse_args()
    model = load_model(options.model)
    folders = sorted(p for p in options.photos.iterdir() if p.is_dir())
    photos = [to_tensor(read_photo(list_photos(folder)[0]).pixels)[None] for folder in folders]
    squares = model.prepare(photos)
    with torch.no_grad():
        clean = model.encode(squares)
    psnr, ssim = quality(model, clean, squares)
    print(f"{len(squares)} photos at {model.resolution} px: reconstruction {psnr:.1f} dB, SSIM {ssim:.3f}")
    print("| budget | attack: shift | attack: decoded | random: shift | random: decoded |\n|---|---|---|---|---|")
    generator = torch.Generator().manual_seed(0)

    def measure(changed: torch.Tensor) -> str:
        with torch.no_grad():
            latents = model.encode(changed)
        shift = float((latents - clean).square().mean().sqrt() / clean.std())
        return f"{shift:.2f} | {quality(model, latents, squares)[0]:.1f} dB"

    for levels in (4, 8, 16):
        signs = torch.cat([torch.randint(0, 2, i.shape, generator=generator) * 2.0 - 1 for i in squares.split(1)])
        noise = signs * levels / 255
        attack = attacked(model.encode, squares, levels / 255, noise * 0.5)
        print(f"| {levels}/255 | {measure(attack)} | {measure((squares + noise).clamp(0, 1))} |", flush=True)
    if options.teacher:
        teacher = AutoencoderTiny.from_pretrained(options.teacher, dtype=torch.float32).float().requires_grad_(False)
        beside(model, teacher.eval(), photos)


if __name__ == "__main__":
    main()
