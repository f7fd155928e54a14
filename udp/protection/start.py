"""Where PGD starts: at random, at the photos themselves, or at a perturbation that already works on most photos.

What leads the embedded autoencoder astray on one photo does so on others: a square of 64 pixels, repeated without seams and moved
by any number of pixels, does what some rounds of PGD would. That counts where there are few, unless it is subtracted again
(benchmarks/RESULTS.md). It was learned once (`recipe.universal`), in the manner of universal adversarial perturbations (Moosavi-Dezfooli
et al. 2017, arXiv 1610.08401). By itself it is no protection: everybody has it, and could find where it lies and take it out again.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from PIL import Image

# At zero the gradient's sign may be no better than a coin's, but some published methods start there.
RANDOM, ZERO, UNIVERSAL = "random", "zero", "universal"
STARTS = (RANDOM, ZERO, UNIVERSAL)
SQUARE = Path(__file__).parents[1] / "mini" / "universal.png"


@functools.cache
def square() -> torch.Tensor:
    """The square, (3, P, P) in [-1, 1], in shares of the budget."""
    levels = np.asarray(Image.open(SQUARE).convert("RGB"), dtype=np.float32)
    return torch.from_numpy((levels - 128) / 127).permute(2, 0, 1).clamp(-1, 1)


def laid(tile: torch.Tensor, size: tuple[int, int], moved: tuple[int, int]) -> torch.Tensor:
    """`tile` (3, P, P) repeated over (3, height, width), moved down and right by so many pixels; differentiable."""
    rows, columns = (
        (torch.arange(length) - by) % side for length, by, side in zip(size, moved, tile.shape[-2:], strict=True)
    )
    return tile[:, rows][:, :, columns]


def universal_start(
    image: torch.Tensor, limit: torch.Tensor, resolution: int, generator: torch.Generator
) -> torch.Tensor:
    """The square over a photo (1, 3, H, W) at the limit, each of its pixels as large as one that the model sees, or as one of the photo's.

    `limit` broadcasts to the photo, in pixel units; `resolution` is the side in pixels of what the model sees. Where the square
    begins is drawn from `generator`.
    """
    tile = square()
    height, width = image.shape[-2:]
    scale = max(1.0, min(height, width) / resolution)
    seen = round(height / scale), round(width / scale)
    down, right = torch.randint(tile.shape[-1], (2,), generator=generator).tolist()
    over = laid(tile, seen, (down, right))[None]
    enlarged = torch.nn.functional.interpolate(over, size=(height, width), mode="nearest-exact")
    return enlarged * limit
