"""The training pictures in memory: captioned squares, the pack that carries them to another machine, views of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SIDE = 128  # of the captioned squares
PACK = "squares.npz"
AVIF = {"quality": 80, "subsampling": "4:4:4", "speed": 7}  # 41 dB and 2.7 KB a square: 20,000 travel as 50 MB
NARROWEST = 0.88  # the smallest share of a square's side that a view shows: less would blur it when it is enlarged


def listed(folder: Path) -> Iterator[tuple[dict[str, str], Image.Image]]:
    """The photographs and drawings that `recipe.data` wrote to `folder`, if it did: what is known of each, and itself."""
    catalogue = folder / "pictures.jsonl"
    for line in catalogue.read_text().splitlines() if catalogue.exists() else ():
        row = json.loads(line)
        yield row, Image.open(folder / "pictures" / row["file"]).convert("RGB")


def squares(folders: list[Path], seed: int) -> tuple[np.ndarray, list[str]]:
    """Captioned training squares, uint8 (N, 128, 128, 3): crops of each picture, then every render; and packed ones."""
    random = np.random.default_rng(seed)
    images, captions = [], []
    for folder in folders:
        for row, picture in listed(folder):
            for _ in range(10 if row["kind"] == "photo" else 2):
                images.append(_crop(picture, random, row["kind"]))
                captions.append(row["caption"])
        for shard in sorted(folder.glob("part-*.npz")):
            arrays = np.load(shard)
            images += list(arrays["images"])
            captions += [str(caption) for caption in arrays["captions"]]
        if (folder / PACK).exists():
            arrays = np.load(folder / PACK)
            parts = np.split(arrays["data"], arrays["ends"][:-1])
            images += [np.asarray(Image.open(io.BytesIO(part.tobytes())).convert("RGB")) for part in parts]
            captions += [str(caption) for caption in arrays["captions"]]
    return np.stack(images), captions


def pack(folders: list[Path], seed: int, out: Path) -> Path:
    """Write `squares(folders, seed)` to one file in `out`, compressed, and return it; `squares([out], ...)` reads it."""
    images, captions = squares(folders, seed)
    parts = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "AVIF", **AVIF)
        parts.append(np.frombuffer(buffer.getvalue(), np.uint8))
    out.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([len(part) for part in parts])
    np.savez(out / PACK, data=np.concatenate(parts), ends=ends, captions=np.array(captions))
    return out / PACK


def view(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """`images` (n, 3, H, W) in [-1, 1], each mirrored or not and seen through a random window of `NARROWEST` to all of its side.

    `generator` is the CPU's whatever the device, so that the views do not depend on it.
    """
    count = len(images)
    scale = NARROWEST + (1 - NARROWEST) * torch.rand(count, generator=generator)
    offsets = (1 - scale) * (2 * torch.rand(2, count, generator=generator) - 1)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    windows = torch.zeros(count, 2, 3)
    windows[:, 0, 0], windows[:, 0, 2] = scale * mirror, offsets[0]
    windows[:, 1, 1], windows[:, 1, 2] = scale, offsets[1]
    grid = torch.nn.functional.affine_grid(windows.to(images.device), list(images.shape), align_corners=False)
    seen = torch.nn.functional.grid_sample(images, grid, "bicubic", "reflection", align_corners=False)
    return seen.clamp(-1, 1)


def _crop(picture: Image.Image, random: np.random.Generator, kind: str) -> np.ndarray:
    side = min(picture.size)
    if kind == "photo":
        side = int(side * random.uniform(0.6, 1.0))
    left = int(random.integers(picture.width - side + 1))
    top = int(random.integers(picture.height - side + 1))
    crop = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(crop)
