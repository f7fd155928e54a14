"""Figures that compare a set of generated pictures with a set of real ones, and bootstrap intervals.

All take feature vectors (N, D) of any extractor; whoever reports a figure has to name it, because values from different
extractors do not compare. With few pictures they are rough: that is what the intervals are for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from udp.errors import InvalidInput

NEIGHBOUR = 3


def _check(generated: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generated, real = (np.asarray(x, dtype=np.float64) for x in (generated, real))
    if generated.ndim != 2 or real.ndim != 2 or generated.shape[1] != real.shape[1]:
        raise InvalidInput(f"expected two sets of features (N, D) of one D, got {generated.shape} and {real.shape}")
    if min(len(generated), len(real)) < 2:
        raise InvalidInput(f"expected at least two pictures in each set, got {len(generated)} and {len(real)}")
    return generated, real


def frechet_distance(generated: np.ndarray, real: np.ndarray) -> float:
    """FID (Heusel et al. 2017, arXiv 1706.08500) on the given features; 0 for sets of equal mean and covariance.

    The trace of the root of the covariances' product is the nuclear norm of the two centred sets' inner products,
    which is exact and stable for fewer samples than dimensions, where a matrix root is neither.
    """
    generated, real = _check(generated, real)
    a = (generated - generated.mean(0)) / np.sqrt(len(generated) - 1)
    b = (real - real.mean(0)) / np.sqrt(len(real) - 1)
    between = np.linalg.norm(a @ b.T, "nuc")
    means = np.square(generated.mean(0) - real.mean(0)).sum()
    return float(max(0.0, means + np.square(a).sum() + np.square(b).sum() - 2 * between))


def kernel_distance(generated: np.ndarray, real: np.ndarray) -> float:
    """KID (Binkowski et al. 2018, arXiv 1801.01401): unbiased squared MMD with the kernel (x . y / D + 1)^3.

    Zero on average for two samples of one distribution, so small values may be negative.
    """
    x, y = _check(generated, real)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: np.ndarray) -> float:
        k = kernel(a, a)
        return (k.sum() - np.trace(k)) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


def precision_recall(generated: np.ndarray, real: np.ndarray, neighbour: int = NEIGHBOUR) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991), both in [0, 1].

    Precision is the share of generated pictures inside the real manifold (quality), recall the share of real ones
    inside the generated manifold (diversity); a manifold is the union of balls that reach each member's `neighbour`-th
    nearest other member (the last one, where a set is smaller than that).
    """
    generated, real = _check(generated, real)

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(a[:, None] - b[None]).sum(2))

    def covered(points: np.ndarray, members: np.ndarray) -> float:
        own = np.sort(distances(members, members), 1)  # column 0 is the member itself
        radii = own[:, min(neighbour, len(members) - 1)]
        return float((distances(points, members) <= radii + 1e-9).any(1).mean())

    return covered(generated, real), covered(real, generated)


def bootstrap(
    figure: Callable[[np.ndarray], float], count: int, draws: int = 200, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of `figure` over resamples of `count` pictures (Efron 1979); it takes indices (count,).

    Says how much the figure hangs on which pictures were drawn, and nothing about other seeds of the training.
    """
    found = stats.bootstrap(
        (np.arange(count),),
        figure,
        n_resamples=draws,
        confidence_level=level,
        method="percentile",
        vectorized=False,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
