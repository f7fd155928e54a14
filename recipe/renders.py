"""Render captioned images that train the miniature text-to-image model.

    python -m recipe.renders --furniture DIR --photos DIR --environments DIR --out DIR --count 3000 --seed 0

Writes part-00000.npz, part-00001.npz, ... of 100 images each: `images` (n, size, size, 3) uint8, `captions` and
`sources` (n,) strings, the latter naming the model and its author and the backdrop photo for the attribution list;
VOCAB.txt, the captions' words; and CREDITS.md, the catalogue models in them. Every image depends on (seed, its number)
alone, so a stopped run goes on where it left off: finished parts are kept. With `--cutouts DIR` the objects are those of
`recipe.render_cutouts` instead of furniture, toys and solids. Needs mitsuba.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from recipe.render_cutouts import open_cutouts
from recipe.render_meshes import rotation
from recipe.render_objects import COLOURS, SOLIDS, Surface, Thing, dominant_colour, jittered
from recipe.render_scenes import METALS, Camera, render
from recipe.render_styles import STYLES
from recipe.render_surroundings import Library, article, lighting, open_library, pick, surroundings
from recipe.render_textures import pattern, wood
from recipe.render_toys import TOYS, solid, toy

SHARD = 100
PATTERNS = ("striped", "checkered", "dotted", "zigzag")


def named_surface(rng: np.random.Generator, textured: bool) -> tuple[Surface, str, str]:
    """A random surface, the adjective that names it ("red plastic", "gold", "wooden") and its colour word."""
    colour = pick(COLOURS, rng)
    rgb = jittered(colour, rng)
    roll = rng.random()
    if roll < 0.08:
        metal = pick(METALS, rng)
        return Surface(metal), f"{metal} metal", metal
    if roll < 0.16 and textured:
        return Surface("glass", rgb), f"{colour} glass", colour
    if roll < 0.24 and textured:
        return Surface("matte", (0.45, 0.28, 0.15), wood(rng)), "wooden", "wooden"
    if roll < 0.40 and textured:
        kind, second = pick(PATTERNS, rng), pick([name for name in COLOURS if name != colour], rng)
        image = pattern(kind, rgb, jittered(second, rng), rng)
        return Surface("plastic", rgb, image), f"{kind} {colour}", colour
    if roll < 0.70:
        return Surface("plastic", rgb), f"{colour} plastic", colour
    return Surface("matte", rgb), colour, colour


def furniture_thing(library: Library, rng: np.random.Generator) -> Thing:
    """A catalogue model in its own materials, or all in one named surface, turned to show mostly its front."""
    nouns = list(library.by_noun)
    weights = np.sqrt([len(library.by_noun[noun]) for noun in nouns])
    for _ in range(20):
        noun = nouns[int(rng.choice(len(nouns), p=weights / weights.sum()))]
        try:
            thing = library.furniture.load(pick(library.by_noun[noun], rng))
        except (ValueError, KeyError, OSError, IndexError):
            continue  # a broken model file: take another
        low, high = thing.bounds()
        if np.sort(high - low)[1] < 0.08 or not np.isfinite(low).all():
            continue  # a needle fills no frame
        if rng.random() < 0.3:
            surface, adjective, _ = named_surface(rng, textured=False)
            parts = [(mesh, surface) for mesh, own in thing.parts]
            return Thing(f"{adjective} {noun}", parts, thing.source)
        colour = dominant_colour(thing.parts)
        return Thing(f"{colour} {noun}" if colour else noun, thing.parts, thing.source)
    raise RuntimeError("expected a loadable furniture model within 20 tries, got none")


def single(library: Library, rng: np.random.Generator) -> list[Thing]:
    """One object for the frame: furniture (two thirds), a toy or a solid."""
    roll = rng.random()
    if roll < 0.66:
        return [furniture_thing(library, rng).moved(rotation("z", rng.normal(0, 50)))]
    surface, adjective, colour = named_surface(rng, textured=roll >= 0.86)
    if roll < 0.86:
        return [toy(pick(TOYS, rng), surface, colour, rng).moved(rotation("z", rng.normal(0, 40)))]
    return [solid(pick(SOLIDS, rng), surface, adjective, rng).moved(rotation("z", rng.uniform(0, 360)))]


def still_life(rng: np.random.Generator) -> list[Thing]:
    """Two to four solids with strong patterns side by side, none inside another."""
    things: list[Thing] = []
    placed: list[tuple[np.ndarray, float]] = []
    for _ in range(int(rng.integers(2, 5))):
        surface, adjective, _ = named_surface(rng, textured=True)
        if rng.random() < 0.6:
            first, second = rng.choice(list(COLOURS), 2, replace=False)
            kind = pick(PATTERNS, rng)
            adjective = f"{kind} {first}"
            surface = Surface(
                "plastic", COLOURS[first], pattern(kind, jittered(first, rng), jittered(second, rng), rng)
            )
        scale = rng.uniform(0.55, 1.0)
        thing = solid(pick(SOLIDS, rng), surface, adjective, rng).moved(rotation("z", rng.uniform(0, 360)) * scale)
        low, high = thing.bounds()
        radius = float(np.hypot(*(high - low)[:2])) / 2 * 0.85
        for reach in np.arange(0, 3, 0.05):
            angle = rng.uniform(0, 2 * np.pi)
            spot = reach * np.array([np.cos(angle), 0.7 * np.sin(angle)])
            if all(np.linalg.norm(spot - other) > radius + size for other, size in placed):
                break
        placed.append((spot, radius))
        things.append(thing.moved(offset=(*spot, 0)))
    return sorted(things, key=lambda thing: thing.bounds()[0][1])  # the camera is on the side of -y: nearest first


def caption(things: list[Thing], ground: str, place: str, light: str, medium: str, rng: np.random.Generator) -> str:
    """A caption of about a dozen words: the medium, up to two things, then ground, place and light as they fit."""
    words = f"{medium} of " + " and ".join(article(thing.words) for thing in things[:2])
    for extra in (f"on {ground}", place, light):
        if extra and len((words + " " + extra).split()) <= 13 and rng.random() < 0.85:
            words += ("," if extra == light else "") + " " + extra
    return words


def make_image(library: Library, seed: int, number: int, size: int, samples: int) -> tuple[np.ndarray, str, str]:
    """Image (size, size, 3) uint8, caption and source of image `number`; the same for the same arguments."""
    rng = np.random.default_rng([seed, number])
    roll = rng.random()
    if library.cutouts:
        things = [library.cutouts.thing(rng)]
    else:
        things = still_life(rng) if roll < 0.25 or (roll > 0.94 and rng.random() < 0.3) else single(library, rng)
    ground_plane, backdrop, ground, place, photo = surroundings(library, rng, size)
    light, light_words = lighting(library, rng, backdrop if photo else None)
    fill = rng.uniform(0.55, 0.85) if len(things) == 1 else rng.uniform(0.75, 0.95)
    camera = Camera(
        rng.normal(-90, 25),
        rng.uniform(6, 34),
        fill,
        (rng.uniform(-0.05, 0.05), rng.uniform(-0.06, 0.03)),
        (size, size),
        rng.uniform(3.5, 6.5),
    )
    if light_words == "at night":
        backdrop = (backdrop * np.array([0.22, 0.27, 0.4])).astype(np.uint8)
    image = render(things, ground_plane, light, camera, backdrop, int(rng.integers(2**31)), samples)
    medium = "a photo"
    if roll >= 0.85:
        medium = pick(STYLES, rng)
        image = STYLES[medium](image, rng)
    sources = sorted({thing.source for thing in things}) + ([photo] if photo else [])
    return image, caption(things, ground, place, light_words, medium, rng), " | ".join(sources)


def write_credits(folder: Path) -> None:
    """Write CREDITS.md: every catalogue model in the folder's parts once, with its library and author, one a line."""
    models = {
        source
        for path in folder.glob("part-?????.npz")
        for sources in np.load(path)["sources"]
        for source in str(sources).split(" | ")
        if ": " in source  # neither our own primitives nor a backdrop, which the photographs' list names
    }
    (folder / "CREDITS.md").write_text("".join(f"- {model}\n" for model in sorted(models)))


