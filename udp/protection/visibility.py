"""How visible a perturbation is."""

from __future__ import annotations

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from udp.photos import Photo
from udp.protection.budget import largest_difference


def visibility(original: Photo, protected: Photo) -> dict[str, float]:
    """How visible a perturbation is: PSNR in dB, SSIM (1 is identical), largest difference in levels of 255."""
    psnr = peak_signal_noise_ratio(original.pixels, protected.pixels, data_range=255)
    # In float32, for half of the time and memory of a large photo; the digits that are kept are the same but for chance.
    a, b = (photo.pixels.astype(np.float32) for photo in (original, protected))
    ssim = structural_similarity(a, b, channel_axis=2, data_range=255)
    return {
        "psnr_db": round(float(psnr), 2),
        "ssim": round(float(ssim), 4),
        "largest_difference_levels": largest_difference(original.pixels, protected.pixels),
    }
