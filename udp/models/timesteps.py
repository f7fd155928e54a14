"""Distributions over a schedule's timesteps, by the share of signal in them.

UDP draws timesteps uniformly. EUDP draws them from a distribution built from the noise scheduler. Its authors published
neither code nor formula (arXiv 2306.01902), so the weights here are **our reading**: the noisy image is

    x_t = sqrt(alpha_bar_t) * (x_0 + delta) + sqrt(1 - alpha_bar_t) * noise,

so the perturbation delta reaches the denoiser scaled by sqrt(alpha_bar_t), and timesteps get drawn in that proportion.
alpha_bar_t is the share of signal in the noisy image's variance, which any other schedule has too: in a rectified flow,
x_t = (1 - sigma) (x_0 + delta) + sigma noise, it is (1 - sigma)^2 / ((1 - sigma)^2 + sigma^2), and EUDP's weights for it, its
square root, are our reading again. A distribution is a plain object: any non-negative weights over the timesteps will do, and
uniform weights are UDP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from udp.errors import InvalidInput


@dataclass(frozen=True)
class TimestepDistribution:
    """Draws timesteps with probability proportional to `weights` (float, shape (T,), on the CPU)."""

    name: str
    weights: torch.Tensor

    def __post_init__(self) -> None:
        weights = self.weights
        if weights.ndim != 1 or not torch.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
            raise InvalidInput(
                f"expected finite, non-negative weights of shape (T,) with a positive sum, got shape "
                f"{tuple(weights.shape)}, smallest {weights.min():g}, sum {weights.sum():g}"
            )

    @property
    def probabilities(self) -> torch.Tensor:
        """The weights, normalised to sum 1, shape (T,)."""
        return self.weights / self.weights.sum()

    def where(self, kept: torch.Tensor) -> TimestepDistribution:
        """The same without the timesteps where `kept`, bool (T,), is false. Raises `InvalidInput` if none is left."""
        return TimestepDistribution(self.name, self.weights * kept.to(self.weights))

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """`count` timesteps, int64, stratified over the distribution.

        One draw from each of `count` slices of equal probability, in random order: the same distribution for every
        draw, but a batch covers it evenly, so its mean loss varies less from step to step.
        """
        slices = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        drawn = torch.searchsorted(self.probabilities.double().cumsum(0), slices.double())
        order = torch.randperm(count, generator=generator)
        return drawn.clamp(max=len(self.weights) - 1)[order]


# Weights by diffusers' `compute_density_for_timestep_sampling`, with the parameters of its trainers.
DENSITIES: dict[str, dict[str, float]] = {
    "uniform": {},
    "logit_normal": {"logit_mean": 0.0, "logit_std": 1.0},
    "mode": {"mode_scale": 1.29},
}


@dataclass(frozen=True)
class FlowTimesteps(TimestepDistribution):
    """How trainers of rectified flows draw timesteps (Esser et al. 2024, arXiv 2403.03206, section 3.1), by diffusers.

    `name` is one of `DENSITIES`, and `weights` (T,) are the share of draws that each timestep gets.
    """

    @classmethod
    def of(cls, name: str, kept: torch.Tensor) -> FlowTimesteps:
        """Those of T timesteps where `kept`, bool (T,), is true."""
        place = (torch.arange(len(kept)) + 0.5) / len(kept)
        if name == "logit_normal":
            weights = torch.exp(-(torch.logit(place) ** 2) / 2) / (place * (1 - place))
        elif name == "mode":
            weights = _mode_density(len(kept))
        else:
            weights = torch.ones(len(kept))
        return cls(name, weights * kept.float())

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """`count` timesteps, int64, drawn one by one; a draw of weight 0 is drawn again."""
        from diffusers.training_utils import compute_density_for_timestep_sampling

        found = torch.empty(0, dtype=torch.int64)
        while len(found) < count:
            drawn = compute_density_for_timestep_sampling(self.name, count, generator=generator, **DENSITIES[self.name])
            # The trainers' first timestep is the noisiest, and ours the least noisy.
            places = len(self.weights) - 1 - (drawn * len(self.weights)).long().clamp(0, len(self.weights) - 1)
            found = torch.cat([found, places[self.weights[places] > 0]])
        return found[:count]


def _mode_density(count: int) -> torch.Tensor:
    """The share of draws of "mode" that falls on each of `count` timesteps, the least noisy first (eq. 20)."""
    even = torch.linspace(0, 1, 100 * count + 1, dtype=torch.float64)
    scale = DENSITIES["mode"]["mode_scale"]
    drawn = 1 - even - scale * (torch.cos(torch.pi * even / 2) ** 2 - 1 + even)
    return torch.histc(drawn, count, 0, 1).flip(0).float()


def snr_weights(signal_share: torch.Tensor) -> torch.Tensor:
    """min(SNR_t, 5), the weight of Hang et al. 2023 (arXiv 2303.09556): favours little noise, without a pole at t = 0."""
    return (signal_share / (1 - signal_share).clamp(min=1e-12)).clamp(max=5.0)


def band_weights(signal_share: torch.Tensor) -> torch.Tensor:
    """Uniform where neither the photo nor the noise drowns the other, 0.1 <= alpha_bar_t <= 0.9, and 0 elsewhere."""
    return ((signal_share >= 0.1) & (signal_share <= 0.9)).float()


WEIGHTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    # signal_share (T,) -> weights (T,)
    "uniform": torch.ones_like,
    "sqrt_alpha_bar": torch.sqrt,
    "snr": snr_weights,
    "band": band_weights,
}
GREEDY = "greedy"
TIMESTEP_CHOICES = (*WEIGHTS, GREEDY)


def timestep_distribution(name: str, signal_share: torch.Tensor) -> TimestepDistribution:
    """The distribution called `name` in `WEIGHTS`, for a schedule's `signal_share` (T,). Raises `InvalidInput`."""
    if name not in WEIGHTS:
        raise InvalidInput(f"expected timestep weights to be one of {', '.join(WEIGHTS)}, got {name!r}")
    return TimestepDistribution(name, WEIGHTS[name](signal_share.detach().float().cpu()))


def greedy_distribution(
    score: Callable[[torch.Tensor], torch.Tensor],
    count: int,
    generator: torch.Generator,
    candidates: int = 5,
    width: float = 0.02,
    keep: float = 0.1,
) -> TimestepDistribution:
    """The timesteps that matter most to the photos, by elimination, as SimAC chooses them (Wang et al. 2023, 2312.07865).

    `score` gives each of some timesteps (K,) the strength of its gradient (K,). Again and again `candidates` of the
    timesteps that are left are compared and the neighbourhood of the weakest, `width` of all `count` to either side, is
    struck off, until at most the share `keep` is left; these get equal weights. Defaults are those of SimAC's code (5
    candidates, 20 and 100 of 1000 timesteps).
    """
    left = torch.ones(count, dtype=torch.bool)
    radius = max(1, round(width * count))
    while left.sum() > keep * count:
        remaining = left.nonzero().flatten()
        drawn = remaining[torch.randint(len(remaining), (candidates,), generator=generator)]
        weakest = int(drawn[int(score(drawn).argmin())])
        smaller = left.clone()
        smaller[max(0, weakest - radius) : weakest + radius + 1] = False
        if not smaller.any():
            break
        left = smaller
    return TimestepDistribution(GREEDY, left.float())
