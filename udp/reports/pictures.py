"""Pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def grid(rows: dict[str, Sequence[np.ndarray]], side: int = 192) -> Image.Image:
    """Labelled rows of pictures on white; columns share a seed."""
    gap, font = 8, ImageFont.load_default(18)
    label = max(150, *(round(font.getlength(name)) + 3 * gap for name in rows))
    columns = max(len(images) for images in rows.values())
    canvas = Image.new("RGB", (label + columns * (side + gap) + gap, len(rows) * (side + gap) + gap), "white")
    draw = ImageDraw.Draw(canvas)
    for row, (name, images) in enumerate(rows.items()):
        top = gap + row * (side + gap)
        draw.multiline_text((gap * 2, top + side // 2 - 12), name.replace("_", " "), fill="black", font=font)
        for column, image in enumerate(images):
            tile = Image.fromarray(image)
            scale = side / max(tile.size)
            size = (round(tile.width * scale), round(tile.height * scale))
            tile = tile.resize(size, Image.Resampling.LANCZOS)
            canvas.paste(tile, (label + gap + column * (side + gap), top))
    return canvas
