"""The one projected-gradient loop (Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks").

A protection method brings an objective; the loop owns signs, step sizes, momentum, projection and the check for
gradients that carry no information.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from udp.errors import InvalidInput, UnusableGradient
from udp.protection.budget import project

# A group of photos with their perturbations on them, the same photos clean (each (1, 3, H, W) in [0, 1]), and the
# step's number -> scalar loss, or several: then each has the same say in the step, whatever its scale.
Objective = Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor], int], torch.Tensor | Sequence[torch.Tensor]]
Direction = Literal["ascend", "descend"]
SCHEDULES = ("constant", "linear")


@dataclass(frozen=True)
class PGDSettings:
    """`step_size` is in [0, 1] pixel units; `direction` says whether the loss is to rise or to fall.

    `schedule` "linear" shrinks the step from its full size to 1 / `total_steps` of it over `total_steps`, as PhotoGuard
    and Diff-Protect do. `momentum` is the decay factor mu of MI-FGSM (Dong et al. 2018, arXiv 1710.06081, eq. 6); 0
    means plain PGD. `group_size` photos at a time go through the objective, which bounds memory for any folder.
    """

    step_size: float
    direction: Direction = "ascend"
    group_size: int = 8
    momentum: float = 0.0
    schedule: str = "constant"
    total_steps: int = 0

    def step_at(self, done: int) -> float:
        """The step size after `done` steps, in [0, 1] pixel units."""
        if self.schedule == "constant":
            return self.step_size
        return self.step_size * max(1, self.total_steps - done) / max(1, self.total_steps)


class PGD:
    """Perturbations under attack; keeps momentum and the step count between calls of `run`, as alternating rounds need.

    `images` and `perturbations` are sequences of (1, 3, H, W) in pixel units, each pair of one size of its own;
    `limits` bound each perturbation: one number, or a tensor that broadcasts to it (0 leaves a pixel alone).
    """

    def __init__(
        self,
        images: Sequence[torch.Tensor],
        perturbations: Sequence[torch.Tensor],
        limits: Sequence[float | torch.Tensor],
        settings: PGDSettings,
    ) -> None:
        self.images, self.limits, self.settings = images, limits, settings
        self.perturbations = [p.detach().clone() for p in perturbations]
        self.velocity = [torch.zeros_like(p) for p in perturbations] if settings.momentum else []
        self.step = 0

    def run(
        self,
        objective: Objective,
        steps: int,
        on_step: Callable[[int, float], None] | None = None,
        keep: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    ) -> list[float]:
        """Take `steps` sign-gradient steps on every perturbation, projected after each; the (first) loss before each.

        Signs make the step independent of how the loss is scaled or averaged over photos. `keep` makes of a photo's number and
        the perturbation stepped to one that has what steps must not take away. Raises `InvalidInput` if the objective does not
        depend on some photo, `UnusableGradient` if a photo's gradient is not finite or, without `keep`, is zero everywhere: such
        a photo would silently stay unprotected. With `keep` it has been protected before, and a step may see no part of it.
        """
        sign = {"ascend": 1.0, "descend": -1.0}[self.settings.direction]
        losses = []
        for _ in range(steps):
            leaves = [p.requires_grad_() for p in self.perturbations]
            gradients, loss = self._gradients(objective, leaves)
            for index, gradient in enumerate(gradients):
                check_gradient(gradient, index, zero_is_wrong=not keep)
            step_size = self.settings.step_at(self.step)
            with torch.no_grad():
                moved = [
                    p.detach() + sign * step_size * self._direction(i, g)
                    for i, (p, g) in enumerate(zip(leaves, gradients, strict=True))
                ]
                if keep:
                    moved = [keep(i, p) for i, p in enumerate(moved)]
                self.perturbations = [
                    project(p, image, limit) for p, image, limit in zip(moved, self.images, self.limits, strict=True)
                ]
            self.step += 1
            losses.append(loss)
            if on_step:
                on_step(self.step, loss)
        return losses

    def _gradients(self, objective: Objective, leaves: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], float]:
        gradients, total = [], 0.0
        for start in range(0, len(leaves), self.settings.group_size):
            group = slice(start, start + self.settings.group_size)
            clean = self.images[group]
            perturbed = [image + p for image, p in zip(clean, leaves[group], strict=True)]
            loss = objective(perturbed, clean, self.step)
            if isinstance(loss, torch.Tensor):
                gradients += torch.autograd.grad(loss, leaves[group], allow_unused=True)
            else:
                gradients += _evenly([torch.autograd.grad(term, leaves[group], retain_graph=True) for term in loss])
                loss = loss[0]
            total += float(loss.detach()) * len(clean)
        return gradients, total / len(leaves)

    def _direction(self, index: int, gradient: torch.Tensor) -> torch.Tensor:
        if not self.settings.momentum:
            return gradient.sign()
        unit = gradient / gradient.abs().mean()  # the L1 norm of MI-FGSM, up to a constant that signs do not see
        self.velocity[index] = self.settings.momentum * self.velocity[index] + unit
        return self.velocity[index].sign()


def _evenly(terms: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    """The sum over `terms` of each photo's gradient, every term's divided by its mean magnitude."""
    return [
        sum(gradient / gradient.abs().mean().clamp(min=torch.finfo(gradient.dtype).tiny) for gradient in photo)
        for photo in zip(*terms, strict=True)
    ]


def check_gradient(gradient: torch.Tensor | None, index: int, zero_is_wrong: bool = True) -> None:
    """Raise unless the gradient of photo number `index` says in which direction to move."""
    if gradient is None:
        raise InvalidInput("expected the objective to depend on every photo, got one it ignores")
    if not torch.isfinite(gradient).all():
        raise UnusableGradient(f"expected finite gradients, got NaN or infinity for photo {index + 1}: use float32")
    if zero_is_wrong and not gradient.any():
        raise UnusableGradient(
            f"expected a gradient to follow, got zero everywhere for photo {index + 1}: too little precision, or a loss "
            "that does not see the photo"
        )
