"""What surrounds the objects of a training render: the source folders, floors, backdrops and light."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from recipe.render_cutouts import Cutouts
from recipe.render_objects import COLOURS, Furniture, colour_word, jittered
from recipe.render_scenes import Floor, Light, to_linear
from recipe.render_textures import blend, floor
from udp.errors import InvalidInput

NATURE = ("grass", "sand", "snow", "stone", "gravel", "dirt")
INDOORS = ("a wooden floor", "tiles", "a checkered floor", "a blanket")
# Backdrop photos by the first letters of their file names; other photos are left out.
PLACES = {
    "beach": "at the beach",
    "canyon": "in a canyon",
    "city": "in a city",
    "desert": "in a desert",
    "dune": "in a desert",
    "badlands": "in a desert",
    "fields": "in a field",
    "fog": "in fog",
    "forest": "in a forest",
    "hills": "in the hills",
    "mountain": "in the mountains",
    "sea": "by the sea",
    "water": "by the water",
    "sky": "under the sky",
    "snow": "in the snow",
    "valley": "in a valley",
}
# Floors that suit a place; other places take any of NATURE.
GROUNDS = {
    "at the beach": ("sand",),
    "in a desert": ("sand", "dirt", "stone"),
    "in the snow": ("snow",),
    "in a canyon": ("stone", "dirt"),
    "in a city": ("stone", "tiles", "gravel"),
    "by the sea": ("sand", "stone"),
    "in a forest": ("grass", "dirt"),
    "in a field": ("grass", "dirt"),
    "in a valley": ("grass", "stone"),
}
# Environment maps by file name, and the light they are captioned with.
SKIES = {
    "city": None,
    "courtyard": None,
    "forest": None,
    "interior": None,
    "studio": None,
    "night": "at night",
    "sunrise": "at sunrise",
    "sunset": "at sunset",
}


@dataclass
class Library:
    """Everything the images are made from. `photos` are (file name, place words, path); `skies` are linear arrays."""

    furniture: Furniture
    by_noun: dict[str, list[int]]
    photos: list[tuple[str, str, Path]]
    skies: dict[str, np.ndarray]
    cutouts: Cutouts | None = None


def open_library(furniture: Path, photos: Path, environments: Path) -> Library:
    """Index the three folders. Raises InvalidInput naming the folder that holds nothing usable."""
    import mitsuba as mi

    models = Furniture(furniture)
    by_noun: dict[str, list[int]] = {}
    for index, (_, noun, _) in enumerate(models.entries):
        by_noun.setdefault(noun, []).append(index)
    found = []
    for path in sorted(photos.glob("*.jpg")):
        place = PLACES.get(re.match(r"[a-z]*", path.name)[0])
        if place:
            found.append((path.name, place, path))
    skies = {}
    for name in SKIES:
        for path in sorted(environments.rglob(f"{name}.exr")):
            bitmap = mi.Bitmap(str(path)).convert(mi.Bitmap.PixelFormat.RGB, mi.Struct.Type.Float32)
            pixels = np.maximum(np.array(bitmap), 0)
            step = max(1, pixels.shape[0] // 32)  # light only: a coarse sky is enough, and quick to sample
            h, w = pixels.shape[0] // step * step, pixels.shape[1] // step * step
            sky = pixels[:h, :w].reshape(h // step, step, w // step, step, 3).mean(axis=(1, 3))
            # Small bright lamps make shaded sides noisy at few samples; the sun disk gives the sharp highlights.
            skies[name] = np.minimum(sky, 4 * sky.mean())
    for folder, content in ((furniture, by_noun), (photos, found), (environments, skies)):
        if not content:
            raise InvalidInput(f"expected usable files in {folder}, got none")
    return Library(models, by_noun, found, skies)


def pick(options: list | tuple | dict, rng: np.random.Generator):
    """One of the options, evenly."""
    options = list(options)
    return options[int(rng.integers(len(options)))]


def article(words: str) -> str:
    """The words with "a" or "an" before them, or bare for a plural."""
    if words.endswith(("flowers", "shoes", "glasses", "scissors", "apples", "shelves")):
        return words
    return ("an " if words[0] in "aeiou" else "a ") + words


def surroundings(
    library: Library, rng: np.random.Generator, size: int
) -> tuple[Floor, np.ndarray, str, str, str | None]:
    """Floor, backdrop image, floor words, place words ("" for none) and the photo's file name."""
    frame = int(size * 1.02) + 1
    if rng.random() < 0.62:
        name, place, path = pick(library.photos, rng)
        image = Image.open(path).convert("RGB")
        scale = rng.uniform(1.15, 2.2) * frame / image.height
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        shift = int(rng.integers(0, image.width - frame + 1))
        image = image.crop((shift, 0, shift + frame, image.height))
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.6)))
        table = rng.random() < 0.25
        word = "a wooden table" if table else pick(GROUNDS.get(place, NATURE), rng)
        reach = rng.uniform(2.0, 3.5) if table else rng.uniform(3.0, 9.0)
        return Floor(*floor(word, rng), reach, not table), np.asarray(image), word, place, name
    colour = jittered(pick(COLOURS, rng), rng)
    gradient = np.linspace(0, 1, 2 * frame)[:, None] * np.ones((1, frame))
    backdrop = blend(gradient, colour, tuple(np.array(colour) * rng.uniform(0.5, 1.0)))
    if rng.random() < 0.4:
        word = f"{article(colour_word(colour))} table"
        plain = np.full((8, 8, 3), 255 * np.array(colour), dtype=np.uint8)
        return Floor(plain, 1.0, rng.uniform(4.0, 8.0), True), backdrop, word, "", None
    word = pick(INDOORS + NATURE + ("a wooden table",) * 3, rng)
    hard, floor_image = word == "a wooden table", floor(word, rng)
    reach = rng.uniform(2.0, 3.5) if hard else rng.uniform(4, 8)
    return Floor(*floor_image, reach, not hard), backdrop, word, "", None


def lighting(library: Library, rng: np.random.Generator, photo: np.ndarray | None) -> tuple[Light, str]:
    """Light for the scene and its words ("" for none); a backdrop photo may serve as the sky."""
    name, words = pick(library.skies, rng), ""
    sky = library.skies[name]
    if photo is not None and rng.random() < 0.5:
        name = "photo"
        small = Image.fromarray(photo).resize((64, 32), Image.Resampling.BOX)
        sky = to_linear(np.asarray(small) / 255)
    sky = np.roll(sky / sky.mean(), int(rng.integers(sky.shape[1])), axis=1)
    sky[sky.shape[0] // 2 :] *= 0.1  # the floor hides that half: samples spent on it would be lost
    warm, strength = (1.0, 0.97, 0.92), rng.uniform(0.3, 3.0)
    elevation, exposure = rng.uniform(35, 75), rng.uniform(0.2, 0.34)
    if name in ("sunset", "sunrise"):
        words = SKIES[name]
        warm, strength, elevation = (1.0, 0.6, 0.3), rng.uniform(2.0, 4.0), rng.uniform(14, 28)
    elif name == "night":
        words, warm, exposure = SKIES[name], (0.6, 0.75, 1.0), rng.uniform(0.06, 0.1)
        sky = sky * np.array([0.6, 0.8, 1.3])
    elif strength > 2.3:
        words = "in bright light"
    elif strength < 0.7:
        words = "in soft light"
    light = Light(sky, rng.uniform(0, 360), elevation, warm, strength * 100 / np.pi, rng.uniform(0.5, 1.6), exposure)
    return light, words
