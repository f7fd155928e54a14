"""The grids of `benchmarks.subjects`, drawn and read again: a row a subject, the same seeds from every arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ARMS = ("clean", "random", "protected")
SIDE = 128  # of a square
# Titles, and how many squares wide they are.
COLUMNS = (("photo", 1), ("protected photo", 1), *((f"trained on {arm}", 3) for arm in ARMS))
GAP, BETWEEN, HEAD = 6, 2, 26  # pixels beside the columns, between the squares of one, and above
Pictures = dict[str, list[np.ndarray]]  # by arm, (S, S, 3) uint8 each


def strip(images: Sequence[np.ndarray]) -> Image.Image:
    """Squares side by side."""
    return Image.fromarray(np.concatenate(images, 1))


def cut(file: Path) -> list[np.ndarray]:
    """The squares of a `strip` on disk."""
    pixels = np.asarray(Image.open(file).convert("RGB"))
    return np.split(pixels, pixels.shape[1] // pixels.shape[0], 1)


def tiled(pictures: Sequence[np.ndarray], side: int = SIDE) -> list[np.ndarray]:
    """Squares of `side` pixels: a large picture each, or rows and columns of small ones, the last filled up with white."""
    across = max(1, side // pictures[0].shape[0])
    missing = -len(pictures) % across**2
    filled = [*pictures, *[np.full_like(pictures[0], 255)] * missing]
    rows = [np.concatenate(filled[start : start + across], 1) for start in range(0, len(filled), across)]
    return [np.concatenate(rows[start : start + across]) for start in range(0, len(rows), across)]


def draw(rows: list[tuple[str, Pictures, list[np.ndarray]]]) -> Image.Image:
    """A row a subject: its photo, the protected photo, then the same seeds from every arm."""
    width = sum(count * (SIDE + BETWEEN) + 2 * GAP for _, count in COLUMNS)
    canvas = Image.new("RGB", (width, HEAD + len(rows) * (SIDE + GAP)), "white")
    draw_on, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for column, (title, _) in enumerate(COLUMNS):
        draw_on.text((corner(column, 0, 0)[0], 5), title, fill="black", font=font)
        for row, (_, pictures, squares) in enumerate(rows):
            images = [squares[column]] if column < 2 else pictures[ARMS[column - 2]][: COLUMNS[column][1]]
            for index, image in enumerate(images):
                canvas.paste(Image.fromarray(image), corner(column, row, index))
    return canvas


def corner(column: int, row: int, index: int) -> tuple[int, int]:
    """Where in a grid a square of a column lies: left and top, pixels."""
    left = GAP + sum(count * (SIDE + BETWEEN) + 2 * GAP for _, count in COLUMNS[:column])
    return left + index * (SIDE + BETWEEN), HEAD + row * (SIDE + GAP)


def drawn(grid: Image.Image, row: int) -> Pictures:
    """The pictures of every arm in a row of what `draw` made. Raises `ValueError` where it has no such row."""
    if corner(0, row + 1, 0)[1] > grid.height:
        raise ValueError(f"expected a grid of {row + 1} rows or more, got {grid.width} x {grid.height} pixels")

    def square(column: int, index: int) -> np.ndarray:
        left, top = corner(column, row, index)
        return np.asarray(grid.convert("RGB").crop((left, top, left + SIDE, top + SIDE)))

    found = {arm: [square(column, i) for i in range(COLUMNS[column][1])] for column, arm in enumerate(ARMS, 2)}
    # A place that was left white held no picture.
    return {arm: [one for one in pictures if (one < 255).any()] for arm, pictures in found.items()}
