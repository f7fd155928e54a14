"""Pixels as tensors, float in [0, 1] and of shape (N, 3, H, W): conversion, resizing and the square that a model sees."""

from __future__ import annotations

import numpy as np
import torch


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, 3) to float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1).contiguous()


def to_pixels(image: torch.Tensor) -> np.ndarray:
    """Float (3, H, W) in [0, 1] to uint8 (H, W, 3), rounded to nearest."""
    return (image.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def resize(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Differentiable bilinear resize with antialiasing, (N, 3, H, W) -> (N, 3, height, width).

    Every output pixel is a convex combination of input pixels, so a perturbation inside a budget stays inside.
    """
    if image.shape[-2:] == (height, width):
        return image
    return torch.nn.functional.interpolate(
        image, size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )


def fit_square(image: torch.Tensor, side: int, position: float = 0.5) -> torch.Tensor:
    """What a fine-tuning script feeds the model: shorter side resized to `side`, then a square crop.

    (1, 3, H, W) -> (1, 3, side, side), differentiable; `position` in [0, 1] slides the crop along the longer side
    (0.5 is the usual centre crop).
    """
    height, width = image.shape[-2:]
    scale = side / min(height, width)
    resized = resize(image, max(side, round(height * scale)), max(side, round(width * scale)))
    top = round((resized.shape[-2] - side) * position)
    left = round((resized.shape[-1] - side) * position)
    return resized[..., top : top + side, left : left + side]
