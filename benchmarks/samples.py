"""The model card's grid: captioned samples of a model, all prompts from the same noise.

    python -m benchmarks.samples --out udp/mini/samples.png [--model mini] [--guidance 3] [--seeds 0 1]

A row a seed, a column a prompt. Reading a row from left to right shows what the words change, because only they differ.
A model without prompts gets a grid of 32 seeds, enlarged to 128 px a picture.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from udp.models.loading import load_model
from udp.models.sampling import generate

# One word changes at a time: object, colour, material, ground, place, style.
PROMPTS = (
    "a photo of a red chair on grass",
    "a photo of a blue chair on grass",
    "a photo of a wooden table, indoors",
    "a photo of a yellow duck on sand",
    "a photo of a green ball on snow",
    "a photo of a gold metal ball on a table",
    "a photo of a pink backpack in a forest",
    "a photo of a teapot on a wooden table",
    "a photo of a dog on grass",
    "a photo of a forest with trees",
    "a photo of snowy mountains",
    "a photo of the sea",
    "a drawing of a cat",
    "a drawing of a red apple",
)


def draw(rows: list[list[Image.Image]], prompts: tuple[str, ...], side: int) -> Image.Image:
    """Rows of pictures under their prompts, wrapped to the column's width."""
    gap, head, font = 4, 50, ImageFont.load_default(12)
    canvas = Image.new("RGB", (len(prompts) * (side + gap) + gap, head + len(rows) * (side + gap)), "white")
    pen = ImageDraw.Draw(canvas)
    for column, prompt in enumerate(prompts):
        left = gap + column * (side + gap)
        pen.multiline_text((left, 3), textwrap.fill(prompt, max(8, side // 6)), fill="black", font=font)
        for row, images in enumerate(rows):
            canvas.paste(images[column], (left, head + row * (side + gap)))
    return canvas


def grid(pictures: list[np.ndarray], columns: int = 8, side: int = 128) -> Image.Image:
    """Pictures in rows of `columns`, each enlarged to `side` without smoothing."""
    rows = [np.concatenate(pictures[start : start + columns], 1) for start in range(0, len(pictures), columns)]
    image = Image.fromarray(np.concatenate(rows))
    times = side // pictures[0].shape[0]
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def main() -> None:
    """Sample and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--prompts", nargs="+", default=PROMPTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, default=3.0)
    options = parser.parse_args()
    model = load_model(options.model)
    if not model.takes_prompts:
        grid(generate(model, model.network, "", range(32), options.steps)).save(options.out, optimize=True)
        return
    columns = [
        [Image.fromarray(i) for i in generate(model, model.network, p, options.seeds, options.steps, options.guidance)]
        for p in options.prompts
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    draw(rows, tuple(options.prompts), model.resolution).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
