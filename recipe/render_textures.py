"""Procedural textures for the training renders: patterns with sharp edges, and floors. All are (H, W, 3) uint8 sRGB."""

from __future__ import annotations

import numpy as np
from PIL import Image

from recipe.render_objects import COLOURS, jittered
from udp.errors import InvalidInput


def noise(
    rng: np.random.Generator, size: int = 256, octaves: int = 6, first: int = 2, decay: float = 0.6
) -> np.ndarray:
    """Tileable fractal value noise (size, size) in [0, 1]; `size` and `first` are powers of two."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        cells = min(first * 2**octave, size)
        grid = np.pad(rng.random((cells, cells)), 2, mode="wrap").astype(np.float32)
        step = size // cells
        image = Image.fromarray(grid).resize(((cells + 4) * step,) * 2, Image.Resampling.BICUBIC)
        total += decay**octave * np.asarray(image)[2 * step : 2 * step + size, 2 * step : 2 * step + size]
    return (total - total.min()) / (np.ptp(total) + 1e-9)


def blend(amount: np.ndarray, low: tuple, high: tuple) -> np.ndarray:
    """Colours between two sRGB colours in [0, 1], as uint8 (H, W, 3)."""
    mixed = np.asarray(low) + amount[..., None] * (np.asarray(high) - np.asarray(low))
    return (np.clip(mixed, 0, 1) * 255).round().astype(np.uint8)


def pattern(kind: str, first: tuple, second: tuple, rng: np.random.Generator) -> np.ndarray:
    """A two-colour pattern (256, 256, 3): "striped", "checkered", "dotted" or "zigzag"."""
    n = int(rng.integers(3, 7))
    y, x = np.mgrid[0:256, 0:256] / 256
    if kind == "striped":
        axis = (x, y, x + y)[int(rng.integers(3))]
        mask = (axis * n) % 1 < 0.5
    elif kind == "checkered":
        mask = (np.floor(x * 2 * n) + np.floor(y * 2 * n)) % 2 < 1
    elif kind == "dotted":
        mask = ((x * n) % 1 - 0.5) ** 2 + ((y * n) % 1 - 0.5) ** 2 < rng.uniform(0.06, 0.12)
    else:
        mask = (y * n + 0.5 * np.abs((x * n) % 1 - 0.5)) % 1 < 0.5
    return blend(mask.astype(float), second, first)


def wood(rng: np.random.Generator, planks: int = 0) -> np.ndarray:
    """Wood grain, cut into planks when `planks` > 0."""
    dark = np.array((0.36, 0.21, 0.10)) * rng.uniform(0.7, 1.4)
    light = np.clip(dark * rng.uniform(1.5, 2.1) + 0.05, 0, 1)
    y, _ = np.mgrid[0:256, 0:256] / 256
    warp = noise(rng, octaves=3)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * (y * int(rng.integers(6, 14)) + 0.8 * warp))
    streaks = np.repeat(noise(rng, octaves=7, first=4)[:, ::8], 8, axis=1)
    amount = 0.3 * grain + 0.7 * streaks
    if planks:
        index = np.floor(y * planks).astype(int)
        amount = np.clip(amount * 0.7 + rng.uniform(0, 0.35, planks)[index], 0, 1)
        amount = np.where((y * planks) % 1 < 0.02 * planks / 4, -0.3, amount)
    return blend(amount, dark, light)


def floor(name: str, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A floor texture (256, 256, 3) by its caption word, and the side of one tile in object sizes."""
    speckle = np.clip(0.5 + 0.35 * rng.standard_normal((256, 256)), 0, 1)
    if name == "grass":
        blades = np.repeat(noise(rng, first=32, octaves=4, decay=0.9)[::4], 4, axis=0)
        fine = 1.4 * (0.25 * noise(rng, octaves=4) + 0.6 * blades + 0.15 * speckle) - 0.25
        return blend(fine, (0.06, 0.17, 0.02), (0.45, 0.62, 0.18)), 1.8
    if name == "sand":
        return blend(0.6 * noise(rng, first=4) + 0.4 * speckle, (0.66, 0.54, 0.36), (0.90, 0.80, 0.60)), 2.0
    if name == "snow":
        return blend(0.8 * noise(rng) + 0.2 * speckle, (0.80, 0.84, 0.92), (0.97, 0.98, 1.0)), 3.0
    if name == "stone":
        grey = np.array([0.5, 0.49, 0.47]) * rng.uniform(0.6, 1.2)
        return blend(0.7 * noise(rng, first=4, decay=0.75) + 0.3 * speckle, grey * 0.55, grey * 1.35), 1.5
    if name == "tiles":
        y, x = np.mgrid[0:256, 0:256] / 64
        amount = np.where((x % 1 < 0.04) | (y % 1 < 0.04), 0.0, 0.75 + 0.25 * ((np.floor(x) + np.floor(y)) % 2))
        return blend(amount, (0.35, 0.34, 0.32), jittered("white" if rng.random() < 0.6 else "turquoise", rng)), 1.8
    if name == "a checkered floor":
        return pattern("checkered", jittered("white", rng), jittered("black", rng), rng), 2.5
    if name in ("a wooden floor", "a wooden table"):
        return wood(rng, 4 if name.endswith("floor") else 2), 1.6
    if name == "a blanket":
        names = rng.choice(list(COLOURS), 2, replace=False)
        y, x = np.mgrid[0:256, 0:256] / 256
        weave = 0.5 * ((x * 6) % 1 < 0.35) + 0.5 * ((y * 6) % 1 < 0.35)
        return blend(
            np.clip(weave + 0.12 * (speckle - 0.5), 0, 1), jittered(names[0], rng), jittered(names[1], rng)
        ), 1.6
    if name == "gravel":
        return blend(
            0.8 * noise(rng, first=16, octaves=4, decay=1.0) + 0.2 * speckle, (0.25, 0.24, 0.23), (0.75, 0.72, 0.68)
        ), 1.4
    if name == "dirt":
        return blend(0.7 * noise(rng, first=4, decay=0.7) + 0.3 * speckle, (0.24, 0.15, 0.08), (0.55, 0.40, 0.26)), 2.0
    raise InvalidInput(f"expected a known floor, got {name!r}")
