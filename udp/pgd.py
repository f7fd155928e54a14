"""The one projected-gradient loop (Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks").

A protection method brings an objective; the loop owns signs, step sizes, projection and the check for dead gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from udp.errors import InvalidInput
from udp.projection import project

# A group of photos (each (1, 3, H, W) in [0, 1], with its perturbation on it) and the step's number -> scalar loss.
Objective = Callable[[Sequence[torch.Tensor], int], torch.Tensor]


@dataclass(frozen=True)
class PGDSettings:
    """`step_size` and `budget` are in [0, 1] pixel units; `direction` says whether the loss is to rise or to fall.

    `group_size` photos at a time go through the objective, which bounds memory for a folder of any size.
    """

    steps: int
    step_size: float
    budget: float
    direction: Literal["ascend", "descend"] = "ascend"
    group_size: int = 8


def pgd(
    objective: Objective,
    images: Sequence[torch.Tensor],
    perturbations: Sequence[torch.Tensor],
    settings: PGDSettings,
    on_step: Callable[[int, float], None] | None = None,
) -> tuple[list[torch.Tensor], list[float]]:
    """Sign-gradient steps on every perturbation, projected after each; returns new perturbations and the losses.

    `images` and `perturbations` are sequences of (1, 3, H, W) in pixel units, each pair of one size of its own. Signs
    make the step independent of how the loss is scaled or averaged over photos. Raises `InvalidInput` if the
    objective does not depend on some photo, because that photo would silently stay unprotected.
    """
    sign = {"ascend": 1.0, "descend": -1.0}[settings.direction]
    current = [p.detach().clone() for p in perturbations]
    losses = []
    for step in range(settings.steps):
        leaves = [p.requires_grad_() for p in current]
        gradients, total = [], 0.0
        for start in range(0, len(leaves), settings.group_size):
            group = slice(start, start + settings.group_size)
            loss = objective([i + p for i, p in zip(images[group], leaves[group], strict=True)], step)
            gradients += torch.autograd.grad(loss, leaves[group], allow_unused=True)
            total += float(loss.detach()) * len(leaves[group])
        if any(g is None for g in gradients):
            raise InvalidInput("expected the objective to depend on every photo, got one it ignores")
        with torch.no_grad():
            current = [
                project(p + sign * settings.step_size * g.sign(), image, settings.budget)
                for image, p, g in zip(images, leaves, gradients, strict=True)
            ]
        losses.append(total / len(leaves))
        if on_step:
            on_step(step + 1, losses[-1])
    return [p.detach() for p in current], losses
