"""Toys built of primitives, with random proportions and colours, for the training renders."""

from __future__ import annotations

import numpy as np

from recipe.render_meshes import Mesh, ball, box, cylinder, lathe, ring, rotation
from recipe.render_objects import COLOURS, SOLIDS, Surface, Thing, jittered

VIVID = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "turquoise"]


def at(mesh: Mesh, x: float, y: float, z: float, turn: np.ndarray | None = None) -> Mesh:
    """The mesh turned and then placed."""
    return mesh.moved(turn, (x, y, z))


def eyes(x: float, y: float, z: float, size: float) -> list[tuple[Mesh, Surface]]:
    """Two black eyes, mirrored in x, facing -y."""
    return [(at(ball(size), side * x, y, z - size), Surface("plastic", COLOURS["black"])) for side in (-1, 1)]


def snowman(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    white = Surface("matte", jittered("white", rng))
    carrot = Surface("matte", COLOURS["orange"])
    buttons = [(at(ball(0.04), 0, -0.37 + 0.05 * k, 0.62 + 0.16 * k), main) for k in range(2)]
    return [
        (ball(0.42), white),
        (at(ball(0.31), 0, 0, 0.62), white),
        (at(ball(0.22), 0, 0, 1.08), white),
        (at(cylinder(0.05, 0.3, 0.0), 0, -0.2, 1.3, rotation("x", 90)), carrot),
        (at(ring(0.2, 0.06), 0, 0, 1.05), main),
        (at(cylinder(0.3, 0.04), 0, 0, 1.44), second),
        (at(cylinder(0.19, 0.26), 0, 0, 1.46), second),
        *buttons,
        *eyes(0.08, -0.19, 1.37, 0.03),
    ]


def robot(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    wide, tall = rng.uniform(0.5, 0.75), rng.uniform(0.5, 0.75)
    head = rng.uniform(0.32, 0.46)
    top = 0.3 + tall
    parts = [
        (at(box(wide, 0.4, tall), 0, 0, 0.3), main),
        (at(box(head, head, head), 0, 0, top + 0.04), second),
        (at(cylinder(0.02, 0.16), 0, 0, top + head), main),
        (at(ball(0.05), 0, 0, top + head + 0.14), main),
        (at(box(wide * 0.55, 0.05, tall * 0.4), 0, -0.2, 0.3 + tall * 0.4), second),
    ]
    for side in (-1, 1):
        parts += [
            (at(cylinder(0.1, 0.3), side * wide * 0.28, 0, 0), second),
            (at(cylinder(0.07, 0.5), side * (wide / 2 + 0.09), 0, top - 0.5), second),
            (at(ball(0.1), side * (wide / 2 + 0.09), 0, top - 0.62), main),
            (at(ball(0.075), side * head * 0.22, -head / 2, top + head * 0.5), Surface("matte", COLOURS["white"])),
        ]
    return parts + eyes(head * 0.22, -head / 2 - 0.055, top + 0.075 + head * 0.5, 0.04)


def duck(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    body = at(ball(0.4, 0.8), 0, 0, 0).moved(np.diag([0.85, 1.15, 1.0]))
    beak = at(cylinder(0.11, 0.24, 0.03), 0, -0.48, 0.78, rotation("x", 90))
    wings = [(at(ball(0.2, 0.9).moved(np.diag([0.35, 1.2, 1.0])), side * 0.33, 0.05, 0.2), main) for side in (-1, 1)]
    tail = at(cylinder(0.16, 0.35, 0.0), 0, 0.36, 0.42, rotation("x", -55))
    return [
        (body, main),
        (at(ball(0.25), 0, -0.28, 0.52), main),
        (beak, second),
        (tail, main),
        *wings,
        *eyes(0.12, -0.47, 0.87, 0.04),
    ]


def bird(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    body = ball(0.34, 1.25)
    wings = [
        (at(ball(0.22, 1.3).moved(np.diag([0.35, 0.9, 1.0])), side * 0.34, 0.03, 0.28), second) for side in (-1, 1)
    ]
    feet = [(at(cylinder(0.03, 0.2), side * 0.13, 0, 0), Surface("matte", COLOURS["orange"])) for side in (-1, 1)]
    beak = at(cylinder(0.08, 0.2, 0.0), 0, -0.3, 0.75, rotation("x", 90))
    return [
        (at(body, 0, 0, 0.12), main),
        (beak, Surface("matte", COLOURS["orange"])),
        *wings,
        *feet,
        (at(cylinder(0.1, 0.25, 0.0), 0, 0.02, 0.92), second),
        *eyes(0.13, -0.27, 0.82, 0.045),
    ]


def bear(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    parts = [
        (at(ball(0.34, 1.1), 0, 0, 0.05), main),
        (at(ball(0.27), 0, -0.02, 0.68), main),
        (at(ball(0.22), 0, -0.17, 0.2), second),
        (at(ball(0.12, 0.8), 0, -0.25, 0.78), second),
    ]
    for side in (-1, 1):
        parts += [
            (at(ball(0.1), side * 0.2, 0, 1.07), main),
            (at(ball(0.13), side * 0.24, -0.2, 0.0), main),
            (at(ball(0.11), side * 0.36, -0.08, 0.38), main),
        ]
    return parts + [
        (at(ball(0.04), 0, -0.36, 0.87), Surface("plastic", COLOURS["black"])),
        *eyes(0.1, -0.25, 1.01, 0.035),
    ]


def rocket(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    hull = lathe([(0, 0.2), (0.2, 0.2), (0.28, 0.5), (0.29, 0.8), (0.24, 1.1), (0.13, 1.35), (0, 1.5)])
    fins = [(box(0.06, 0.5, 0.45).moved(rotation("z", 60 + 120 * k)), second) for k in range(3)]
    porthole = at(cylinder(0.11, 0.1), 0, -0.2, 0.9, rotation("x", 90))
    nose = lathe([(0.25, 1.09), (0.14, 1.35), (0, 1.53)])
    return [
        (hull, main),
        (nose, second),
        (at(cylinder(0.18, 0.2, 0.14), 0, 0, 0.02), second),
        *fins,
        (porthole, Surface("plastic", COLOURS["blue"])),
    ]


def mushroom(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    cap = lathe([(0, 0.5), (0.5, 0.48), (0.52, 0.56), (0.42, 0.8), (0.22, 0.95), (0, 1.0)])
    white = Surface("matte", COLOURS["white"])
    spots = [(at(ball(0.09, 0.5), 0.4 * np.cos(a), 0.4 * np.sin(a), 0.72), white) for a in np.arange(6) * 1.047]
    return [(lathe([(0, 0), (0.24, 0), (0.17, 0.3), (0.16, 0.55), (0, 0.55)]), white), (cap, main), *spots]


def tower(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    parts, height = [], 0.0
    for k in range(int(rng.integers(3, 6))):
        size = 0.5 * 0.85**k
        surface = Surface("plastic", jittered(VIVID[int(rng.integers(len(VIVID)))], rng))
        mesh = box(size, size, size * 0.7) if rng.random() < 0.5 else cylinder(size * 0.55, size * 0.6)
        parts.append((at(mesh.moved(rotation("z", rng.uniform(0, 90))), *rng.uniform(-0.04, 0.04, 2), height), surface))
        height = float(parts[-1][0].vertices[:, 2].max())
    return parts


def house(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    wide, deep, tall = rng.uniform(0.6, 1.0), rng.uniform(0.6, 0.9), rng.uniform(0.4, 0.7)
    roof = lathe([(0, 0), (0.5, 0), (0, 0.5)], 4).moved(rotation("z", 45)).moved(np.diag([wide * 1.6, deep * 1.6, 1.0]))
    white, brown = Surface("matte", COLOURS["white"]), Surface("matte", COLOURS["brown"])
    panes = [(at(box(0.16, 0.04, 0.16), side * wide * 0.3, -deep / 2, tall * 0.55), white) for side in (-1, 1)]
    return [
        (box(wide, deep, tall), main),
        (at(roof, 0, 0, tall), second),
        (at(box(0.1, 0.1, 0.4), 0.2, 0.1, tall), brown),
        (at(box(0.18, 0.04, 0.32), 0, -deep / 2, 0), brown),
        *panes,
    ]


def tree(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    green = Surface("matte", jittered("green", rng))
    crown = [(at(cylinder(0.42 - 0.1 * k, 0.5, 0.0), 0, 0, 0.25 + 0.27 * k), green) for k in range(3)]
    return [(cylinder(0.09, 0.3), Surface("matte", COLOURS["brown"])), *crown]


def train(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    wheels = [
        (at(cylinder(0.14, 0.06), side * 0.26, y, 0.14, rotation("y", 90 * side)), Surface("matte", COLOURS["black"]))
        for side in (-1, 1)
        for y in (-0.4, 0.0, 0.4)
    ]
    boiler = at(cylinder(0.2, 0.75), 0, 0.2, 0.45, rotation("x", 90))
    return [
        (at(box(0.45, 1.15, 0.12), 0, 0, 0.15), second),
        (boiler, main),
        (at(box(0.46, 0.4, 0.6), 0, 0.36, 0.25), main),
        (at(box(0.54, 0.48, 0.06), 0, 0.36, 0.85), second),
        (at(cylinder(0.06, 0.25, 0.1), 0, -0.35, 0.62), second),
        *wheels,
    ]


def car(main: Surface, second: Surface, rng: np.random.Generator) -> list:
    wheels = [
        (at(cylinder(0.15, 0.08), side * 0.25, y, 0.15, rotation("y", 90 * side)), Surface("matte", COLOURS["black"]))
        for side in (-1, 1)
        for y in (-0.33, 0.33)
    ]
    lights = [(at(ball(0.06), side * 0.17, -0.56, 0.25), Surface("plastic", COLOURS["yellow"])) for side in (-1, 1)]
    cabin = at(ball(0.36, 0.8).moved(np.diag([0.75, 1, 1])), 0, 0.08, 0.25)
    body = at(ball(0.5, 0.5).moved(np.diag([0.62, 1.18, 0.9])), 0, 0, 0.1)
    return [(body, main), (cabin, second), *wheels, *lights]


TOYS = {
    "toy robot": robot,
    "snowman": snowman,
    "toy duck": duck,
    "toy bird": bird,
    "teddy bear": bear,
    "toy rocket": rocket,
    "mushroom": mushroom,
    "toy tower": tower,
    "toy house": house,
    "toy tree": tree,
    "toy train": train,
    "toy car": car,
}
UNCOLOURED = ("toy tower", "toy tree", "snowman")  # the main colour is not what one would call them by


def toy(noun: str, surface: Surface, colour: str, rng: np.random.Generator) -> Thing:
    """Build one toy of TOYS in a main surface and a random second colour; the words name the main colour."""
    second = Surface("plastic", jittered(VIVID[int(rng.integers(len(VIVID)))], rng))
    words = noun if noun in UNCOLOURED else f"{colour} {noun}"
    return Thing(words, TOYS[noun](surface, second, rng)).normalised()


def solid(noun: str, surface: Surface, adjective: str, rng: np.random.Generator) -> Thing:
    """Build one of the solids with one surface; rings and cylinders may lie or stand."""
    mesh = SOLIDS[noun](rng)
    if noun == "ring" and rng.random() < 0.5:
        mesh = mesh.moved(rotation("x", 90))
    return Thing(f"{adjective} {noun}", [(mesh, surface)]).normalised()