def write_vocabulary(folder: Path) -> None:
    """Write VOCAB.txt: the distinct words of all captions in the folder's parts, one a line."""
    words = {
        word
        for path in folder.glob("part-?????.npz")
        for text in np.load(path)["captions"]
        for word in re.findall(r"[a-z]+", str(text))
    }
    (folder / "VOCAB.txt").write_text("\n".join(sorted(words)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--furniture", type=Path, required=True, help="folder of Sweet Home 3D .sh3f libraries")
    parser.add_argument("--photos", type=Path, required=True, help="folder of landscape photos (.jpg)")
    parser.add_argument("--environments", type=Path, required=True, help="folder searched for .exr environment maps")
    parser.add_argument("--out", type=Path, required=True, help="folder for the parts")
    parser.add_argument("--count", type=int, default=3000, help="number of images, rounded up to whole parts of 100")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="width and height in pixels")
    parser.add_argument("--samples", type=int, default=36, help="samples a pixel")
    parser.add_argument(
        "--cutouts", type=Path, help="show these instead of furniture, toys and solids: a folder of .webp"
    )
    arguments = parser.parse_args()

    import mitsuba as mi

    mi.set_variant("scalar_rgb")
    library = open_library(arguments.furniture, arguments.photos, arguments.environments)
    library.cutouts = open_cutouts(arguments.cutouts) if arguments.cutouts else None
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part in range(-(-arguments.count // SHARD)):
        path = arguments.out / f"part-{part:05d}.npz"
        if path.exists():
            continue
        numbers = range(part * SHARD, (part + 1) * SHARD)
        rows = [make_image(library, arguments.seed, k, arguments.size, arguments.samples) for k in numbers]
        images, captions, sources = zip(*rows, strict=True)
        unfinished = path.with_suffix(".tmp.npz")
        np.savez_compressed(unfinished, images=np.stack(images), captions=np.array(captions), sources=np.array(sources))
        unfinished.rename(path)
        write_vocabulary(arguments.out)
        write_credits(arguments.out)
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
