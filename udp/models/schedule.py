"""How signal and noise mix over a model's timesteps, and what its network is trained to predict.

    x_t = alpha_t x_0 + sigma_t noise

Everything that adds noise, takes it away or draws timesteps asks a `Schedule`, and so does not see whether a model is a DDPM,
predicts velocities, or is a rectified flow. Timesteps are numbers 0 to T - 1, the least noisy first; `times` are what the
network is told instead.
"""

from __future__ import annotations

import abc
import enum
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from udp.models.timesteps import FlowTimesteps, TimestepDistribution

if TYPE_CHECKING:  # seconds to import: whoever has a pipeline has paid for it
    from diffusers import SchedulerMixin


class Prediction(enum.Enum):
    """What a network is trained to predict, by diffusers' name for it."""

    NOISE = "epsilon"  # Ho et al. 2020, arXiv 2006.11239
    VELOCITY = "v_prediction"  # Salimans & Ho 2022, arXiv 2202.00512
    SAMPLE = "sample"
    FLOW = "flow_prediction"  # Liu et al. 2022, arXiv 2209.03003


class Schedule(abc.ABC):
    """`alpha`, `sigma` and `times` of T timesteps, each of shape (T,) on the CPU, and the kind of prediction.

    `signal_share` is alpha^2 / (alpha^2 + sigma^2), in [0, 1]: alpha_bar_t of a DDPM. Weights of timesteps are functions of
    it (`udp.models.timesteps`), and mean the same for every kind of schedule.
    """

    alpha: torch.Tensor
    sigma: torch.Tensor
    signal_share: torch.Tensor
    times: torch.Tensor
    prediction: Prediction

    def __len__(self) -> int:
        """T."""
        return len(self.times)

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """x_t for `latents` and `noise` (N, C, h, w) at timesteps (N,)."""
        return _at(self.alpha, timesteps, latents) * latents + _at(self.sigma, timesteps, latents) * noise

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the network is trained to predict for x_t, of the latents' shape."""
        match self.prediction:
            case Prediction.NOISE:
                return noise
            case Prediction.VELOCITY:
                return _at(self.alpha, timesteps, latents) * noise - _at(self.sigma, timesteps, latents) * latents
            case Prediction.SAMPLE:
                return latents
            case Prediction.FLOW:
                return noise - latents

    def noise_residual(self, residual: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What an error of the prediction (N, C, h, w) says of the noise.

        With x_t = alpha x_0 + sigma noise fixed, an error of the velocity, the latents or the flow is one of the noise,
        scaled.
        """
        match self.prediction:
            case Prediction.NOISE:
                return residual
            case Prediction.VELOCITY:
                return residual * _at(self.alpha, timesteps, residual)
            case Prediction.SAMPLE:
                share = _at(self.signal_share, timesteps, residual)
                return residual * -(share / (1 - share)).sqrt()
            case Prediction.FLOW:
                alpha, sigma = (_at(values, timesteps, residual) for values in (self.alpha, self.sigma))
                return residual * alpha / (alpha + sigma)

    def usual_timesteps(self, first: float = 0.0) -> TimestepDistribution:
        """How imitators of such models draw timesteps: those from the share `first` of T upwards.

        The high ones decide layout and subject.
        """
        return TimestepDistribution("usual", self._from(first).float())

    def _from(self, first: float) -> torch.Tensor:
        """Which timesteps lie at the share `first` of T or above it, bool (T,)."""
        return torch.arange(len(self)) >= round(first * len(self))

    @property
    def ends_without_signal(self) -> bool:
        """Whether a schedule that was made for it was bent until the last timestep is noise alone."""
        return False

    @abc.abstractmethod
    def sampler(self, steps: int) -> Sampler:
        """From noise alone to latents in `steps` steps."""

    @abc.abstractmethod
    def sampler_from(self, start: int, steps: int) -> Sampler:
        """From timestep `start` or a little before it to latents, in about `steps` deterministic steps."""


class Diffusion(Schedule):
    """A variance-preserving diffusion (DDPM and its relatives), from a scheduler of diffusers."""

    def __init__(self, scheduler: SchedulerMixin) -> None:
        from diffusers import DDPMScheduler

        self._scheduler = scheduler
        self._training = DDPMScheduler.from_config(scheduler.config)
        self.signal_share = self._training.alphas_cumprod
        self.alpha, self.sigma = self.signal_share**0.5, (1 - self.signal_share) ** 0.5
        self.times = torch.arange(len(self.signal_share))
        self.prediction = Prediction(self._training.config.prediction_type)

    @property
    def ends_without_signal(self) -> bool:
        """See `Schedule.ends_without_signal` (Lin et al. 2024, arXiv 2305.08891)."""
        return bool(self._scheduler.config.get("rescale_betas_zero_snr"))

    def sampler(self, steps: int) -> Sampler:
        """See `Schedule.sampler`; by the scheduler that the model came with.

        DDPM's own needs a thousand steps; the deterministic DDIM (Song et al. 2021, arXiv 2010.02502) stands in for it.
        """
        from diffusers import DDIMScheduler, DDPMScheduler

        kind = DDIMScheduler if isinstance(self._scheduler, DDPMScheduler) else type(self._scheduler)
        scheduler = kind.from_config(self._scheduler.config)
        scheduler.set_timesteps(steps)
        return Sampler(scheduler, scheduler.timesteps)

    def sampler_from(self, start: int, steps: int) -> Sampler:
        """See `Schedule.sampler_from`; by DDIM."""
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler.from_config(self._training.config)
        scheduler.set_timesteps(len(self) // max(1, start // steps))
        below = [time for time in scheduler.timesteps if time <= start] or [scheduler.timesteps[-1]]
        return Sampler(scheduler, below, int(below[0]))


class RectifiedFlow(Schedule):
    """Straight lines from the latents to noise: alpha_t = 1 - sigma_t, and the network predicts their direction.

    sigma_t comes from diffusers' scheduler, shifted towards noise as it is configured to be (Esser et al. 2024, arXiv
    2403.03206, section 5.3.2). One that shifts by the size of the picture, as FLUX.1's does, shifts in sampling alone, as in
    diffusers' trainers; `tokens` is that size, in patches. `grid` gives the sigmas of a sampler of so many steps before they are
    shifted, if they are not the scheduler's own.
    """

    def __init__(
        self, scheduler: SchedulerMixin, tokens: int = 0, grid: Callable[[int], Sequence[float]] | None = None
    ) -> None:
        self._scheduler, self._grid = scheduler, grid
        self._shift = {"mu": _shift_for(scheduler, tokens)} if scheduler.config.get("use_dynamic_shifting") else {}
        self.sigma, self.times = scheduler.sigmas[: len(scheduler.timesteps)].flip(0), scheduler.timesteps.flip(0)
        self.alpha = 1 - self.sigma
        self.signal_share = self.alpha**2 / (self.alpha**2 + self.sigma**2)
        self.prediction = Prediction.FLOW

    def usual_timesteps(self, first: float = 0.0) -> TimestepDistribution:
        """See `Schedule.usual_timesteps`: logit-normal (Esser et al. 2024, section 3.1), which favours the middle."""
        return FlowTimesteps.of("logit_normal", self._from(first))

    def sampler(self, steps: int) -> Sampler:
        """See `Schedule.sampler`; Euler steps."""
        scheduler = type(self._scheduler).from_config(self._scheduler.config)
        scheduler.set_timesteps(
            **({"sigmas": self._grid(steps)} if self._grid else {"num_inference_steps": steps}), **self._shift
        )
        return Sampler(scheduler, scheduler.timesteps)

    def sampler_from(self, start: int, steps: int) -> Sampler:
        """See `Schedule.sampler_from`; Euler steps, evenly over the timesteps."""
        chosen = torch.linspace(start, 0, steps + 1).round().long()[:-1].unique().flip(0)
        # The sigmas are shifted already.
        scheduler = type(self._scheduler).from_config(self._scheduler.config, shift=1.0, use_dynamic_shifting=False)
        scheduler.set_timesteps(sigmas=self.sigma[chosen].tolist())
        return Sampler(scheduler, scheduler.timesteps, start)


class Sampler:
    """A scheduler of diffusers with the state of one run: `times` are what the network is told, one a step.

    `first` is the timestep of the first of them, for latents that are noised up to there.
    """

    def __init__(self, scheduler: Any, times: Sequence[torch.Tensor], first: int = -1) -> None:
        self.times, self.first = times, first
        self._scheduler = scheduler
        self._draws = "generator" in inspect.signature(scheduler.step).parameters

    def start(self, noise: torch.Tensor) -> torch.Tensor:
        """Latents to begin with, from standard normal noise."""
        return noise * getattr(self._scheduler, "init_noise_sigma", 1.0)

    def scaled(self, latents: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """What the network is to see of `latents`."""
        scale = getattr(self._scheduler, "scale_model_input", None)
        return scale(latents, time) if scale else latents

    def step(
        self, prediction: torch.Tensor, time: torch.Tensor, latents: torch.Tensor, generators: list | None = None
    ) -> torch.Tensor:
        """The next latents; a sampler that draws noise takes it from `generators`, one a sample."""
        draws = {"generator": generators} if self._draws and generators else {}
        return self._scheduler.step(prediction, time, latents, **draws).prev_sample


def schedule_of(scheduler: SchedulerMixin) -> Schedule:
    """The schedule of a pipeline's scheduler."""
    flow = scheduler.config.get("prediction_type", Prediction.FLOW.value) == Prediction.FLOW.value
    return RectifiedFlow(scheduler) if flow else Diffusion(scheduler)


def _shift_for(scheduler: SchedulerMixin, tokens: int) -> float:
    """How far a scheduler shifts a picture of so many patches towards noise, mu of FLUX.1's pipeline."""
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    config = scheduler.config
    return calculate_shift(
        tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
    )


def _at(values: torch.Tensor, timesteps: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`values` (T,) at `timesteps` (N,), to be multiplied with `like` (N, ...)."""
    found = values.to(like.device, like.dtype)[timesteps.to(like.device)]
    return found.view(-1, *[1] * (like.ndim - 1))
