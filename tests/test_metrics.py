"""Figures of generated pictures: known answers, and agreement with independent implementations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import sqrtm
from skimage.filters import gaussian

from tests.conftest import picture
from udp.errors import InvalidInput
from udp.evaluation.metrics.figures import BesideClean, Imitation, Reference
from udp.evaluation.metrics.quality import blur, squares, texture, texture_distance
from udp.evaluation.metrics.sets import bootstrap, frechet_distance, kernel_distance, precision_recall
from udp.evaluation.metrics.table import measure
from udp.language import ENGLISH
from udp.models.base import DiffusionModel
from udp.photos import Photo


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


def smooth(seed: int) -> np.ndarray:
    """Soft random colours, float (64, 64, 3), in levels of 255."""
    colours = gaussian(np.random.default_rng(seed).normal(size=(64, 64, 3)), 4, channel_axis=2)
    return 128 + 40 * colours / colours.std()


def test_pattern_excess_sees_faint_stripes_and_not_noise_of_the_same_power() -> None:
    clean = [to_levels(smooth(seed)) for seed in range(6)]
    stripes = 4 * np.sin(2 * np.pi * np.arange(64) / 6.3)[:, None, None]
    noise = [np.random.default_rng(seed).normal(0, stripes.std(), (64, 64, 1)) for seed in range(6)]

    def excess(images: list[np.ndarray]) -> float:
        figures, intervals = measure(BesideClean(images, clean))
        low, high = intervals["pattern_excess"]
        assert low <= figures["pattern_excess"] + 1e-3 and figures["pattern_excess"] <= high + 1e-3
        return figures["pattern_excess"]

    assert excess(clean) == 0
    chance = excess([to_levels(smooth(seed) + n) for seed, n in enumerate(noise)])
    others = excess([to_levels(smooth(seed)) for seed in range(10, 16)])
    assert max(chance, others) < 8
    for turned in (stripes, stripes.transpose(1, 0, 2)):
        assert excess([to_levels(smooth(seed) + turned) for seed in range(6)]) > 20
        # against other pictures, and as faint as one level
        assert excess([to_levels(smooth(seed) + turned / 4) for seed in range(10, 16)]) > 12
    assert excess([soft(image, 1) for image in clean]) < 8
    # slow shading is content, and a pattern that half of the pictures have counts half
    slow = stripes.std() * np.sin(2 * np.pi * np.arange(64) / 32)[:, None, None]
    assert excess([to_levels(smooth(seed) + slow) for seed in range(6)]) < 8
    both = excess([to_levels(smooth(seed) + stripes * (seed % 2)) for seed in range(6)])
    assert both == pytest.approx(excess([to_levels(smooth(seed) + stripes) for seed in range(6)]) / 2, rel=0.3)


def test_pattern_excess_of_single_tiny_and_flat_pictures_is_defined() -> None:
    flat = [np.full((64, 64, 3), 9, np.uint8)]
    assert measure(BesideClean([], [])) == ({}, {})
    assert measure(BesideClean(flat, flat)) == ({"pattern_excess": 0}, {})
    assert measure(BesideClean(flat, [np.full((64, 64, 3), 200, np.uint8)]))[0] == {"pattern_excess": 0}
    small = [picture(seed, 8, 8) for seed in range(2)]
    assert measure(BesideClean(small, small[::-1]))[0] == {"pattern_excess": 0}


def to_levels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def test_blur_rises_with_blur_and_a_flat_picture_has_no_detail() -> None:
    values = [float(blur([soft(picture(0), sigma)])[0]) for sigma in (0.1, 1.5, 4)]
    assert values == sorted(values) and 0 < values[0] < values[2] < 1
    assert blur([np.full((64, 64, 3), 7, np.uint8)])[0] == pytest.approx(1)


def test_squares_are_what_a_fine_tune_sees() -> None:
    assert [s.shape for s in squares([picture(0, 120, 90), picture(1)], 64)] == [(64, 64, 3)] * 2


def cloud(count: int, dimensions: int, seed: int, at: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return at + scale * np.random.default_rng(seed).normal(size=(count, dimensions))


def test_identical_sets_are_at_no_distance() -> None:
    for shape in ((6, 200), (1000, 8)):
        x = cloud(*shape, seed=0)
        assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
        assert precision_recall(x, x) == (1.0, 1.0)
    assert kernel_distance(x, x) == pytest.approx(0, abs=0.03)  # unbiased: no pair with itself


def test_disjoint_sets_share_no_manifold() -> None:
    a, b = cloud(20, 5, 0), cloud(20, 5, 1, at=100)
    assert precision_recall(a, b) == (0.0, 0.0)
    assert frechet_distance(a, b) > 1000 and kernel_distance(a, b) > 1000


def test_precision_is_quality_and_recall_is_diversity() -> None:
    real = cloud(200, 2, 0)
    one_mode = real[:1] + cloud(50, 2, 1, scale=0.01)
    precision, recall = precision_recall(one_mode, real)
    assert precision == 1 and recall < 0.1
    precision, recall = precision_recall(np.concatenate([real, cloud(200, 2, 2, at=50)]), real)
    assert precision == 0.5 and recall == 1


@pytest.mark.parametrize(("a_count", "b_count", "dimensions"), [(100, 80, 6), (400, 400, 20)])
def test_frechet_distance_agrees_with_scipy(a_count: int, b_count: int, dimensions: int) -> None:
    mix = cloud(dimensions, dimensions, 5)
    a, b = cloud(a_count, dimensions, 0) @ mix, cloud(b_count, dimensions, 1, at=0.3, scale=1.4)
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    theirs = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-5)


def test_kernel_distance_agrees_with_a_plain_sum_and_is_unbiased() -> None:
    a, b = cloud(5, 3, 0), cloud(4, 3, 1, at=0.5)

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float(x @ y / 3 + 1) ** 3

    within = [np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b)]
    theirs = sum(within) - 2 * np.mean([k(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(theirs)
    values = [kernel_distance(cloud(8, 4, 2 * i), cloud(8, 4, 2 * i + 1)) for i in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20 and min(values) < 0


def test_bootstrap_covers_the_mean_of_a_known_sample() -> None:
    values = cloud(400, 1, 0, at=3.0)[:, 0]
    low, high = bootstrap(lambda i: float(values[i].mean()), 400)
    assert low < values.mean() < high and high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)
    assert bootstrap(lambda i: 7.0, 5) == (7.0, 7.0)


def test_sets_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InvalidInput, match="of one D"):
        frechet_distance(np.ones((3, 2)), np.ones((3, 4)))
    with pytest.raises(InvalidInput, match="at least two pictures"):
        kernel_distance(np.ones((1, 2)), np.ones((3, 2)))


def test_all_figures_of_an_arm(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    real = squares([p.pixels for p in photos], tiny_model.resolution)
    before = [noisy(i, 60) for i in real]
    reference = Reference.of(tiny_model, photos, "a photo of sks", before)
    same, intervals = measure(Imitation(reference, tiny_model, tiny_model.network, real))
    assert same["fid"] == pytest.approx(0, abs=1e-2) and same["precision"] == same["recall"] == 1
    assert same["texture_distance"] == 0 and same["similarity"] == pytest.approx(1, abs=1e-3)
    assert all(low <= high for low, high in intervals.values()) and set(intervals) < set(same)
    worse, _ = measure(Imitation(reference, tiny_model, tiny_model.network, before))
    assert worse["texture_distance"] > 6 and worse["noise_level"] > 10 > same["noise_level"]
    single, none = measure(Imitation(reference, tiny_model, tiny_model.network, real[:1]))
    assert none == {} and "fid" not in single
    basis = ENGLISH.say(reference.basis(3))
    assert "3 pictures" in basis and "3 clean photos" in basis and "256 numbers" in basis
    assert f"({Path(tiny_model.name).name})" in basis and tiny_model.name not in basis  # no path of this machine
