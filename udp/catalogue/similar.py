"""Groups of photos that look alike, found without a model: small enough for a set, and nearly equal in number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 8


def look(path: Path) -> np.ndarray:
    """What a photo looks like from afar: its colours on a grid of 8 x 8, float32 (192,) in [0, 1]; grey if it is unreadable."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (4 * SIDE, 4 * SIDE))  # of a JPEG, an eighth of the pixels is decoded
            small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
            return np.asarray(small, np.float32).ravel() / 255
    except Exception:  # decoders raise anything; why it cannot be read is said when its set's turn comes
        return np.full(3 * SIDE * SIDE, 0.5, np.float32)


def alike(looks: np.ndarray, size: int) -> list[list[int]]:
    """Indices of the rows of `looks` (N, D) in groups of at most `size`, as few as hold all; those of a group in order.

    Principal direction divisive partitioning (Boley 1998): the photos are cut in two across the direction in which they differ
    most, in proportion to the groups on either side, and so on. The same photos give the same groups.
    """
    return _cut(looks, np.arange(len(looks)), max(1, -(-len(looks) // size)))


def _cut(looks: np.ndarray, members: np.ndarray, groups: int) -> list[list[int]]:
    if groups == 1:
        return [sorted(members.tolist())]
    found = looks[members] - looks[members].mean(0)
    _, directions = np.linalg.eigh(found.T @ found)
    direction = directions[:, -1] * np.sign(directions[np.abs(directions[:, -1]).argmax(), -1])
    order = members[np.argsort(found @ direction, kind="stable")]
    left = groups // 2
    middle = round(len(order) * left / groups)
    return _cut(looks, order[:middle], left) + _cut(looks, order[middle:], groups - left)


def in_order(count: int, size: int) -> list[range]:
    """So many photos in full groups of `size`, in order; a rest of less than half a group belongs to the last one."""
    groups = max(1, count // size + (2 * (count % size) >= size))
    return [range(index * size, count if index + 1 == groups else (index + 1) * size) for index in range(groups)]


def looks_of(paths: Sequence[Path]) -> np.ndarray:
    """`look` at each of them, (N, 192)."""
    return np.stack([look(path) for path in paths])
