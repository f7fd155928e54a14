"""Six painted portraits of one invented woman, Mara: another turn of the head, light, clothes and place in each.

Nobody sat for them: she is ellipses, curves and gradients. Only numpy and Pillow, painted at twice the size and scaled down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = 1024  # painted size; the portrait is half of it
SKIN, SHADE, BLUSH, LIPS = (226, 172, 138), (168, 106, 84), (214, 122, 104), (176, 72, 70)
HAIR, HAIR_LIGHT, BROW = (92, 40, 26), (164, 84, 48), (84, 40, 28)
IRIS, WHITE, DARK = (58, 116, 96), (244, 240, 234), (34, 22, 20)
Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Sitting:
    """One portrait: `turn` of the head in [-1, 1] (1: to our right), `tilt` in degrees, `smile` in [0, 1], her size and place.

    `light` is the side that it falls from, -1 or 1; `place` paints what is behind her.
    """

    place: Callable[[Painting], None]
    clothes: Colour
    turn: float
    tilt: float
    smile: float
    scale: float
    centre: Point
    light: int
    warmth: Colour


class Painting:
    """Float (SIZE, SIZE, 3) in [0, 255]; lengths are in [0, 1], x to the right and y down."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.canvas = np.zeros((SIZE, SIZE, 3))
        y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
        self.x, self.y = x, y

    def lay(self, mask: np.ndarray, colour: Colour | np.ndarray, strength: float = 1.0) -> None:
        """Paint over the mask (SIZE, SIZE) in [0, 1]."""
        cover = strength * mask[..., None]
        self.canvas = self.canvas * (1 - cover) + np.asarray(colour, float) * cover

    def noise(self, cells: int) -> np.ndarray:
        """Smooth noise of about unit spread, (SIZE, SIZE)."""
        grain = Image.fromarray(self.rng.standard_normal((cells, cells)).astype(np.float32))
        return np.asarray(grain.resize((SIZE, SIZE), Image.Resampling.BICUBIC), float)

    def spots(self, count: int, radius: float, colours: Sequence[Colour], top: float, bottom: float, blur: int) -> None:
        """Round blurred spots between two heights: lights, flowers, leaves."""
        for index in range(count):
            mask = blank()
            x, y, r = self.rng.uniform(0, 1), self.rng.uniform(top, bottom), radius * self.rng.uniform(0.5, 1.3)
            ImageDraw.Draw(mask).ellipse(box(x, y, r, r), fill=255)
            self.lay(soft(mask, blur), colours[index % len(colours)], 0.75)

    def finished(self) -> Image.Image:
        """The portrait, half SIZE a side, with the grain of a canvas."""
        weave = 3.0 * self.noise(SIZE)[..., None] + 2.5 * self.noise(SIZE // 3)[..., None]
        pixels = np.clip(self.canvas + weave, 0, 255).round().astype(np.uint8)
        return Image.fromarray(pixels).resize((SIZE // 2, SIZE // 2), Image.Resampling.LANCZOS)


def blank() -> Image.Image:
    return Image.new("L", (SIZE, SIZE))


def soft(mask: Image.Image, blur: float) -> np.ndarray:
    """The mask in [0, 1], its edge blurred over that many painted pixels."""
    return np.asarray(mask.filter(ImageFilter.GaussianBlur(blur)), float) / 255


def box(x: float, y: float, wide: float, high: float) -> list[float]:
    return [(x - wide) * SIZE, (y - high) * SIZE, (x + wide) * SIZE, (y + high) * SIZE]


def curve(points: Sequence[Point], count: int = 24) -> list[Point]:
    """A closed Catmull-Rom curve through the points."""
    found, n = [], len(points)
    for index in range(n):
        a, b, c, d = (np.array(points[(index + k) % n]) for k in (-1, 0, 1, 2))
        for t in np.linspace(0, 1, count, endpoint=False):
            at = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
            found.append((float(at[0]), float(at[1])))
    return found


class Head:
    """Where things are on a head: (u, v) in head units, u from the middle of the face, v from the height of the eyes."""

    def __init__(self, sitting: Sitting) -> None:
        self.sitting = sitting
        angle = np.radians(sitting.tilt)
        self.turning = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def at(self, u: float, v: float, depth: float = 0.0) -> Point:
        """A point in [0, 1]; `depth` says how far it sticks out, and so how far it moves when the head turns."""
        across = u * (1 - 0.1 * abs(self.sitting.turn)) + 0.3 * self.sitting.turn * depth
        x, y = self.turning @ (across, v) * self.sitting.scale
        return self.sitting.centre[0] + float(x), self.sitting.centre[1] + float(y)

    def shape(self, points: Sequence[tuple[float, ...]], blur: float = 2.0, smooth: bool = True) -> np.ndarray:
        """The mask of a shape through points (u, v) or (u, v, depth)."""
        placed = [self.at(*point) for point in points]
        mask = blank()
        outline = curve(placed) if smooth else placed
        ImageDraw.Draw(mask).polygon([(x * SIZE, y * SIZE) for x, y in outline], fill=255)
        return soft(mask, blur)

    def oval(self, u: float, v: float, wide: float, high: float, depth: float = 0.0, blur: float = 2.0) -> np.ndarray:
        """The mask of an ellipse."""
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        return self.shape([(u + wide * np.cos(a), v + high * np.sin(a), depth) for a in angles], blur)

    def stroke(self, points: Sequence[tuple[float, ...]], thickness: float, blur: float = 2.0) -> np.ndarray:
        """The mask of a line, thickest in its middle."""
        placed = np.array([self.at(*point) for point in points])
        t = np.linspace(0, 1, 60)
        knots = np.linspace(0, 1, len(placed))
        fit = [np.polyval(np.polyfit(knots, placed[:, axis], min(3, len(placed) - 1)), t) for axis in (0, 1)]
        mask = blank()
        draw = ImageDraw.Draw(mask)
        for x, y, share in zip(*fit, np.sin(np.pi * (0.12 + 0.76 * t)), strict=True):
            r = thickness * self.sitting.scale * share
            draw.ellipse(box(x, y, r, r), fill=255)
        return soft(mask, blur)


FACE = (
    (0.0, -0.52), (0.2, -0.5), (0.36, -0.36), (0.41, -0.1), (0.395, 0.16), (0.335, 0.4), (0.2, 0.585), (0.07, 0.655),
    (-0.07, 0.655), (-0.2, 0.585), (-0.335, 0.4), (-0.395, 0.16), (-0.41, -0.1), (-0.36, -0.36), (-0.2, -0.5),
)  # fmt: skip


def portrait(sitting: Sitting, seed: int) -> Image.Image:
    """Mara as in the sitting."""
    painting, head = Painting(seed), Head(sitting)
    sitting.place(painting)
    _hair_behind(painting, head)
    _body(painting, head)
    _face(painting, head)
    for side in (-1, 1):
        _eye(painting, head, side)
    _nose_and_mouth(painting, head)
    _hair_before(painting, head)
    _light(painting, head)
    return painting.finished()


def _hair_behind(painting: Painting, head: Head) -> None:
    back = [(0, -0.74), (0.36, -0.66), (0.56, -0.3), (0.6, 0.2), (0.64, 0.7), (0.5, 0.98), (0.2, 0.9),
            (-0.2, 0.9), (-0.5, 0.98), (-0.64, 0.7), (-0.6, 0.2), (-0.56, -0.3), (-0.36, -0.66)]  # fmt: skip
    mask = head.shape([(u, v, -0.15) for u, v in back], 5)
    strands = 0.5 + 0.5 * np.sin(60 * painting.x + 9 * painting.noise(6) + 6 * painting.y)
    colour = np.array(HAIR) * 0.75 + (np.array(HAIR_LIGHT) - HAIR) * 0.28 * strands[..., None]
    painting.lay(mask, colour)


def _body(painting: Painting, head: Head) -> None:
    x, y = head.at(0, 0)
    s, clothes = head.sitting.scale, np.array(head.sitting.clothes, float)
    mask = blank()
    shoulders = curve([(x - 1.0 * s, y + 1.25 * s), (x - 0.62 * s, y + 1.0 * s), (x - 0.2 * s, y + 0.9 * s),
                       (x + 0.2 * s, y + 0.9 * s), (x + 0.62 * s, y + 1.0 * s), (x + 1.0 * s, y + 1.25 * s),
                       (x + 1.2 * s, 1.3), (x - 1.2 * s, 1.3)])  # fmt: skip
    ImageDraw.Draw(mask).polygon([(a * SIZE, b * SIZE) for a, b in shoulders], fill=255)
    folds = 1 + 0.07 * np.sin(14 * painting.noise(5)) - 0.25 * np.abs(painting.x - x) / s * 0.6
    neck = head.shape([(-0.2, 0.4), (-0.19, 0.72), (-0.3, 0.98), (0, 1.08), (0.3, 0.98), (0.19, 0.72), (0.2, 0.4)], 4)
    painting.lay(soft(mask, 3), clothes * folds[..., None])
    painting.lay(neck, np.array(SKIN) * 0.9)
    painting.lay(head.shape([(-0.2, 0.5), (-0.12, 0.76), (0.12, 0.76), (0.2, 0.5)], 22) * neck, SHADE, 0.75)
    painting.lay(head.stroke([(-0.31, 0.95), (0, 1.12), (0.31, 0.95)], 0.03, 3), clothes * 0.72)


def _face(painting: Painting, head: Head) -> None:
    light, turn = head.sitting.light, head.sitting.turn
    for side in (-1, 1):
        if side * turn > -0.75:
            continue
        painting.lay(head.oval(side * 0.42, 0.08, 0.06, 0.13, -0.2), np.array(SKIN) * 0.9)
    face = head.shape(FACE, 3)
    painting.lay(face, SKIN)
    x, _ = head.at(0, 0.05)
    across = (painting.x - x) / head.sitting.scale
    dark = np.clip(-light * across * 1.25 + 0.12, 0, 1) ** 1.4
    painting.lay(face * dark, SHADE, 0.75)
    painting.lay(face * head.oval(light * 0.14, -0.28, 0.2, 0.13, 0.25, 40), (255, 224, 196), 0.5)
    for side in (-1, 1):
        painting.lay(face * head.oval(side * 0.23, 0.24, 0.11, 0.09, 0.2, 28), BLUSH, 0.5)
    painting.lay(face * head.oval(0, 0.6, 0.16, 0.05, 0.1, 18), SHADE, 0.25)


def _eye(painting: Painting, head: Head, side: int) -> None:
    u, depth = side * 0.185, 0.22
    painting.lay(head.oval(u, -0.01, 0.125, 0.085, depth, 16), SHADE, 0.4)
    lids = [(u - 0.105, 0.012, depth), (u - 0.05, -0.045, depth), (u + 0.03, -0.05, depth), (u + 0.105, 0.005, depth),
            (u + 0.04, 0.04, depth), (u - 0.05, 0.042, depth)]  # fmt: skip
    if side < 0:
        lids = [(2 * u - a, b, c) for a, b, c in lids]
    opening = head.shape(lids, 2)
    painting.lay(opening, WHITE)
    look = u + 0.035 * head.sitting.turn
    painting.lay(opening * head.oval(look, -0.006, 0.047, 0.05, depth), IRIS)
    painting.lay(opening * head.oval(look, -0.006, 0.022, 0.024, depth), DARK)
    painting.lay(opening * head.oval(u, -0.05, 0.11, 0.03, depth, 8), DARK, 0.35)
    painting.lay(head.oval(look + 0.016 * head.sitting.light, -0.024, 0.011, 0.012, depth), (255, 255, 255))
    ends = (u - side * 0.11, u + side * 0.12)
    upper = [(ends[0], 0.012, depth), (u - side * 0.04, -0.052, depth), (u + side * 0.04, -0.054, depth),
             (ends[1], -0.006, depth)]  # fmt: skip
    painting.lay(head.stroke(upper, 0.017), DARK)
    painting.lay(head.stroke([(a, b - 0.035, c) for a, b, c in upper], 0.007, 3), SHADE, 0.7)
    painting.lay(head.stroke([(ends[0], 0.02, depth), (u, 0.05, depth), (ends[1], 0.008, depth)], 0.006, 3), SHADE, 0.8)
    brow = [(u - side * 0.12, -0.115, depth), (u, -0.165, depth), (u + side * 0.15, -0.12, depth)]
    painting.lay(head.stroke(brow, 0.022, 4), BROW, 0.85)


def _nose_and_mouth(painting: Painting, head: Head) -> None:
    light, smile = head.sitting.light, head.sitting.smile
    painting.lay(
        head.stroke([(-light * 0.045, -0.02, 0.28), (-light * 0.05, 0.12, 0.4), (-light * 0.075, 0.23, 0.42)], 0.02, 9),
        SHADE,
        0.6,
    )
    painting.lay(head.oval(0, 0.235, 0.075, 0.05, 0.46, 12), SKIN, 0.8)
    painting.lay(head.oval(light * 0.012, 0.215, 0.022, 0.022, 0.5, 7), (255, 228, 206), 0.8)
    painting.lay(head.stroke([(-0.075, 0.262, 0.4), (0, 0.29, 0.44), (0.075, 0.262, 0.4)], 0.014, 5), SHADE, 0.75)
    for side in (-1, 1):
        painting.lay(head.oval(side * 0.036, 0.268, 0.017, 0.009, 0.44, 3), DARK, 0.55)
    corner, depth = 0.40 - 0.035 * smile, 0.28
    wide = 0.125 + 0.035 * smile
    painting.lay(head.shape([(-wide, corner, depth), (-0.045, 0.365, depth), (0, 0.375, depth), (0.045, 0.365, depth),
                             (wide, corner, depth), (0, 0.415, depth)], 2), LIPS)  # fmt: skip
    painting.lay(head.shape([(-wide, corner, depth), (0, 0.405 + 0.01 * smile, depth), (wide, corner, depth),
                             (0.07, 0.455, depth), (0, 0.465, depth), (-0.07, 0.455, depth)], 2),
                 np.array(LIPS) * 0.6 + np.array(BLUSH) * 0.45)  # fmt: skip
    if smile > 0.5:
        teeth = [
            (-wide * 0.8, corner + 0.012, depth),
            (0, 0.398, depth),
            (wide * 0.8, corner + 0.012, depth),
            (0, 0.432, depth),
        ]
        painting.lay(head.shape(teeth, 2), WHITE)
    painting.lay(
        head.stroke([(-wide, corner, depth), (0, 0.408 + 0.012 * smile, depth), (wide, corner, depth)], 0.007),
        (96, 34, 36),
        0.9,
    )
    painting.lay(head.oval(light * 0.03, 0.44, 0.04, 0.012, depth, 5), (240, 170, 158), 0.6)
    painting.lay(head.oval(0, 0.505, 0.07, 0.014, 0.22, 9), SHADE, 0.5)


def _hair_before(painting: Painting, head: Head) -> None:
    strands = 0.5 + 0.5 * np.sin(75 * painting.x - 50 * painting.y + 7 * painting.noise(7))
    colour = np.array(HAIR) + (np.array(HAIR_LIGHT) - HAIR) * 0.45 * strands[..., None]
    # Parted on her left: a long sweep over the forehead to one side, a short one to the other.
    sweep = [(0.12, -0.73, 0), (-0.2, -0.7, 0), (-0.47, -0.45, 0), (-0.52, 0.0, 0), (-0.5, 0.45, -0.05), (-0.43, 0.62, -0.05),
             (-0.42, 0.2, 0), (-0.38, -0.12, 0.05), (-0.2, -0.33, 0.15), (0.1, -0.48, 0.15)]  # fmt: skip
    short = [(0.08, -0.73, 0), (0.36, -0.62, 0), (0.51, -0.3, 0), (0.53, 0.15, 0), (0.5, 0.5, -0.05), (0.43, 0.62, -0.05),
             (0.42, 0.15, 0), (0.39, -0.15, 0.05), (0.27, -0.4, 0.12), (0.1, -0.52, 0.15)]  # fmt: skip
    for lock in (short, sweep):
        mask = head.shape(lock, 3)
        painting.lay(np.roll(mask, (10, 6), (0, 1)) * head.shape(FACE, 8), SHADE, 0.45)
        painting.lay(mask, colour)
    painting.lay(head.stroke([(-0.36, -0.42, 0), (-0.25, -0.56, 0), (-0.02, -0.64, 0)], 0.035, 14), HAIR_LIGHT, 0.6)


def _light(painting: Painting, head: Head) -> None:
    """The colour of the light over everything, from its side."""
    side = painting.x if head.sitting.light > 0 else 1 - painting.x
    tint = np.array(head.sitting.warmth, float) / 255
    painting.canvas *= 1 + (tint - 1) * (0.35 + 0.65 * side[..., None])


def _room(painting: Painting) -> None:
    painting.canvas[:] = (196, 176, 150)
    painting.lay((painting.x < 0.34).astype(float), (150, 178, 196))
    for x, wide in ((0.335, 0.012), (0.17, 0.006)):
        painting.lay((np.abs(painting.x - x) < wide).astype(float), (238, 232, 220))
    painting.lay((np.abs(painting.y - 0.36) < 0.006) * (painting.x < 0.33), (238, 232, 220))
    _blur(painting, 9)


def _garden(painting: Painting) -> None:
    painting.canvas[:] = np.array((96, 142, 76)) + 26 * painting.noise(9)[..., None] * (0.6, 1, 0.4)
    painting.spots(60, 0.05, ((134, 176, 88), (72, 116, 62), (170, 196, 110)), 0, 1, 12)
    painting.spots(26, 0.03, ((232, 120, 130), (240, 214, 110), (236, 236, 230)), 0.1, 0.95, 10)


def _sea(painting: Painting) -> None:
    height = painting.y[..., None]
    painting.canvas = np.where(
        height < 0.5, np.array((150, 196, 228)) + 70 * height, np.array((44, 118, 150)) + 50 * (height - 0.5)
    )
    painting.lay(np.clip((painting.y - 0.8) * 12, 0, 1), (222, 202, 160))
    painting.spots(9, 0.09, ((244, 246, 248),), 0.05, 0.3, 30)
    painting.lay(
        np.clip(np.sin(160 * painting.y + 4 * painting.noise(12)) - 0.72, 0, 1)
        * (painting.y > 0.5)
        * (painting.y < 0.8),
        (236, 244, 246),
    )


def _night(painting: Painting) -> None:
    painting.canvas = np.array((26, 26, 52)) + np.array((46, 24, 40)) * painting.y[..., None]
    painting.spots(42, 0.035, ((250, 206, 120), (240, 140, 96), (150, 170, 240)), 0, 0.75, 16)


def _snow(painting: Painting) -> None:
    painting.canvas = np.array((206, 216, 230)) + 30 * painting.y[..., None]
    for x in (0.08, 0.2, 0.78, 0.93):
        painting.lay(
            (np.abs(painting.x - x - 0.02 * painting.y) < 0.018 + 0.012 * painting.y).astype(float), (122, 110, 112)
        )
    _blur(painting, 12)
    painting.spots(70, 0.008, ((255, 255, 255),), 0, 1, 3)


def _studio(painting: Painting) -> None:
    distance = np.hypot(painting.x - 0.5, painting.y - 0.42)[..., None]
    painting.canvas = np.array((214, 168, 150)) * (1.12 - 0.55 * distance) + 5 * painting.noise(6)[..., None]


def _blur(painting: Painting, radius: int) -> None:
    pixels = Image.fromarray(np.clip(painting.canvas, 0, 255).astype(np.uint8))
    painting.canvas = np.asarray(pixels.filter(ImageFilter.GaussianBlur(radius)), float)


SITTINGS = (
    Sitting(_room, (60, 88, 132), -0.55, -4, 0.3, 0.40, (0.53, 0.44), -1, (255, 246, 232)),
    Sitting(_garden, (236, 226, 206), 0.5, 5, 0.9, 0.42, (0.47, 0.45), 1, (255, 250, 232)),
    Sitting(_sea, (204, 72, 64), 0.0, -3, 0.6, 0.36, (0.5, 0.47), 1, (250, 252, 255)),
    Sitting(_night, (38, 36, 40), 0.65, -7, 0.2, 0.43, (0.46, 0.45), -1, (255, 226, 196)),
    Sitting(_snow, (92, 120, 96), -0.3, 6, 0.8, 0.38, (0.52, 0.46), 1, (240, 246, 255)),
    Sitting(_studio, (150, 100, 140), 0.15, 2, 0.45, 0.45, (0.5, 0.46), -1, (255, 248, 242)),
)
