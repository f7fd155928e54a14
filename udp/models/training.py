"""The one training loop: surrogates, fine-tunes and the embedded model's own training all run here.

A caller brings a loss and parameters; the loop owns the optimiser, the learning-rate schedule, gradient clipping and
the check for gradients that are no longer finite. Adam's state and the parameters stay in float32, because a bf16
parameter does not move at the learning rates surrogates use (half a unit in the last place of bf16 is 0.4 %).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from udp.errors import Diverged, InvalidInput

log = logging.getLogger("udp")
# Where AdamW takes all of a step in one pass through the weights: on a CPU in little more than half the time.
FUSED = ("cpu", "cuda")
# One step whose gradient is not finite can be chance; so many in a row are a loss that will not come back.
MOST_SKIPPED = 10


@dataclass(frozen=True)
class TrainingSettings:
    """How to descend.

    `learning_rate` is Adam's peak step; `schedule` is "constant" or "cosine" (to zero, over progress 0..1);
    `warmup` is the share of progress spent rising linearly from zero; `max_grad_norm` clips the global L2 norm.
    """

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    max_grad_norm: float = 1.0

    def rate(self, progress: float) -> float:
        """The learning rate at `progress` (0 = start, 1 = end)."""
        rise = min(1.0, progress / self.warmup) if self.warmup > 0 else 1.0
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, progress))) if self.schedule == "cosine" else 1.0
        return self.learning_rate * rise * fall


def can_be_fused(parameter: torch.Tensor) -> bool:
    """Whether AdamW in one pass may have it: it goes through memory from one end to the other, whatever else lies between."""
    return parameter.device.type in FUSED and torch.empty_like(parameter).stride() == parameter.stride()


def laid_out_like(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A gradient or a part of AdamW's state in its parameter's memory order, which fused AdamW takes for granted and does not check."""
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter).copy_(value)


class Trainer:
    """AdamW over `parameters` that keeps its state between calls of `run`, as alternating max-min rounds need.

    Another `optimizer` of the same parameters takes its place; the rate of a group is multiplied by the group's "scale".

    Raises `InvalidInput` if a parameter is not float32, there is none to train, or the learning rate is not above 0.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], settings: TrainingSettings, optimizer: Any = None
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        if not self.parameters:
            raise InvalidInput("expected at least one trainable parameter, got none")
        for parameter in self.parameters:
            if parameter.dtype != torch.float32:
                raise InvalidInput(f"expected float32 master weights, got {parameter.dtype}: small steps would be lost")
        if not settings.learning_rate > 0:
            raise InvalidInput(f"expected a learning rate above 0, got {settings.learning_rate:g}")
        self.settings = settings
        self.optimizer = optimizer or torch.optim.AdamW(
            self.parameters,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True if all(map(can_be_fused, self.parameters)) else None,
        )
        self.step = 0
        self.skipped = 0

    def run(
        self,
        loss: Callable[[int], torch.Tensor],
        steps: int,
        on_step: Callable[[int, float], None] | None = None,
        progress: Callable[[int], float] | None = None,
    ) -> list[float]:
        """Descend `loss(step)` for `steps` steps and return the loss of each.

        `loss` draws its own batch and returns a scalar. `on_step(step, loss)` may raise `Stopped`. `progress(step)`
        drives the schedule; by default it is step / steps. A step whose gradient is not finite changes no weight; they are
        counted in `skipped` and logged. Raises `Diverged` after `MOST_SKIPPED` of them in a row.
        """
        losses, in_a_row = [], 0
        for index in range(steps):
            done = progress(self.step) if progress else index / steps
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.rate(done) * group.get("scale", 1.0)
            value = loss(self.step)
            # autograd.grad touches only our parameters: frozen or shared weights never collect gradients unseen.
            gradients = torch.autograd.grad(value, self.parameters, allow_unused=True)
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = None if gradient is None else laid_out_like(parameter, gradient)
            norm = torch.nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
            if torch.isfinite(norm):
                if norm > self.settings.max_grad_norm:
                    torch.nn.utils.clip_grads_with_norm_(self.parameters, self.settings.max_grad_norm, norm)
                self.optimizer.step()
                # Within an autocast of the caller's, converted weights would otherwise be kept from step to step.
                torch.clear_autocast_cache()
                in_a_row = 0
            else:
                self.skipped, in_a_row = self.skipped + 1, in_a_row + 1
                log.warning("step %d changed nothing: its gradient is not finite", self.step + 1)
                if in_a_row == MOST_SKIPPED:
                    raise Diverged(
                        f"expected training to stay finite, got {MOST_SKIPPED} steps in a row whose gradient is not: try a "
                        "smaller learning rate"
                    )
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1
            losses.append(float(value.detach()))
            if on_step:
                on_step(self.step, losses[-1])
        return losses

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on exactly here."""
        return {"optimizer": self.optimizer.state_dict(), "step": self.step}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict`."""
        mine = [group.get("fused") for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        if not isinstance(self.optimizer, torch.optim.AdamW):
            return
        # The state may be another's: of AdamW that was not fused, of weights that lay in another order.
        for group, fused in zip(self.optimizer.param_groups, mine, strict=True):
            group["fused"] = fused
        for parameter, held in self.optimizer.state.items():
            held |= {
                name: laid_out_like(parameter, value)
                for name, value in held.items()
                if torch.is_tensor(value) and value.shape == parameter.shape
            }
