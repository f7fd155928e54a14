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

from benchmarks.transfer import direct_attack, effect, encoder_of, load
from udp.models.encoders import Encoder
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import list_photos, read_photo
from udp.tensors import fit_square, to_pixels, to_tensor

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


def attacked(encode: Callable, squares: torch.Tensor, budget: float) -> torch.Tensor:
    """`squares`, each moved within `budget` to where its latents by `encode` are furthest."""
    encoder = Encoder("", encode)
    moves = [direct_attack(encoder, square, budget) for square in squares.split(1)]
    return (squares + torch.cat(moves)).clamp(0, 1)


def beside(model: LatentDiffusionModel, teacher: AutoencoderTiny, photos: Sequence[torch.Tensor]) -> None:
    """Print how the latents of `photos` (1, 3, H, W) differ from the teacher's, and what moves the teacher's."""
    taught = encoder_of("teacher", teacher).encode
    for side in SIDES:
        with torch.no_grad():
            pairs = [(model.encode(one), taught(one)) for one in (fit_square(photo, side) for photo in photos)]
        apart = np.mean([float((a - b).square().mean().sqrt() / b.std()) for a, b in pairs])
        print(f"{side} px: latents {apart:.2f} standard deviations from the teacher's", flush=True)
    squares = torch.cat([fit_square(photo, model.resolution) for photo in photos])
    signs = torch.randint(0, 2, squares.shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    changes = {
        "nothing": squares,
        "random signs": (squares + signs * TEACHER_BUDGET).clamp(0, 1),
        "attack on the model": attacked(model.encode, squares, TEACHER_BUDGET),
        "attack on the teacher": attacked(taught, squares, TEACHER_BUDGET),
    }
    for name, changed in changes.items():
        effects = [effect(teacher, *pair) for pair in zip(squares.split(1), changed.split(1), strict=True)]
        shift, decoded = np.mean(effects, 0)
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
        attack = attacked(model.encode, squares, levels / 255)
        print(f"| {levels}/255 | {measure(attack)} | {measure((squares + noise).clamp(0, 1))} |", flush=True)
    if options.teacher:
        beside(model, load(options.teacher), photos)


if __name__ == "__main__":
    main()
