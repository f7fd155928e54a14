"""Random crops of the training pictures at many sizes, for the autoencoder: detail differs from one size to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recipe.pictures import listed

SIDES = (96, 128, 181, 256, 362, 512, 640)  # of the shorter side in pixels
RENDERS = 0.3  # share of crops from the renders, which have one size
PHOTO_WEIGHT = 3.0  # a photograph is drawn as often as three cartoons


class Crops:
    """Draws squares of `size` pixels, mirrored or not, from the pictures in `folders` at sizes of at most `largest`."""

    def __init__(self, folders: list[Path], size: int, seed: int, largest: int = SIDES[-1]) -> None:
        self.size, self.random = size, np.random.default_rng(seed)
        self.pictures: list[list[np.ndarray]] = []
        weights: list[float] = []
        renders: list[np.ndarray] = []
        for folder in folders:
            for row, picture in listed(folder):
                sizes = [s for s in SIDES if size <= s <= min(largest, *picture.size)]
                self.pictures.append([_scaled(picture, side) for side in sizes])
                weights.append(PHOTO_WEIGHT if row["kind"] == "photo" else 1.0)
            for shard in sorted(folder.glob("part-*.npz")):
                renders += list(np.load(shard)["images"])
        self.chances = np.array(weights) / sum(weights)
        self.renders = renders

    def draw(self, count: int) -> torch.Tensor:
        """(count, 3, size, size) in [0, 1], channels last."""
        random, size, found = self.random, self.size, []
        for _ in range(count):
            if self.renders and random.random() < RENDERS:
                picture = self.renders[random.integers(len(self.renders))]
            else:
                sizes = self.pictures[random.choice(len(self.pictures), p=self.chances)]
                picture = sizes[random.integers(len(sizes))]
            top, left = (int(random.integers(length - size + 1)) for length in picture.shape[:2])
            crop = picture[top : top + size, left : left + size]
            found.append(crop[:, ::-1] if random.random() < 0.5 else crop)
        batch = torch.from_numpy(np.ascontiguousarray(np.stack(found))).permute(0, 3, 1, 2).float() / 255
        return batch.contiguous(memory_format=torch.channels_last)


def _scaled(picture: Image.Image, side: int) -> np.ndarray:
    scale = side / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
