"""The training pictures in memory: captioned squares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 128  # of the captioned squares


def squares(folders: list[Path], seed: int) -> tuple[np.ndarray, list[str]]:
    """Captioned training squares, uint8 (N, 128, 128, 3): several crops of each photo, every render and its mirror."""
    random = np.random.default_rng(seed)
    images, captions = [], []
    for folder in folders:
        if (folder / "pictures.jsonl").exists():
            for line in (folder / "pictures.jsonl").read_text().splitlines():
                row = json.loads(line)
                picture = Image.open(folder / "pictures" / row["file"]).convert("RGB")
                for _ in range(10 if row["kind"] == "photo" else 3):
                    images.append(_crop(picture, random, row["kind"]))
                    captions.append(row["caption"])
        for shard in sorted(folder.glob("part-*.npz")):
            arrays = np.load(shard)
            for image, caption in zip(arrays["images"], arrays["captions"], strict=True):
                images += [image, image[:, ::-1]]
                captions += [str(caption)] * 2
    return np.stack(images), captions


def _crop(picture: Image.Image, random: np.random.Generator, kind: str) -> np.ndarray:
    side = min(picture.size)
    if kind == "photo":
        side = int(side * random.uniform(0.6, 1.0))
    left = int(random.integers(picture.width - side + 1))
    top = int(random.integers(picture.height - side + 1))
    crop = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(crop)
    return pixels[:, ::-1] if random.random() < 0.5 else pixels
