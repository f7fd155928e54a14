"""Six landscapes in the paper-cut style of `papercut.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from .papercut import (
    CORAL,
    CREAM,
    MUSTARD,
    NAVY,
    PLUM,
    ROSE,
    SIZE,
    TEAL,
    Sheet,
    cactus,
    cloud,
    fir,
    line_at,
    rays,
    ridge,
    stars,
)


def hills() -> Image.Image:
    sheet = Sheet(ROSE, 11)
    rays(sheet, 0.66, 0.33, 0.18, 0.27, 18, CREAM)
    sheet.disk(0.66, 0.33, 0.155, MUSTARD, "stripes", CORAL)
    cloud(sheet, 0.26, 0.24, 0.085, CREAM)
    sheet.polygon(ridge(sheet, 0.53, 0.035, 1.4), CORAL, "dots", MUSTARD)
    sheet.polygon(ridge(sheet, 0.63, 0.04, 1.1), MUSTARD, "diagonals", CORAL)
    near = ridge(sheet, 0.74, 0.035, 1.3)
    sheet.polygon(near, TEAL, "scales", NAVY)
    for x, size in ((0.17, 0.2), (0.27, 0.15), (0.82, 0.22)):
        fir(sheet, x, line_at(near, x) + 0.02, size, NAVY, "stripes", TEAL)
    sheet.polygon(ridge(sheet, 0.87, 0.025, 1.6), NAVY, "dots", TEAL)
    return sheet.framed()


def sea() -> Image.Image:
    sheet = Sheet(MUSTARD, 22)
    rays(sheet, 0.35, 0.36, 0.16, 0.24, 16, CREAM)
    sheet.disk(0.35, 0.36, 0.135, CORAL, "stripes", CREAM)
    cloud(sheet, 0.72, 0.23, 0.08, CREAM)
    sheet.polygon(ridge(sheet, 0.55, 0.008, 3.0), ROSE, "stripes", CREAM)
    sheet.polygon([(0.50, 0.60), (0.84, 0.60), (0.78, 0.685), (0.56, 0.685)], PLUM)
    sheet.polygon([(0.655, 0.25), (0.672, 0.25), (0.672, 0.605), (0.655, 0.605)], NAVY, depth=6)
    sheet.polygon([(0.685, 0.28), (0.685, 0.57), (0.86, 0.57)], CREAM, "stripes", CORAL)
    sheet.polygon([(0.643, 0.33), (0.643, 0.57), (0.52, 0.57)], CORAL, "dots", CREAM)
    for k, (colour, pattern, ink) in enumerate(((TEAL, "scales", CREAM), (TEAL, "dots", NAVY), (NAVY, "scales", TEAL))):
        x = np.linspace(-0.05, 1.05, 400)
        y = 0.66 + 0.1 * k + 0.022 * np.abs(np.sin((x + 0.06 * k) * 19)) * -1
        sheet.polygon([*zip(x, y, strict=True), (1.05, 1.05), (-0.05, 1.05)], colour, pattern, ink)
    return sheet.framed()


def city() -> Image.Image:
    sheet = Sheet(PLUM, 33)
    stars(sheet, 26, 0.42)
    sheet.disk(0.28, 0.27, 0.12, MUSTARD, "dots", CREAM)
    for level, (colour, pattern, ink) in enumerate(
        ((CORAL, "diagonals", PLUM), (TEAL, "stripes", NAVY), (NAVY, "", None))
    ):
        x = 0.03
        while x < 0.97:
            wide = sheet.rng.uniform(0.1, 0.17)
            top = 0.40 + 0.14 * level + sheet.rng.uniform(-0.1, 0.09)
            roof = [(x, top), (x + wide / 2, top - sheet.rng.choice([0.0, 0.05, 0.09])), (x + wide, top)]
            sheet.polygon([(x, 1.05), *roof, (x + wide, 1.05)], colour, pattern, ink, depth=10)
            if level:
                mask = Image.new("L", (SIZE, SIZE))
                draw = ImageDraw.Draw(mask)
                for wx in np.arange(x + 0.022, x + wide - 0.03, 0.034):
                    for wy in np.arange(top + 0.03, 0.93, 0.05):
                        if sheet.rng.random() < 0.55:
                            draw.rectangle([wx * SIZE, wy * SIZE, (wx + 0.017) * SIZE, (wy + 0.026) * SIZE], fill=255)
                sheet.glue(mask, MUSTARD if level == 2 else CREAM, depth=3)
            x += wide + sheet.rng.uniform(0.0, 0.02)
    sheet.polygon(ridge(sheet, 0.9, 0.008, 1.0), CORAL, "stripes", MUSTARD)
    return sheet.framed()


def forest() -> Image.Image:
    sheet = Sheet(CREAM, 44)
    sheet.disk(0.5, 0.36, 0.2, CORAL, "stripes", ROSE)
    sheet.polygon(ridge(sheet, 0.52, 0.05, 1.2, 0.05), ROSE, "diagonals", CREAM)
    for row, (colour, pattern, ink, size) in enumerate(
        ((MUSTARD, "dots", CORAL, 0.26), (TEAL, "stripes", CREAM, 0.33), (NAVY, "dots", TEAL, 0.4))
    ):
        base = (0.68, 0.75, 0.92)[row]
        for x in np.arange(0.06 + 0.05 * (row % 2), 1.0, 0.15 + 0.03 * row):
            if row < 2 or abs(x - 0.52) > 0.16:
                fir(
                    sheet,
                    x + sheet.rng.uniform(-0.02, 0.02),
                    base + 0.03,
                    size * sheet.rng.uniform(0.8, 1.15),
                    colour,
                    pattern,
                    ink,
                )
        sheet.polygon(ridge(sheet, base, 0.012, 1.5), colour, pattern, ink)
    return sheet.framed()


def moon() -> Image.Image:
    sheet = Sheet(NAVY, 55)
    stars(sheet, 34, 0.5)
    sheet.disk(0.63, 0.3, 0.17, CREAM, "dots", MUSTARD)
    sheet.polygon(ridge(sheet, 0.52, 0.02, 1.0, 0.12), PLUM, "diagonals", ROSE)
    sheet.polygon(ridge(sheet, 0.62, 0.02, 1.2, 0.09), TEAL, "stripes", CREAM)
    lake = ridge(sheet, 0.74, 0.004, 2.0)
    sheet.polygon(lake, ROSE, "scales", CREAM)
    glint = Image.new("L", (SIZE, SIZE))
    for k, wide in enumerate((0.15, 0.11, 0.13, 0.07)):
        y = 0.765 + 0.028 * k
        ImageDraw.Draw(glint).rounded_rectangle(
            [(0.63 - wide) * SIZE, y * SIZE, (0.63 + wide) * SIZE, (y + 0.011) * SIZE], 5, fill=255
        )
    sheet.glue(glint, MUSTARD, depth=3)
    near = ridge(sheet, 0.89, 0.03, 0.9)
    sheet.polygon(near, CORAL, "dots", MUSTARD)
    for x, size in ((0.14, 0.3), (0.25, 0.22), (0.88, 0.27)):
        fir(sheet, x, line_at(near, x) + 0.02, size, PLUM, "stripes", CORAL)
    return sheet.framed()


def desert() -> Image.Image:
    sheet = Sheet(TEAL, 66)
    rays(sheet, 0.5, 0.32, 0.19, 0.28, 20, CREAM)
    sheet.disk(0.5, 0.32, 0.165, MUSTARD, "stripes", CREAM)
    mesa = [
        (-0.05, 0.56),
        (0.08, 0.55),
        (0.12, 0.4),
        (0.3, 0.4),
        (0.35, 0.55),
        (0.66, 0.56),
        (0.7, 0.47),
        (0.87, 0.47),
        (0.92, 0.56),
        (1.05, 0.56),
    ]
    sheet.polygon([*mesa, (1.05, 1.05), (-0.05, 1.05)], PLUM, "diagonals", CORAL)
    sheet.polygon(ridge(sheet, 0.62, 0.03, 1.0), CORAL, "stripes", MUSTARD)
    middle = ridge(sheet, 0.72, 0.035, 1.1)
    sheet.polygon(middle, ROSE, "dots", CREAM)
    cactus(sheet, 0.77, line_at(middle, 0.77) + 0.08, 0.34)
    near = ridge(sheet, 0.85, 0.03, 1.2)
    sheet.polygon(near, MUSTARD, "scales", CORAL)
    cactus(sheet, 0.25, line_at(near, 0.25) + 0.03, 0.24)
    return sheet.framed()


ARTWORKS: list[Callable[[], Image.Image]] = [hills, sea, city, forest, moon, desert]
