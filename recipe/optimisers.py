"""Muon for the big matrices, AdamW for the rest, behind one optimiser that the training loop can drive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

LEAST_SIDE = 16  # a matrix with fewer rows or columns gains nothing from being orthogonalised


class MuonWithAdamW:
    """`torch.optim.Muon` (Jordan et al. 2024) over convolutions and linear layers seen as matrices (out, in * k * k).

    torch's Muon takes matrices only, so each weight gets a second parameter of that shape over the same memory; weights
    must be contiguous. Everything else (first and last layers, biases, norms) moves by AdamW. `ratio` is AdamW's rate over
    Muon's.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], learning_rate: float, ratio: float = 0.5) -> None:
        parameters = list(parameters)
        self.matrices = [p for p in parameters if p.ndim > 1 and min(p.shape[:2]) >= LEAST_SIDE]
        chosen = {id(p) for p in self.matrices}
        self.others = [p for p in parameters if id(p) not in chosen]
        for parameter in self.matrices:
            parameter.data = parameter.data.contiguous()
        self.views = [torch.nn.Parameter(p.data.view(len(p), -1)) for p in self.matrices]
        self.parts = [
            torch.optim.Muon(self.views, lr=learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(self.others, lr=ratio * learning_rate, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        for part, scale in zip(self.parts, (1.0, ratio), strict=True):
            for group in part.param_groups:
                group["scale"] = scale

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of both; `scale` says what the loop's learning rate is multiplied by."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """One step of both on the gradients that lie in `grad`."""
        for parameter, view in zip(self.matrices, self.views, strict=True):
            view.grad = None if parameter.grad is None else parameter.grad.reshape(view.shape)
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in (*self.matrices, *self.views, *self.others):
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
