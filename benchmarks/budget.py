"""The budget, exactly, on many generated pictures after the PNG round trip:

    python -m benchmarks.budget --count 10000

Pictures of every kind of content (noise, flats at both ends, gradients, transparency), size and budget, protected by random
noise, which fills its budget, written as PNG, read back and compared. Ends with an error at the first pixel that is too far.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from udp.photos import Photo, read_photo, write_png
from udp.protection.methods import RandomNoise

LARGEST_SIDE = 96


def generated(random: np.random.Generator, index: int) -> Photo:
    """A picture that no other index has."""
    height, width = random.integers(32, LARGEST_SIDE + 1, 2)
    kind = index % 5
    if kind == 0:
        pixels = random.integers(0, 256, (height, width, 3))
    elif kind == 1:
        pixels = np.full((height, width, 3), random.choice([0, 1, 2, 127, 253, 254, 255]))
    elif kind == 2:
        y, x = np.mgrid[0:height, 0:width]
        pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], 2)
    elif kind == 3:
        pixels = random.choice([0, 255], (height, width, 3))
    else:
        pixels = random.normal(random.integers(0, 256), 6, (height, width, 3)).clip(0, 255)
    alpha = random.integers(0, 256, (height, width)).astype(np.uint8) if index % 7 == 0 else None
    return Photo(f"p{index}", pixels.astype(np.uint8), alpha)


def main(arguments: list[str] | None = None) -> None:
    """Run the check and say what was checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="pictures (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures and the noise (default 0)")
    options = parser.parse_args(arguments)
    random, reached = np.random.default_rng(options.seed), Counter()
    with tempfile.TemporaryDirectory() as folder:
        for index in range(options.count):
            photo, levels = generated(random, index), int(random.integers(2, 33))
            perceptual = "texture" if index % 11 == 0 else "off"
            method = RandomNoise(budget=levels / 255, perceptual=perceptual)
            (after,) = method([photo], None, seed=options.seed + index)
            read = read_photo(write_png(Path(folder) / "photo.png", after))
            found = int(np.abs(read.pixels.astype(int) - photo.pixels).max())
            if found > levels or not np.array_equal(read.pixels, after.pixels):
                raise SystemExit(
                    f"expected picture {index} within {levels}/255 after the PNG round trip, got {found}/255"
                )
            reached[found == levels] += 1
    print(f"{options.count} pictures, every pixel of each within its budget; {reached[True]} of them use all of it")


if __name__ == "__main__":
    main()
