"""Structure: a repeated photo is told from one under a pattern, at every size, and from another photo."""

from __future__ import annotations

import numpy as np

from tests.conftest import picture
from udp.evaluation.metrics.shapes import shapes
from udp.evaluation.metrics.structure import pyramids, structure_similarity


def waves(photo: np.ndarray, levels: float, period: float) -> np.ndarray:
    """`photo` under a lattice of that many levels of 255."""
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]] * 2 * np.pi / period
    return np.clip(photo + levels * (np.sin(x) * np.sin(y))[..., None], 0, 255).astype(np.uint8)


def test_a_pattern_costs_structure_which_outlines_hardly_see() -> None:
    photos = [picture(seed, width=160, height=128) for seed in (0, 5)]
    faint, strong = waves(photos[1], 8, 12), waves(photos[1], 20, 12)
    found = structure_similarity(pyramids([photos[1], faint, strong, picture(9)]), pyramids(photos))
    again, little, much, other = found
    assert again == 1 and 1 > little > much + 0.1 and again > other + 0.4
    seen = shapes([photos[1], strong])
    assert float(seen[0] @ seen[1]) > much + 0.1


def test_the_nearest_photo_counts_whatever_the_sizes_and_grain_counts_less_than_what_is_shown() -> None:
    photos = [picture(0, width=300, height=200), picture(5, width=64, height=64)]
    assert np.allclose(structure_similarity(pyramids(photos), pyramids(photos[::-1])), 1)
    photo = picture(0)
    grain = np.random.default_rng(0).normal(0, 12, photo.shape)
    grainy = np.clip(photo + grain, 0, 255).astype(np.uint8)
    moved = np.roll(photo, 16, 1)
    noisy, shifted = structure_similarity(pyramids([grainy, moved]), pyramids([photo]))
    assert noisy > shifted
