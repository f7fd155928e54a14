"""Quality of generated pictures without any network: texture against real photos, periodic patterns, and blur.

Cosines of deep features hardly see noise. These do: they compare how strong and how sparse the detail is at each scale,
and whether one frequency stands out.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pywt
from scipy.ndimage import median_filter, uniform_filter
from skimage.color import rgb2gray, rgb2ycbcr
from skimage.measure import blur_effect
from skimage.restoration import estimate_sigma

from udp.tensors import fit_square, to_pixels, to_tensor

_WARNINGS = threading.Lock()

LEVELS = 3
# Half a level of 255: detail fainter than rounding counts as none, and a flat picture has a finite texture.
FLOOR = 0.5
# What repeats less often across a picture is its content, not a pattern on it.
FEWEST_PERIODS = 8
# How many frequencies of about the same radius say what is normal there.
RING = 101


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


def log_spectra(images: Sequence[np.ndarray]) -> np.ndarray:
    """Power spectra in dB of the luminance of uint8 pictures of one size, (N, H, W), lowest frequency first.

    Under a Hann window, so that a picture's border is no edge, and averaged over 3 x 3 frequencies, because single ones
    scatter by as much as they measure. The variance of rounding, 1/12, is added: nothing fainter counts.
    """
    found = []
    for image in images:
        luminance = rgb2gray(image) * 255
        window = np.outer(*(np.hanning(side + 1)[:-1] for side in luminance.shape))
        amplitude = np.fft.fft2((luminance - luminance.mean()) * window)
        power = np.abs(amplitude) ** 2 / np.square(window).sum() + 1 / 12
        found.append(10 * np.log10(uniform_filter(power, 3, mode="wrap")))
    return np.stack(found)


def pattern_excess(generated: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """How much a periodic pattern, such as stripes, stands out against the clean arm's pictures, dB, one a picture (N,).

    Both are `log_spectra` (N, H, W) and belong together in pairs (the same sampling seed). The mean difference of the
    pairs, less its median over frequencies of the same radius, is largest at one frequency of at least `FEWEST_PERIODS`
    periods across the picture; the values are each pair's difference there, and their mean is the figure. A low-contrast
    pattern moves neither the strength of the detail much nor its density, but it sits at one frequency in every picture;
    noise and blur change all directions alike and cancel. Equal sets give 0. Pictures without a pattern give some dB,
    the luckiest of thousands of frequencies: compare with the random-noise arm. Our own figure, without a reference.
    """
    difference = generated - clean
    height, width = difference.shape[1:]
    y, x = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    periods = np.hypot(y, x) * min(height, width)
    candidates = np.flatnonzero(periods >= FEWEST_PERIODS)
    if not len(candidates):
        return np.zeros(len(difference))
    mean, order = difference.mean(0).ravel(), np.argsort(periods, axis=None, kind="stable")
    normal = np.empty_like(mean)
    normal[order] = median_filter(mean[order], RING, mode="nearest")
    peak = candidates[np.argmax((mean - normal)[candidates])]
    return difference.reshape(len(difference), -1)[:, peak] - normal[peak]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # What warnings are shown is the process's, not a thread's: one thread at a time changes it.
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def blur(images: Sequence[np.ndarray]) -> np.ndarray:
    """No-reference blur of uint8 pictures in [0, 1], (N,): 0 is sharp, 1 has no detail (Crete et al. 2007)."""
    with _quiet():  # a flat picture divides zero by zero: no detail at all
        values = [blur_effect(image, channel_axis=2) for image in images]
    return np.nan_to_num(np.array(values), nan=1.0)


def noise_level(images: Sequence[np.ndarray]) -> float:
    """Mean estimated noise of uint8 pictures, standard deviation in levels of 255 (wavelet estimate; flat is 0)."""
    with _quiet():  # a flat channel has no wavelet detail to take a median of
        sigmas = [estimate_sigma(image, channel_axis=2) for image in images]
    return float(np.mean(np.nan_to_num(sigmas)))
