"""A paper-cut style: layered sheets of seven colours with soft shadows, printed patterns and paper grain.

Only numpy and Pillow, drawn at twice the size and scaled down.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = 1024  # drawn size; the artwork is half of it
NAVY, TEAL, CORAL = (30, 42, 74), (36, 126, 122), (236, 94, 70)
MUSTARD, CREAM, ROSE, PLUM = (245, 184, 62), (250, 238, 214), (238, 158, 148), (104, 58, 98)
Points = list[tuple[float, float]]


class Sheet:
    """The artwork in progress: float (SIZE, SIZE, 3) in [0, 255], to which cut sheets are glued from back to front."""

    def __init__(self, background: tuple, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.canvas = np.ones((SIZE, SIZE, 3)) * background + self.grain()

    def grain(self) -> np.ndarray:
        """Paper grain (SIZE, SIZE, 1): fibres at two scales, about 8 grey levels in all."""
        total = np.zeros((SIZE, SIZE))
        for cells, strength in ((SIZE, 5.0), (SIZE // 4, 5.0)):
            noise = self.rng.standard_normal((cells, cells)).astype(np.float32)
            total += strength * np.asarray(Image.fromarray(noise).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        return total[..., None]

    def glue(
        self, mask: Image.Image, colour: tuple, pattern: str = "", ink: tuple | None = None, depth: int = 14
    ) -> None:
        """Glue a sheet cut to the mask ("L", SIZE x SIZE), printed with `pattern` in `ink`; `depth` sets its shadow."""
        shadow = mask.filter(ImageFilter.GaussianBlur(depth))
        shade = np.roll(np.asarray(shadow, dtype=float) / 255, (depth // 2, depth // 3), axis=(0, 1))[..., None]
        self.canvas *= 1 - 0.42 * shade
        paint = np.ones((SIZE, SIZE, 3)) * colour
        if pattern:
            printed = PATTERNS[pattern]()[..., None]
            paint = paint * (1 - 0.75 * printed) + 0.75 * printed * np.array(ink)
        cover = np.asarray(mask, dtype=float)[..., None] / 255
        # A lit rim on the upper edge, as the cut edge of thick paper catches the light.
        rim = np.clip(cover - np.roll(cover, 4, axis=0), 0, 1)
        self.canvas = self.canvas * (1 - cover) + (paint + self.grain() + 26 * rim) * cover

    def polygon(
        self, points: Points, colour: tuple, pattern: str = "", ink: tuple | None = None, depth: int = 14
    ) -> None:
        """Glue a polygon of points in [0, 1], x to the right and y down."""
        mask = Image.new("L", (SIZE, SIZE))
        ImageDraw.Draw(mask).polygon([(x * SIZE, y * SIZE) for x, y in points], fill=255)
        self.glue(mask, colour, pattern, ink, depth)

    def disk(
        self, x: float, y: float, radius: float, colour: tuple, pattern: str = "", ink: tuple | None = None
    ) -> None:
        """Glue a disk; lengths in [0, 1]."""
        mask = Image.new("L", (SIZE, SIZE))
        box = [(x - radius) * SIZE, (y - radius) * SIZE, (x + radius) * SIZE, (y + radius) * SIZE]
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        self.glue(mask, colour, pattern, ink)

    def framed(self) -> Image.Image:
        """The finished artwork, half SIZE a side, in a hand-cut cream mount."""
        frame = Image.new("L", (SIZE, SIZE), 255)
        wobble = np.cumsum(self.rng.standard_normal(160)) * np.tile(np.sin(np.linspace(0, np.pi, 40)), 4)
        inner, edge = SIZE - 58, np.linspace(58, SIZE - 58, 40)
        ring = [(x, 58 + w) for x, w in zip(edge, wobble[:40], strict=True)]
        ring += [(inner + w, y) for y, w in zip(edge, wobble[40:80], strict=True)]
        ring += [(x, inner + w) for x, w in zip(edge[::-1], wobble[80:120], strict=True)]
        ring += [(58 + w, y) for y, w in zip(edge[::-1], wobble[120:], strict=True)]
        ImageDraw.Draw(frame).polygon(ring, fill=0)
        self.glue(frame, CREAM, depth=20)
        pixels = np.clip(self.canvas, 0, 255).round().astype(np.uint8)
        return Image.fromarray(pixels).resize((SIZE // 2, SIZE // 2), Image.Resampling.LANCZOS)


def grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    return x.astype(float), y.astype(float)


def soft_step(distance: np.ndarray) -> np.ndarray:
    """1 inside (distance < 0) to 0 outside, over one drawn pixel each way."""
    return np.clip(0.5 - distance / 2, 0, 1)


def dots() -> np.ndarray:
    x, y = grid()
    row = np.floor(y / 26)
    return soft_step(np.hypot((x + 15 * (row % 2)) % 30 - 15, y % 26 - 13) - 5)


def stripes() -> np.ndarray:
    x, y = grid()
    return soft_step(np.abs((y + 7 * np.sin(x / 60)) % 24 - 12) - 2.6)


def diagonals() -> np.ndarray:
    x, y = grid()
    return soft_step(np.abs((x + y) % 26 - 13) - 3)


def scales() -> np.ndarray:
    x, y = grid()
    row = np.floor(y / 24)
    return soft_step(np.abs(np.hypot((x + 24 * (row % 2)) % 48 - 24, y % 24) - 22) - 2.2)


PATTERNS: dict[str, Callable[[], np.ndarray]] = {
    "dots": dots,
    "stripes": stripes,
    "diagonals": diagonals,
    "scales": scales,
}


def ridge(sheet: Sheet, height: float, swing: float, waves: float, jagged: float = 0.0) -> Points:
    """A hill line from side to side at about `height`, closed at the bottom; `jagged` adds peaks."""
    x = np.linspace(-0.05, 1.05, 180)
    phase = sheet.rng.uniform(0, 6.28, 3)
    y = height + swing * (np.sin(waves * x * 3.1 + phase[0]) + 0.45 * np.sin(waves * x * 7.3 + phase[1]))
    if jagged:
        knots = np.linspace(-0.05, 1.05, int(waves * 7) + 2)
        y = y + np.interp(
            x, knots, jagged * sheet.rng.uniform(-1, 1, len(knots)) * np.where(np.arange(len(knots)) % 2, 1, -1)
        )
    return [*zip(x, y, strict=True), (1.05, 1.05), (-0.05, 1.05)]


def line_at(points: Points, x: float) -> float:
    """The height of a ridge at x."""
    ridge_points = points[:-2]
    return float(np.interp(x, [p[0] for p in ridge_points], [p[1] for p in ridge_points]))


def rays(sheet: Sheet, x: float, y: float, inner: float, outer: float, count: int, colour: tuple) -> None:
    """A ring of triangular rays around a sun."""
    mask = Image.new("L", (SIZE, SIZE))
    draw = ImageDraw.Draw(mask)
    for angle in np.arange(count) * 2 * np.pi / count:
        corners = ((inner, -0.09), (outer, 0.0), (inner, 0.09))
        draw.polygon(
            [((x + r * np.cos(angle + a)) * SIZE, (y + r * np.sin(angle + a)) * SIZE) for r, a in corners], fill=255
        )
    sheet.glue(mask, colour, depth=8)


def cloud(sheet: Sheet, x: float, y: float, size: float, colour: tuple) -> None:
    """Three bumps on a flat base."""
    mask = Image.new("L", (SIZE, SIZE))
    draw = ImageDraw.Draw(mask)
    for dx, r in ((-0.9, 0.5), (0.0, 0.8), (0.95, 0.55)):
        draw.ellipse(
            [(x + (dx - r) * size) * SIZE, (y - r * size) * SIZE, (x + (dx + r) * size) * SIZE, (y + r * size) * SIZE],
            fill=255,
        )
    draw.rectangle([0, y * SIZE, SIZE, SIZE], fill=0)
    sheet.glue(mask, colour, depth=10)


def fir(
    sheet: Sheet, x: float, y: float, size: float, colour: tuple, pattern: str = "", ink: tuple | None = None
) -> None:
    """A tree of three stacked triangles with its foot at (x, y)."""
    mask = Image.new("L", (SIZE, SIZE))
    draw = ImageDraw.Draw(mask)
    draw.rectangle([(x - 0.05 * size) * SIZE, (y - 0.3 * size) * SIZE, (x + 0.05 * size) * SIZE, y * SIZE], fill=255)
    for k in range(3):
        wide, low = (0.36 - 0.08 * k) * size, y - (0.18 + 0.26 * k) * size
        draw.polygon(
            [((x - wide) * SIZE, low * SIZE), (x * SIZE, (low - 0.42 * size) * SIZE), ((x + wide) * SIZE, low * SIZE)],
            fill=255,
        )
    sheet.glue(mask, colour, pattern, ink, depth=9)


def stars(sheet: Sheet, count: int, lowest: float) -> None:
    """Four-pointed stars above `lowest`."""
    mask = Image.new("L", (SIZE, SIZE))
    draw = ImageDraw.Draw(mask)
    for _ in range(count):
        x, y = sheet.rng.uniform(0.09, 0.91), sheet.rng.uniform(0.09, lowest)
        r = sheet.rng.uniform(0.006, 0.016)
        tips = [
            (
                (x + (r if k % 2 == 0 else 0.3 * r) * np.cos(k * np.pi / 4)) * SIZE,
                (y + (r if k % 2 == 0 else 0.3 * r) * np.sin(k * np.pi / 4)) * SIZE,
            )
            for k in range(8)
        ]
        draw.polygon(tips, fill=255)
    sheet.glue(mask, CREAM, depth=4)


def cactus(sheet: Sheet, x: float, y: float, size: float) -> None:
    mask = Image.new("L", (SIZE, SIZE))
    draw = ImageDraw.Draw(mask)
    for left, top, right, bottom in (
        (-0.09, -1.0, 0.09, 0.0),
        (-0.36, -0.72, -0.22, -0.38),
        (-0.36, -0.5, 0.0, -0.36),
        (0.24, -0.86, 0.38, -0.48),
        (0.0, -0.6, 0.38, -0.46),
    ):
        box = [(x + left * size) * SIZE, (y + top * size) * SIZE, (x + right * size) * SIZE, (y + bottom * size) * SIZE]
        draw.rounded_rectangle(box, 0.07 * size * SIZE, fill=255)
    sheet.glue(mask, TEAL, "stripes", NAVY, depth=10)
