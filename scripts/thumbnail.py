"""The picture that a link to the Space shows: `python scripts/thumbnail.py` writes docs/thumbnail.png, 1200 x 630.

It takes pictures out of docs/shown.png, which benchmarks/subjects.py makes, whatever is on it: run it again after that.
`--picture` names another one of the same layout, `--rows` its rows, counted from 0.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

sys.path.insert(0, str(Path(__file__).parents[1]))
from udp.evaluation.arm_names import ArmName

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, HEIGHT, MARGIN = 1200, 630, 48
PAPER, INK, SOFT = "#faf8f5", "#1c1917", "#57534e"
TITLE = "Unlearnable examples for diffusion models"
LEAD = "Protect your photos, then play the imitator: what does a model fine-tuned on them draw?"
FOOT = "Same model, same seeds, same steps: only the photos differ. Protection hinders imitation; it is no lock."
SETS = (
    ("trained on clean photos", ArmName.CLEAN.colour),
    ("trained on photos + noise", ArmName.RANDOM.colour),
    ("trained on protected photos", ArmName.PROTECTED.colour),
)
SIDE, GAP = 166, 6  # of one picture; four of them make a set
WIDE = 8  # white columns that part two groups of pictures; between two pictures of a group there are fewer
MOST_BYTES = 400_000


def runs(filled: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], filled, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def cut(picture: Image.Image) -> list[list[list[Image.Image]]]:
    """The pictures on a grid of benchmarks/subjects.py as `[set][row][index]`, found by the white between them."""
    drawn = (np.asarray(picture.convert("RGB")) < 255).any(axis=2)
    rows = runs(drawn.any(axis=1))
    tallest = max((end - start for start, end in rows), default=0)
    rows = [(start, end) for start, end in rows if end - start > tallest / 2]  # the titles are lower
    body = np.concatenate([drawn[start:end] for start, end in rows]) if rows else drawn[:0]
    groups: list[list[tuple[int, int]]] = []
    for start, end in runs(body.any(axis=0)):
        if groups and start - groups[-1][-1][1] < WIDE:
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
    if len(groups) != 5:
        sys.exit(f"expected photo, protected photo and three sets of pictures side by side, got {len(groups)} groups")
    return [
        [[picture.crop((left, top, right, bottom)) for left, right in group] for top, bottom in rows]
        for group in groups[2:]
    ]


def draw(sets: list[list[list[Image.Image]]], rows: list[int]) -> Image.Image:
    """Title, four pictures of each set with its name, and what to keep in mind."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, 34), TITLE, INK, ImageFont.load_default(46), stroke_width=0.6)
    pen.text((MARGIN, 96), LEAD, SOFT, ImageFont.load_default(25))
    block = 2 * SIDE + GAP
    step = (WIDTH - 2 * MARGIN - block) / 2
    for number, (pictures, (name, colour)) in enumerate(zip(sets, SETS, strict=True)):
        left, top = round(MARGIN + number * step), 152
        pen.rectangle((left, top, left + 6, top + 28), fill=colour)
        pen.text((left + 18, top), name, INK, ImageFont.load_default(23), stroke_width=0.3)
        places = itertools.product(range(min(map(len, pictures))), rows)  # every subject once before a second seed
        for index, (seed, row) in zip(range(4), itertools.cycle(places)):
            tile = pictures[row][seed].convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            tile = ImageOps.posterize(tile, 6)  # nobody sees the two lowest bits, and they are a third of the file
            canvas.paste(tile, (left + index % 2 * (SIDE + GAP), top + 42 + index // 2 * (SIDE + GAP)))
    pen.text((MARGIN, HEIGHT - 58), FOOT, SOFT, ImageFont.load_default(23))
    return canvas


def main() -> None:
    """Cut, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=DOCS / "shown.png")
    parser.add_argument("--rows", type=int, nargs="+", help="at most four (default: the first ones)")
    parser.add_argument("--out", type=Path, default=DOCS / "thumbnail.png")
    options = parser.parse_args()
    sets = cut(Image.open(options.picture))
    count = len(sets[0])
    rows = list(range(min(4, count))) if options.rows is None else options.rows
    if not all(0 <= row < count for row in rows):
        sys.exit(f"expected rows from 0 to {count - 1}, got {' '.join(map(str, rows))}")
    draw(sets, rows).save(options.out, optimize=True)
    size = options.out.stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"expected at most {MOST_BYTES} bytes, got {size}")
    print(f"{options.out}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
