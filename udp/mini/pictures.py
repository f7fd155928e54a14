"""The training pictures in memory: crops for the autoencoder, captioned squares for the U-Net."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

PYRAMID = (72, 96, 128, 168, 224, 288)


class CropSource:
    """Random square crops of every picture at several scales, in [0, 1], shape (batch, 3, side, side).

    `folders` hold `pictures.jsonl` (from `udp.mini.data`) or `part-*.npz` shards (from `udp.mini.renders`);
    the first kind weighs 2, the second 1, so that real photographs dominate.
    """

    def __init__(self, folders: list[Path], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.pictures: list[list[np.ndarray]] = []
        weights: list[float] = []
        for folder in folders:
            images, weight = self._load(folder)
            self.pictures += images
            weights += [w / max(1, len(images)) for w in weight]
        total = np.array(weights)
        self.weights = total / total.sum()

    @staticmethod
    def _load(folder: Path) -> tuple[list[list[np.ndarray]], list[float]]:
        images, weights = [], []
        if (folder / "pictures.jsonl").exists():
            for line in (folder / "pictures.jsonl").read_text().splitlines():
                row = json.loads(line)
                image = Image.open(folder / "pictures" / row["file"]).convert("RGB")
                levels = []
                for side in PYRAMID:
                    scale = side / min(image.size)
                    if scale <= 1:
                        size = (round(image.width * scale), round(image.height * scale))
                        levels.append(np.asarray(image.resize(size, Image.Resampling.LANCZOS)))
                images.append(levels)
                weights.append(2.0 if row["kind"] == "photo" else 1.0)
        for shard in sorted(folder.glob("part-*.npz")):
            for image in np.load(shard)["images"]:
                images.append([image])
                weights.append(2.0)
        return images, weights

    def draw(self, batch: int, side: int) -> torch.Tensor:
        """`batch` crops of `side` pixels, flipped at random and with a small random change of contrast and colour."""
        crops = np.empty((batch, side, side, 3), dtype=np.float32)
        for index, chosen in enumerate(self.random.choice(len(self.pictures), batch, p=self.weights)):
            levels = self.pictures[chosen]
            level = levels[self.random.integers(len(levels))]
            y = self.random.integers(level.shape[0] - side + 1)
            x = self.random.integers(level.shape[1] - side + 1)
            crop = level[y : y + side, x : x + side].astype(np.float32) / 255
            if self.random.random() < 0.5:
                crop = crop[:, ::-1]
            # Landscapes are blue, green and brown; swapped channels teach every other colour.
            crop = crop[..., self.random.permutation(3)]
            if self.random.random() < 0.1:
                crop = 1 - crop
            gain = self.random.uniform(0.8, 1.2) * self.random.uniform(0.9, 1.1, 3).astype(np.float32)
            crops[index] = np.clip(crop * gain + self.random.uniform(-0.08, 0.08), 0, 1)
        return torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
