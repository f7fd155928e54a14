"""PGD methods that look at photos through noise: which timesteps they draw, and the denoising loss as what they move."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from udp.models.loss import DenoisingLoss
from udp.models.timesteps import (
    GREEDY,
    TIMESTEP_CHOICES,
    TimestepDistribution,
    greedy_distribution,
    timestep_distribution,
)
from udp.progress import Stage
from udp.protection.decoded import DecodedDistance, blended
from udp.protection.pgd import Objective
from udp.protection.pgd_method import PGDMethod, Reporter, Run
from udp.protection.targets import TARGETS, target_latents
from udp.settings import setting

AWAY = "clean"
DECODED = "decoded"
ENCODER_TARGETS = (AWAY, DECODED, *TARGETS)
# Units of progress for the greedy search; with its defaults it takes about 30 to 50 comparisons.
SEARCH_UNITS = 50


@dataclass(frozen=True)
class TimestepMethod(PGDMethod):
    """A PGD method that looks at photos through noise: how many draws a step, and from which timesteps."""

    draws: int = setting(1, "timesteps and noises drawn for each photo in a PGD step", 1, 16, 1)
    timestep_weights: str = setting("uniform", "how timesteps are drawn", choices=TIMESTEP_CHOICES)

    @property
    def all_steps(self) -> int:
        """See `PGDMethod.all_steps`: the greedy search comes before the rounds."""
        return super().all_steps + SEARCH_UNITS * (self.timestep_weights == GREEDY)

    def timesteps(self, run: Run, report: Reporter) -> TimestepDistribution:
        """The distribution called `timestep_weights`; "greedy" is found by the gradients of the clean photos."""
        if not run.model.has_network:
            return run.timesteps
        share = run.model.schedule.signal_share
        if self.timestep_weights != GREEDY:
            return timestep_distribution(self.timestep_weights, share)
        strength, on_step, units = gradient_strength(run), report(Stage.CHOOSING), iter(range(SEARCH_UNITS))

        def score(timesteps: torch.Tensor) -> torch.Tensor:
            if (unit := next(units, None)) is not None:
                on_step(unit, None)
            return strength(timesteps)

        found = greedy_distribution(score, len(share), run.generator)
        for unit in units:
            on_step(unit, None)
        return found


def gradient_strength(run: Run) -> Callable[[torch.Tensor], torch.Tensor]:
    """A score for `greedy_distribution`: the L1 norm of the denoising loss's gradient at each timestep, (K,) -> (K,).

    Gradients with respect to the latents of one photo after another, in one batch a call. SimAC takes them with respect
    to the pixels, and searches anew for every photo; both cost as much as the attack itself.
    """
    uniform = timestep_distribution("uniform", run.model.schedule.signal_share)
    loss, turn = DenoisingLoss(run.model, run.conditioning, uniform), itertools.cycle(run.images)

    def score(timesteps: torch.Tensor) -> torch.Tensor:
        photo = next(turn)
        with torch.no_grad():
            latents = run.look(1)([photo])
        leaves = latents.repeat(len(timesteps), 1, 1, 1).requires_grad_()
        noise = torch.randn(leaves.shape, generator=run.generator).to(leaves.device)
        losses = loss.told(run.text_of([photo])).at(run.model.network, leaves, noise, timesteps.to(leaves.device))
        (gradient,) = torch.autograd.grad(losses.sum(), leaves)
        return gradient.abs().flatten(1).sum(1).cpu()

    return score


@dataclass(frozen=True)
class DenoisingMethod(TimestepMethod):
    """A method whose loss is the denoising loss of `run.network`, optionally with a distance of the latents.

    `encoder_weight` adds that many times a distance of the latents to what the photos pursue, so that the encoder alone
    carries part of the attack: away from the clean photo's latents in the same crop, away from the clean picture in what
    the latents decode to (then the weight is the say of that gradient beside the denoising loss's), or towards a target that
    all photos share (as Mist's fused loss, arXiv 2305.12683). A shared target is what a fine-tune then learns from all of them.
    A model of pixels has no encoder, and neither setting any effect there.
    """

    encoder_weight: float = setting(0.0, "weight of the latents' distance", 0, 10, 0.1)
    encoder_target: str = setting(
        "clean", "away from the clean latents, from what they decode to, or towards a target", choices=ENCODER_TARGETS
    )

    def objective(self, run: Run) -> Objective:
        """See `PGDMethod.objective`."""
        loss = DenoisingLoss(run.model, run.conditioning, run.timesteps)
        sign = 1.0 if self.direction == "ascend" else -1.0
        weight = self.encoder_weight if run.model.has_encoder else 0.0
        away, decoded = self.encoder_target == AWAY, self.encoder_target == DECODED
        target = None if away or decoded or not weight else target_latents(run.model, self.encoder_target)
        picture = DecodedDistance(run.model) if decoded and weight else None

        def denoising(perturbed: Sequence[torch.Tensor], clean: Sequence[torch.Tensor], step: int) -> torch.Tensor:
            crop = run.crop(len(perturbed))
            latents = run.model.encode(crop(perturbed))
            told = loss.told(run.text_of(clean, self.draws))
            value = told(run.network, latents.repeat(self.draws, 1, 1, 1), run.generator)
            if not weight:
                return value
            with torch.no_grad():
                squares = crop(clean)
                reference = run.model.encode(squares) if away else target
            if picture:
                return blended(latents, [(value, 1.0), (sign * picture(latents, squares), weight)])
            distance = (latents - reference).square().mean()
            return value + sign * weight * (distance if away else -distance)

        return denoising
