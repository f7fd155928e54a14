"""Learn the perturbation that works on most photos, where PGD can start (`udp.protection.start`).

    python -m recipe.data --packages . --out data        # see recipe.train
    python -m recipe.universal --data data --out udp/mini/universal.png

One square of `PERIOD` pixels, repeated without seams: each step lays it, moved by a few pixels of its own, over a batch of other
pictures and takes a sign-gradient step for all of them together (Moosavi-Dezfooli et al. 2017, arXiv 1610.08401, with PGD in place of
DeepFool), up the distance of what the embedded autoencoder makes of them (`udp.protection.decoded`); every second step sees them mirrored
or not, through random windows. Renders are welcome among `--data`, and not needed. Writes it as a picture, 255 for the budget and 1 for minus that.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recipe.pictures import squares, view
from udp.models.loading import load_model
from udp.protection.decoded import DecodedDistance
from udp.protection.start import laid

PERIOD = 64  # pixels of the model
BUDGET = 8 / 255
STEP, MOMENTUM = 1.5 / 255, 0.9
REPORT_EVERY = 50


def learn(images: np.ndarray, steps: int, batch: int, seed: int) -> torch.Tensor:
    """From uint8 (N, S, S, 3) to a square (3, PERIOD, PERIOD) in [-1, 1], in shares of the budget."""
    model, random = load_model("mini"), torch.Generator().manual_seed(seed)
    distance, begun, mean = DecodedDistance(model), time.monotonic(), 0.0
    tile = torch.rand((3, PERIOD, PERIOD), generator=random) * 2 - 1
    velocity = torch.zeros_like(tile)
    for step in range(steps):
        chosen = torch.randint(len(images), (batch,), generator=random)
        clean = torch.from_numpy(images[chosen.numpy()]).permute(0, 3, 1, 2).float() / 255
        moves = torch.randint(PERIOD, (batch, 2), generator=random).tolist()
        tile.requires_grad_()
        added = BUDGET * torch.stack([laid(tile, clean.shape[-2:], (down, right)) for down, right in moves])
        pair = torch.cat([clean, (clean + added).clamp(0, 1)], 1)
        if step % 2:
            pair = view(pair, random).clamp(0, 1)  # the same window of both
        clean, perturbed = pair.detach()[:, :3], pair[:, 3:]
        loss = distance(model.encode(perturbed), clean)
        (gradient,) = torch.autograd.grad(loss, tile)
        velocity = MOMENTUM * velocity + gradient / gradient.abs().mean()
        size = STEP / BUDGET * (1 - step / steps)
        tile = (tile.detach() + size * velocity.sign()).clamp(-1, 1)
        mean += loss.item()
        if (step + 1) % REPORT_EVERY == 0:
            print(f"{step + 1} of {steps}: {mean / REPORT_EVERY:.3f}, {time.monotonic() - begun:.0f} s", flush=True)
            mean = 0.0
    return tile


def main() -> None:
    """Parse, learn, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of recipe.data and recipe.renders")
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=8, help="pictures a step")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images, _ = squares(options.data, options.seed)
    tile = learn(images, options.steps, options.batch, options.seed)
    levels = (128 + 127 * tile).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
