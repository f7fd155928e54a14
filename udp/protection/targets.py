"""Latents that encoder attacks pull the photos towards."""

from __future__ import annotations

import torch

from udp.errors import InvalidInput
from udp.models.base import DiffusionModel

TARGETS = ("pattern", "gray", "zero")


@torch.no_grad()
def target_latents(model: DiffusionModel, name: str) -> torch.Tensor:
    """The target called `name` in `TARGETS`, (1, C, h, w). Raises `InvalidInput` for another name.

    "gray" encodes a flat gray image and "zero" is the origin, PhotoGuard's two targets; "pattern" encodes black and white
    lozenges, sharp everywhere as Mist's target picture is.
    """
    side = model.resolution
    if name == "pattern":
        y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        period = max(2, side // 16)
        image = (((x + y) // period + (x - y) // period) % 2).float().expand(1, 3, side, side)
    elif name in ("gray", "zero"):
        image = torch.full((1, 3, side, side), 0.5)
    else:
        raise InvalidInput(f"expected a target among {', '.join(TARGETS)}, got {name!r}")
    latents = model.encode(model.prepare([image]))
    return torch.zeros_like(latents) if name == "zero" else latents
