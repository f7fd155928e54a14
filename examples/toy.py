"""Pip, the toy of the example photographs, built of primitives."""

from __future__ import annotations

import numpy as np

from recipe.render_meshes import Mesh, ball, box, cylinder, ring, rotation
from recipe.render_objects import Surface, Thing

TURQUOISE, ORANGE, CREAM = (0.05, 0.62, 0.62), (0.96, 0.47, 0.06), (0.96, 0.90, 0.76)
RED, WHITE, BLACK = (0.82, 0.10, 0.12), (0.95, 0.94, 0.92), (0.03, 0.03, 0.04)
YELLOW, PURPLE = (0.98, 0.78, 0.10), (0.42, 0.16, 0.55)


def at(mesh: Mesh, x: float, y: float, z: float, stretch: tuple = (1, 1, 1), turn: np.ndarray | None = None) -> Mesh:
    """The mesh stretched along the axes, turned, and put down at a place."""
    matrix = np.diag(stretch).astype(float)
    return mesh.moved(matrix if turn is None else turn @ matrix, (x, y, z))


def globe(radius: float) -> Mesh:
    """A sphere around the origin."""
    return ball(radius).moved(offset=(0, 0, -radius))


def pip() -> Thing:
    """Pip, the toy: a round turquoise bird with a cream belly, a red scarf and a yellow party hat. Faces -y.

    Plain colours: stripes and spots are finer than what an imitator's model of 128 px can learn from six photos.
    """
    parts: list[tuple[Mesh, Surface]] = [
        (at(globe(0.42), 0, 0, 0.46, (1, 0.92, 1.0)), Surface("plastic", TURQUOISE)),
        (at(globe(0.33), 0, -0.13, 0.42, (0.95, 0.85, 1.0)), Surface("matte", CREAM)),
        (at(globe(0.36), 0, -0.01, 1.02, (1.08, 0.98, 0.95)), Surface("plastic", TURQUOISE)),
        (at(cylinder(0.11, 0.26, 0.0), 0, -0.33, 0.96, turn=rotation("x", 97)), Surface("plastic", ORANGE)),
        (
            at(ring(0.3, 0.095), 0, 0, 0.67, (1.02, 0.95, 0.95)),
            Surface("matte", RED),
        ),
        (
            at(box(0.15, 0.07, 0.36), 0.17, -0.375, 0.42, turn=rotation("x", -12)),
            Surface("matte", RED),
        ),
        (
            at(cylinder(0.2, 0.46, 0.0), 0.05, 0.02, 1.3, turn=rotation("y", 9)),
            Surface("matte", YELLOW),
        ),
        (at(globe(0.085), 0.13, 0.02, 1.77), Surface("matte", WHITE)),
        (at(cylinder(0.2, 0.42, 0.03), 0, 0.34, 0.3, (1, 0.4, 1), rotation("x", -62)), Surface("plastic", PURPLE)),
    ]
    for side in (-1, 1):
        wing = rotation("y", 24 * -side) @ rotation("z", 8 * side)
        parts += [
            (at(globe(0.15), side * 0.15, -0.285, 1.1, (1, 0.55, 1)), Surface("plastic", WHITE)),
            (at(globe(0.088), side * 0.135, -0.345, 1.1, (1, 0.5, 1)), Surface("plastic", BLACK)),
            (at(globe(0.026), side * 0.135 + 0.035, -0.39, 1.14), Surface("matte", (1, 1, 1))),
            (at(globe(0.25), side * 0.43, 0.02, 0.45, (0.3, 0.8, 1.15), wing), Surface("plastic", PURPLE)),
            (at(globe(0.17), side * 0.19, -0.16, 0.055, (0.9, 1.35, 0.38)), Surface("plastic", ORANGE)),
            (at(globe(0.07), side * 0.29, -0.25, 0.95, (1, 0.5, 0.8)), Surface("matte", (0.98, 0.55, 0.55))),
        ]
    return Thing("pip", parts)
