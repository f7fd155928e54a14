"""Quality of generated pictures without any network: texture against real photos, and blur.

Cosines of deep features hardly see noise. These do: they compare how strong and how sparse the detail is at each scale.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pywt
from skimage.color import rgb2ycbcr
from skimage.measure import blur_effect

from udp.images import fit_square, to_pixels, to_tensor

LEVELS = 3
# Half a level of 255: detail fainter than rounding counts as none, and a flat picture has a finite texture.
FLOOR = 0.5


def squares(images: Sequence[np.ndarray], side: int) -> list[np.ndarray]:
    """Photos of any size as the uint8 squares (side, side, 3) that a fine-tune sees."""
    return [to_pixels(fit_square(to_tensor(image)[None], side)[0]) for image in images]


def texture(images: Sequence[np.ndarray]) -> np.ndarray:
    """Detail of uint8 pictures in dB, (N, 18): three wavelet scales of three YCbCr channels, strength and density.

    Strength is the root mean square of the coefficients; density their median magnitude, scaled to equal it for
    Gaussian noise. Real edges are strong and sparse and noise is dense (Donoho & Johnstone 1994), so noise on a soft
    picture does not pass for the detail of a sharp one.
    """
    rows = []
    for image in images:
        channels = rgb2ycbcr(image)
        row = []
        for channel in range(3):
            for details in pywt.wavedec2(channels[..., channel], "db2", "periodization", LEVELS)[1:]:
                values = np.stack([d.ravel() for d in details])
                row += [np.sqrt(np.mean(values**2)), np.median(np.abs(values)) / 0.6745]
        rows.append(row)
    return 20 * np.log10(np.array(rows) + FLOOR)


def texture_distance(generated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Root-mean-square difference in dB of each picture's `texture` to its nearest real photo's, (N,).

    0 is the same texture; added noise, blur and flat areas all raise it.
    """
    return np.sqrt(((generated[:, None] - real[None]) ** 2).mean(2)).min(1)


def blur(images: Sequence[np.ndarray]) -> np.ndarray:
    """No-reference blur of uint8 pictures in [0, 1], (N,): 0 is sharp, 1 has no detail (Crete et al. 2007)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a flat picture divides zero by zero: no detail at all
        values = [blur_effect(image, channel_axis=2) for image in images]
    return np.nan_to_num(np.array(values), nan=1.0)
