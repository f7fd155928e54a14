"""Where a photo hides a perturbation: texture masks it, flat areas show it (contrast masking), and the eye sees brightness best.

Green carries most of the brightness (0.72 of it, ITU-R BT.709, where red has 0.21 and blue 0.07), and autoencoders look
at the three channels much alike: so it is green that an invisible perturbation has to spare.
"""

from __future__ import annotations

import numpy as np
import torch

from udp.tensors import to_tensor

# Flat areas keep this share of the budget; a local standard deviation of FULL levels of 255 and more gets all of it.
LEAST, FULL = 0.4, 12.0
WINDOW = 7
# Red, green and blue keep this share: three eighths make 3 of 8 levels.
COLOR_SHARES = (1.0, 0.375, 1.0)
COLOR, TEXTURE = "color", "texture"
PERCEPTUAL = ("off", TEXTURE, COLOR, f"{COLOR}+{TEXTURE}")


def perceptual_share(pixels: np.ndarray, perceptual: str) -> np.ndarray:
    """The share of the budget for a uint8 photo (H, W, 3), in [0, 1], float64 that broadcasts to its shape.

    `perceptual` is one of `PERCEPTUAL`.
    """
    share = np.ones((1, 1, 1))
    if COLOR in perceptual:
        share = share * np.array(COLOR_SHARES)
    if TEXTURE in perceptual:
        share = share * texture_map(pixels)[..., None]
    return share


def texture_map(pixels: np.ndarray) -> np.ndarray:
    """The share of the budget for each pixel of a uint8 photo (H, W, 3): float64 (H, W) in [LEAST, 1].

    From the local standard deviation of the brightness. The weakest of the neighbouring windows counts, because the flat
    side of an edge has contrast in its window and yet hides nothing.
    """
    gray = to_tensor(pixels).mean(0)[None, None] * 255
    side = WINDOW // 2

    def local_mean(image: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(image, (side,) * 4, mode="reflect")
        return torch.nn.functional.avg_pool2d(padded, WINDOW, stride=1)

    deviation = (local_mean(gray.square()) - local_mean(gray).square()).clamp(min=0).sqrt()
    weakest = -torch.nn.functional.max_pool2d(-deviation, WINDOW, stride=1, padding=side)
    share = local_mean((weakest / FULL).clamp(max=1))[0, 0].double().numpy()
    return LEAST + (1 - LEAST) * np.clip(share, 0, 1)
