"""Structure without any network: how near a picture comes to a photo, pixel by pixel, at several sizes.

A fine-tune of few photos ends by repeating them. Then the place of every edge is known, and a pattern over the picture,
a smeared face or a wrong colour counts, which a histogram of outlines hardly sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

from udp.evaluation.metrics.quality import squares

SIDE = 128  # pixels of the squares that are looked at
SHRINKS = (1, 2, 4)  # at a quarter of the side, grain no longer counts and what the picture shows still does


def pyramids(images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The centre square of each uint8 picture of any size, at every size of `SHRINKS`: float (S, S, 3) in 0 to 255."""
    return [
        [downscale_local_mean(square.astype(np.float64), (shrink, shrink, 1)) for shrink in SHRINKS]
        for square in squares(images, SIDE)
    ]


def structure_similarity(generated: Sequence[list[np.ndarray]], real: Sequence[list[np.ndarray]]) -> np.ndarray:
    """SSIM of each picture to its nearest photo, (N,), mean over the sizes; both are `pyramids`. 1: the same picture.

    Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity", with its Gaussian window, on
    red, green and blue. Pictures that repeat no photo stay near what the base model reaches by chance.
    """
    return np.array([max(_alike(picture, photo) for photo in real) for picture in generated])


def _alike(picture: list[np.ndarray], photo: list[np.ndarray]) -> float:
    return float(
        np.mean(
            [
                structural_similarity(
                    a, b, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
                )
                for a, b in zip(picture, photo, strict=True)
            ]
        )
    )
