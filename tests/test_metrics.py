"""Figures of generated pictures: known answers, and agreement with independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import gaussian

from tests.conftest import picture
from udp.metrics_quality import blur, squares, texture, texture_distance


def noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def soft(image: np.ndarray, sigma: float) -> np.ndarray:
    return (gaussian(image, sigma, channel_axis=2) * 255).astype(np.uint8)


def sharp(seed: int) -> np.ndarray:
    """Random rectangles: hard, sparse edges on flat ground."""
    random = np.random.default_rng(seed)
    image = np.full((64, 64, 3), 128, np.uint8)
    for _ in range(40):
        y, x = random.integers(0, 56, 2)
        image[y : y + random.integers(3, 20), x : x + random.integers(3, 20)] = random.integers(0, 256, 3)
    return image


REAL = [sharp(seed) for seed in range(6)]
OTHERS = [sharp(seed) for seed in range(10, 16)]


def distance(images: list[np.ndarray]) -> float:
    return float(texture_distance(texture(images), texture(REAL)).mean())


def test_texture_distance_sees_noise_blur_and_collapse() -> None:
    assert distance(REAL) == 0
    other = distance(OTHERS)
    assert distance([noisy(i, 8) for i in OTHERS]) > other + 3
    assert distance([noisy(i, 20) for i in OTHERS]) > distance([noisy(i, 8) for i in OTHERS])
    assert distance([soft(i, 2) for i in OTHERS]) > other + 3
    assert distance([np.full((64, 64, 3), 90, np.uint8)] * 3) > other + 6


def test_noise_on_a_soft_picture_does_not_pass_for_detail() -> None:
    blurred = [soft(i, 1.5) for i in OTHERS]
    assert distance([noisy(i, 15) for i in blurred]) > distance(blurred)


def test_blur_rises_with_blur_and_a_flat_picture_has_no_detail() -> None:
    values = [float(blur([soft(picture(0), sigma)])[0]) for sigma in (0.1, 1.5, 4)]
    assert values == sorted(values) and 0 < values[0] < values[2] < 1
    assert blur([np.full((64, 64, 3), 7, np.uint8)])[0] == pytest.approx(1)


def test_squares_are_what_a_fine_tune_sees() -> None:
    assert [s.shape for s in squares([picture(0, 120, 90), picture(1)], 64)] == [(64, 64, 3)] * 2
