"""Keeping a perturbation inside its budget, in floating point and in the 8 bits that are saved."""

from __future__ import annotations

import numpy as np
import torch

from udp.errors import BudgetExceeded, InvalidInput


def project(perturbation: torch.Tensor, image: torch.Tensor, budget: float | torch.Tensor) -> torch.Tensor:
    """The nearest perturbation with |perturbation| <= budget and image + perturbation in [0, 1] (same shapes).

    `budget` is one number or a tensor that broadcasts to the image.
    """
    return (image + perturbation.clamp(-budget, budget)).clamp(0, 1) - image


def whole_levels(budget: float) -> int:
    """How many 8-bit levels fit in a budget given in [0, 1] pixel units. Raises `InvalidInput` below one level."""
    levels = int(budget * 255 + 1e-6)
    if levels < 1:
        raise InvalidInput(f"expected a budget of at least 1/255, got {budget * 255:.3g}/255: 8 bits cannot hold it")
    return levels


def to_8_bits(original: np.ndarray, perturbed: np.ndarray, budget: float | np.ndarray) -> np.ndarray:
    """Round `perturbed` (float [0, 1], (H, W, 3)) to uint8 no further than `budget` from `original` (uint8).

    `budget` is one number or numbers that broadcast to (H, W, 3); less than a level there leaves the pixel as it was. Rounding to
    nearest, not flooring: a floor would pull every pixel down by half a level on average.
    """
    levels = _levels(budget)
    reference = original.astype(np.int16)
    rounded = np.rint(perturbed * 255).astype(np.int16)
    return np.clip(rounded, np.maximum(reference - levels, 0), np.minimum(reference + levels, 255)).astype(np.uint8)


def _levels(budget: float | np.ndarray) -> int | np.ndarray:
    return np.floor(budget * 255 + 1e-6).astype(np.int16) if isinstance(budget, np.ndarray) else whole_levels(budget)


def largest_difference(original: np.ndarray, perturbed: np.ndarray) -> int:
    """The L-infinity distance of two uint8 images in 8-bit levels."""
    return int(np.abs(original.astype(np.int16) - perturbed.astype(np.int16)).max(initial=0))


def check_budget(original: np.ndarray, perturbed: np.ndarray, budget: float | np.ndarray) -> None:
    """Raise `BudgetExceeded` unless the two uint8 images agree in shape and differ by at most the budget.

    `budget` is one number or numbers that broadcast to (H, W, 3).
    """
    if original.shape != perturbed.shape:
        raise BudgetExceeded(f"expected a result of shape {original.shape}, got {perturbed.shape}")
    levels = _levels(budget)
    excess = np.abs(original.astype(np.int16) - perturbed.astype(np.int16)) - levels
    if excess.max(initial=0) > 0:
        allowed = int(np.max(levels))
        raise BudgetExceeded(
            f"expected a difference of at most {allowed}/255, got {largest_difference(original, perturbed)}/255"
            + (f", {int(excess.max())} more than its place allows" if isinstance(levels, np.ndarray) else "")
        )
