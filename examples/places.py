"""Where the example photographs are taken: procedural backdrops, and grounds as meshes.

A backdrop is (h, w, 3) uint8, twice as high as the frame, the ground's far edge at its middle row. A ground is a
list of parts with the toy's place at the origin and its far side towards +y.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from recipe.render_meshes import Mesh, box, lathe
from recipe.render_objects import Surface

from .toy import RED, at


def fractal(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int], octaves: int, decay: float = 0.55
) -> np.ndarray:
    """Fractal noise (height, width) in [0, 1]; `cells` is the coarsest grid as (rows, columns)."""
    total = np.zeros(size)
    for k in range(octaves):
        grid = rng.random((min(cells[0] << k, size[0]), min(cells[1] << k, size[1]))).astype(np.float32)
        total += decay**k * np.asarray(Image.fromarray(grid).resize(size[::-1], Image.Resampling.BICUBIC))
    return (total - total.min()) / np.ptp(total)


def mix(amount: np.ndarray, low: tuple, high: tuple) -> np.ndarray:
    """Between two sRGB colours: (H, W) in [0, 1] to (H, W, 3) uint8."""
    colour = np.asarray(low) + np.clip(amount, 0, 1)[..., None] * (np.asarray(high) - np.asarray(low))
    return (np.clip(colour, 0, 1) * 255).round().astype(np.uint8)


def sky(size: tuple[int, int], rng: np.random.Generator, top: tuple, low: tuple) -> Image.Image:
    """A gradient sky with soft clouds, for a frame twice as high as `size` (width, height)."""
    w, h = size[0] + 8, 2 * size[1] + 16
    amount = np.clip(np.linspace(0, 2, h), 0, 1)[:, None] * np.ones((1, w))
    clouds = np.clip(fractal(rng, (h, w), (7, 3), 5) * 2.6 - 1.35, 0, 1) * 0.75
    pixels = mix(amount, top, low).astype(float)
    return Image.fromarray((pixels + clouds[..., None] * (250 - pixels)).round().astype(np.uint8))


def garden(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Sky over a far, unsharp hedge with flowers and spots of light."""
    image = sky(size, rng, (0.35, 0.60, 0.90), (0.80, 0.90, 0.97))
    draw, (w, h) = ImageDraw.Draw(image), image.size
    for _ in range(500):
        x, y, r = rng.uniform(-20, w + 20), h * (0.5 - 0.16 * rng.beta(1.2, 2)), rng.uniform(6, 26)
        green = mix(np.array([[rng.random()]]), (0.09, 0.22, 0.08), (0.38, 0.56, 0.20))[0, 0]
        draw.ellipse([x - r, y - r, x + r, y + r], fill=tuple(int(c) for c in green))
    for _ in range(40):
        x, y, r = rng.uniform(0, w), h * rng.uniform(0.38, 0.48), rng.uniform(3, 8)
        draw.ellipse(
            [x - r, y - r, x + r, y + r], fill=[(244, 130, 160), (250, 215, 90), (250, 245, 235)][int(rng.integers(3))]
        )
    draw.rectangle([0, h // 2, w, h], fill=(70, 110, 40))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(5)))


def seaside(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Sky over a band of sea with a line of surf."""
    image = sky(size, rng, (0.28, 0.58, 0.88), (0.86, 0.93, 0.97))
    draw, (w, h) = ImageDraw.Draw(image), image.size
    shore = int(h * 0.53)
    draw.rectangle([0, int(h * 0.47), w, shore], fill=(38, 128, 168))
    for k in range(5):
        y = h * (0.478 + 0.012 * k)
        draw.line([(0, y), (w, y + 1)], fill=(84, 170, 196), width=1 + k // 2)
    draw.rectangle([0, shore - 5, w, shore + 2], fill=(238, 246, 246))
    draw.rectangle([0, shore + 3, w, h], fill=(222, 198, 150))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(2.5)))


def woods(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A pale winter sky over unsharp rows of firs with snow on them."""
    image = sky(size, rng, (0.62, 0.74, 0.88), (0.96, 0.90, 0.86))
    draw, (w, h) = ImageDraw.Draw(image), image.size
    for row, tone in enumerate(((150, 172, 190), (104, 134, 148), (62, 96, 104))):
        for x in np.arange(-20, w + 30, 30 + 6 * row):
            x, foot, tall = x + rng.uniform(-9, 9), h * 0.53, h * rng.uniform(0.10, 0.17) * (1.25 - 0.2 * row)
            for k in range(3):
                wide, low = (1 - 0.25 * k) * 0.22 * tall, foot - 0.28 * k * tall
                draw.polygon([(x - wide, low), (x, low - 0.45 * tall), (x + wide, low)], fill=tone)
                draw.polygon(
                    [(x - 0.3 * wide, low - 0.3 * tall), (x, low - 0.45 * tall), (x + 0.3 * wide, low - 0.3 * tall)],
                    fill=(236, 240, 246),
                )
    draw.rectangle([0, h * 0.51, w, h], fill=(226, 232, 242))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(3.5)))


def room(size: tuple[int, int], rng: np.random.Generator, wall: tuple, shelf: bool) -> np.ndarray:
    """An unsharp wall of a room, with a shelf of books and a lamp, or a window's light on it."""
    w, h = size[0] + 8, 2 * size[1] + 16
    shade = fractal(rng, (h, w), (2, 2), 2) * 0.25 + np.linspace(0.75, 0.3, h)[:, None]
    image = Image.fromarray(mix(shade, tuple(0.6 * c for c in wall), wall))
    draw = ImageDraw.Draw(image)
    if shelf:
        for board in (0.33, 0.465):
            draw.rectangle([0, h * board, w, h * (board + 0.012)], fill=(112, 74, 46))
            x = -6.0
            while x < w:
                wide, tall = rng.uniform(10, 24), h * rng.uniform(0.07, 0.105)
                hue = [(178, 62, 52), (222, 168, 78), (62, 98, 132), (88, 122, 92), (230, 222, 204), (84, 62, 84)][
                    int(rng.integers(6))
                ]
                if rng.random() < 0.85:
                    draw.rectangle([x, h * board - tall, x + wide, h * board], fill=hue)
                x += wide + 1
    else:
        for k in range(2):
            x = w * (0.12 + 0.2 * k)
            draw.polygon(
                [(x, h * 0.2), (x + w * 0.16, h * 0.18), (x + w * 0.24, h * 0.42), (x + w * 0.08, h * 0.44)],
                fill=tuple(int(255 * min(1, 1.12 * c)) for c in wall),
            )
    return np.asarray(image.filter(ImageFilter.GaussianBlur(7)))


def lawn(rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    """Some 50,000 blades of grass, in five greens, over 16 x 13 units."""
    parts = []
    for green in ((0.20, 0.42, 0.08), (0.28, 0.52, 0.12), (0.36, 0.58, 0.16), (0.16, 0.36, 0.07), (0.48, 0.62, 0.22)):
        n = 12000
        root = np.column_stack([rng.uniform(-6, 6, n), np.abs(rng.normal(0, 4.5, n)) - 2.6, np.zeros(n)])
        angle, height = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.06, 0.17, n)
        side = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(n)]) * 0.011
        lean = np.column_stack([rng.normal(0, 0.05, (n, 2)), height])
        vertices = np.stack([root - side, root + side, root + lean], axis=1).reshape(-1, 3)
        parts.append((Mesh(vertices, np.zeros((3 * n, 2)), np.arange(3 * n).reshape(-1, 3)), Surface("matte", green)))
    return parts


