"""Cheap non-photo styles for the training renders: (H, W, 3) uint8 in, the same out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from recipe.render_textures import noise


def edges(image: np.ndarray, blur: float = 0.6) -> np.ndarray:
    """Edge strength (H, W) in [0, 1]: the largest Sobel gradient over the channels."""
    soft = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(blur)), dtype=float) / 255
    p = np.pad(soft, ((1, 1), (1, 1), (0, 0)), mode="edge")
    dx = p[:-2, 2:] + 2 * p[1:-1, 2:] + p[2:, 2:] - p[:-2, :-2] - 2 * p[1:-1, :-2] - p[2:, :-2]
    dy = p[2:, :-2] + 2 * p[2:, 1:-1] + p[2:, 2:] - p[:-2, :-2] - 2 * p[:-2, 1:-1] - p[:-2, 2:]
    return np.clip(np.hypot(dx, dy).max(axis=2) / 2, 0, 1)


def box_mean(values: np.ndarray, size: int) -> np.ndarray:
    """Mean over the window of `size` that starts at each pixel, edges repeated: (H, W, C) to (H + size - 1, ...)."""
    padded = np.pad(values, ((size, size - 1), (size, size - 1), (0, 0)), mode="edge")
    total = np.pad(padded, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
    return (total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]) / size**2


def kuwahara(image: np.ndarray, radius: int) -> np.ndarray:
    """Kuwahara filter: each pixel becomes the mean of the calmest of its four quadrant windows."""
    values, size = image.astype(float), radius + 1
    mean, square = box_mean(values, size), box_mean(values**2, size)
    spread = (square - mean**2).sum(axis=2)
    h, w = image.shape[:2]
    means, spreads = [], []
    for dy in (1, 1 + radius):
        for dx in (1, 1 + radius):
            means.append(mean[dy : dy + h, dx : dx + w])
            spreads.append(spread[dy : dy + h, dx : dx + w])
    calmest = np.argmin(spreads, axis=0)[None, ..., None]
    return np.take_along_axis(np.array(means), calmest, axis=0)[0]


def to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).round().astype(np.uint8)


def drawing(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pale flat colours under dark outlines, on paper."""
    flat = kuwahara(image, 3)
    pale = 255 - (255 - flat) * 0.8
    ink = np.clip(edges(image) * 3.2 - 0.5, 0, 1)[..., None]
    return to_bytes(pale * (1 - ink) + np.array([40, 35, 45]) * ink)


def sketch(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pencil: outlines and hatching in the shadows, no colour."""
    grey = np.asarray(Image.fromarray(image).convert("L").filter(ImageFilter.GaussianBlur(0.8)), dtype=float) / 255
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    hatch = ((x + y) % 4 < 2) * np.clip(0.55 - grey, 0, 1) * 0.9 + ((x - y) % 5 < 2) * np.clip(0.3 - grey, 0, 1) * 1.2
    ink = np.clip(edges(image) * 2.8 - 0.3 + hatch + 0.15 * (1 - grey), 0, 1)[..., None]
    return to_bytes(np.array([250, 248, 240]) * (1 - ink) + np.array([45, 45, 55]) * ink)


def watercolor(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Washes with darker rims that run a little over, on rough paper."""
    wash = kuwahara(np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(1))), 4)
    pale = 255 - (255 - wash) * 0.75
    bloom = np.asarray(Image.fromarray((noise(rng, 128, 4) * 255).astype(np.uint8)).resize(image.shape[1::-1])) / 255
    rim = edges(to_bytes(wash), 0.8)[..., None]
    return to_bytes(
        pale * (1 - 0.45 * rim) + 45 * (bloom[..., None] - 0.5) + 5 * rng.standard_normal(image.shape[:2])[..., None]
    )


def oil_painting(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Thick strokes: a wide Kuwahara filter, stronger colours, a light relief."""
    paint = kuwahara(image, 5)
    grey = paint.mean(axis=2, keepdims=True)
    vivid = grey + (paint - grey) * 1.35
    relief = np.asarray(Image.fromarray(to_bytes(paint)).convert("L").filter(ImageFilter.EMBOSS), dtype=float) - 128
    return to_bytes(vivid + 0.25 * relief[..., None])


def pixel_art(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """32 x 32 blocks in 12 colours."""
    size = image.shape[1::-1]
    small = Image.fromarray(image).resize((size[0] // 4, size[1] // 4), Image.Resampling.BOX)
    few = small.quantize(12, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return np.asarray(few.resize(size, Image.Resampling.NEAREST))


def cartoon(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Few flat, vivid colours and black outlines."""
    flat = Image.fromarray(to_bytes(kuwahara(image, 3)))
    flat = np.asarray(
        flat.quantize(9, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB"), dtype=float
    )
    grey = flat.mean(axis=2, keepdims=True)
    ink = np.clip(edges(image) * 4 - 1.2, 0, 1)[..., None]
    return to_bytes((grey + (flat - grey) * 1.5 + 8) * (1 - ink))


STYLES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "a drawing": drawing,
    "a sketch": sketch,
    "a watercolor": watercolor,
    "an oil painting": oil_painting,
    "a pixel art": pixel_art,
    "a cartoon": cartoon,
}