def relief(
    rng: np.random.Generator, height: Callable[[np.ndarray, np.ndarray], np.ndarray], surface: Surface, steps: int = 420
) -> list[tuple[Mesh, Surface]]:
    """A square of ground 12 units wide whose height follows a function of x and y."""
    x, y = np.meshgrid(np.linspace(-6, 6, steps), np.linspace(-4, 8, steps))
    z = height(x, y)
    dy, dx = np.gradient(z, y[:, 0], x[0])
    normals = np.stack([-dx, -dy, np.ones_like(z)], axis=-1).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    index = np.arange(steps * steps).reshape(steps, steps)
    a, b, c, d = (index[i : steps - 1 + i, j : steps - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 1), (1, 0)))
    faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    uvs = np.stack([x / 2, y / 2], axis=-1).reshape(-1, 2)
    return [(Mesh(vertices, uvs, faces, normals), surface)]


def beach(rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    bumps = fractal(rng, (420, 420), (12, 12), 5)
    grain = mix(0.5 + 0.22 * rng.standard_normal((512, 512)), (0.70, 0.57, 0.38), (0.93, 0.82, 0.62))

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        ripple = 0.016 * np.sin(9 * (y + 0.35 * np.sin(1.3 * x) + 0.12 * np.sin(4.1 * x)))
        hollow = 0.05 * np.exp(-(x**2 + y**2) / 0.4)
        return ripple + 0.10 * bumps - 0.055 - hollow

    shell = at(lathe([(0, 0.0), (0.09, 0.0), (0.06, 0.05), (0, 0.09)], 12), 0.75, -0.35, 0.0)
    return [
        *relief(rng, height, Surface("matte", (0.85, 0.73, 0.52), grain)),
        (shell, Surface("matte", (0.95, 0.72, 0.66))),
    ]


def snow(rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    bumps = fractal(rng, (420, 420), (5, 5), 6)
    return relief(
        rng,
        lambda x, y: 0.25 * bumps - 0.13 - 0.06 * np.exp(-(x**2 + y**2) / 0.3),
        Surface("matte", (0.93, 0.95, 0.98)),
    )


def table(rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    """A table top of five boards."""
    parts = []
    for k in range(6):
        shape = (512, 1024)
        grain = fractal(rng, shape, (24, 2), 5, 0.75)
        knots = 0.5 + 0.5 * np.sin(26 * fractal(rng, shape, (4, 2), 2) + 5 * grain)
        tone = rng.uniform(0.85, 1.1)
        board = mix(
            0.65 * grain + 0.35 * knots,
            (0.40 * tone, 0.22 * tone, 0.10 * tone),
            (0.76 * tone, 0.50 * tone, 0.28 * tone),
        )
        parts.append((at(box(9.0, 0.69, 0.2), 0, -1.75 + 0.7 * k, -0.2), Surface("plastic", (0.6, 0.4, 0.2), board)))
    return parts


def blanket(rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    """A softly folded tartan."""
    y, x = np.mgrid[0:1024, 0:1024] / 1024
    cloth = np.ones((1024, 1024, 3)) * (0.72, 0.13, 0.16)
    for axis in (x, y):
        for start, wide, colour in (
            (0.1, 0.16, (0.10, 0.16, 0.34)),
            (0.36, 0.03, (0.95, 0.86, 0.62)),
            (0.5, 0.22, (0.45, 0.08, 0.12)),
            (0.6, 0.025, (0.95, 0.86, 0.62)),
            (0.82, 0.05, (0.10, 0.16, 0.34)),
        ):
            band = ((axis - start) % 1 < wide)[..., None]
            cloth = np.where(band, 0.45 * cloth + 0.55 * np.array(colour), cloth)
    weave = 0.92 + 0.08 * (((x * 512).astype(int) + (y * 512).astype(int)) % 2)
    folds = fractal(rng, (420, 420), (5, 4), 3, 0.4)
    cloth = (np.clip(cloth * weave[..., None], 0, 1) * 255).astype(np.uint8)
    return relief(
        rng, lambda x, y: 0.35 * (folds - 0.5) * np.clip((x**2 + y**2) / 1.5, 0, 1), Surface("matte", RED, cloth)
    )


def studio(rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    """A seamless paper sweep that rises behind the toy."""

    def rise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.minimum(0.6 * np.maximum(y - 1.6, 0) ** 2, 9)

    return relief(rng, rise, Surface("matte", (0.95, 0.66, 0.70)))
