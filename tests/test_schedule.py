"""Noise schedules: each beside the scheduler of diffusers that it stands for, and all of them alike to the rest."""

from __future__ import annotations

import types

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling

from udp.models.loss import DenoisingLoss
from udp.models.schedule import Diffusion, Prediction, RectifiedFlow, Schedule, schedule_of
from udp.models.timesteps import DENSITIES, WEIGHTS, FlowTimesteps, timestep_distribution

KINDS = {
    "epsilon": DDPMScheduler(clip_sample=False),
    "v_prediction": DDIMScheduler(prediction_type="v_prediction", clip_sample=False),
    "sample": DDPMScheduler(prediction_type="sample", clip_sample=False),
    "flow": FlowMatchEulerDiscreteScheduler(),
    "flow, shifted": FlowMatchEulerDiscreteScheduler(shift=3.0),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return schedule_of(request.param)


def drawn(seed: int, shape: tuple[int, ...] = (3, 4, 8, 8)) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


TIMESTEPS = torch.tensor([20, 500, 980])


def recovered(schedule: Schedule, noisy: torch.Tensor, target: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    """The clean latents, from what is noisy and what a perfect network predicts for it."""
    alpha, sigma = (values[timesteps].view(-1, 1, 1, 1) for values in (schedule.alpha, schedule.sigma))
    return {
        Prediction.NOISE: lambda: (noisy - sigma * target) / alpha,
        Prediction.VELOCITY: lambda: alpha * noisy - sigma * target,
        Prediction.SAMPLE: lambda: target,
        Prediction.FLOW: lambda: noisy - sigma * target,
    }[schedule.prediction]()


def test_noise_grows_and_a_perfect_prediction_gives_the_latents_back(schedule: Schedule) -> None:
    share = schedule.signal_share
    assert (
        len(schedule) == len(share) == 1000
        and (share.diff() < 0).all()
        and 0 <= share[-1] < 0.01 < 0.99 < share[0] <= 1
    )
    assert torch.allclose(share, schedule.alpha**2 / (schedule.alpha**2 + schedule.sigma**2), atol=1e-6)
    latents, noise = drawn(0), drawn(1)
    noisy, target = (f(latents, noise, TIMESTEPS) for f in (schedule.add_noise, schedule.target))
    assert torch.allclose(recovered(schedule, noisy, target, TIMESTEPS), latents, atol=2e-3)


def test_an_error_of_the_prediction_is_one_of_the_noise(schedule: Schedule) -> None:
    """At one x_t, two pairs of latents and noise: their targets differ by as much as `noise_residual` says of their noise."""
    latents, noise, moved = drawn(0), drawn(1), drawn(2)
    alpha, sigma = (values[TIMESTEPS].view(-1, 1, 1, 1) for values in (schedule.alpha, schedule.sigma))
    other = latents - sigma / alpha * (moved - noise)
    same = (schedule.add_noise(a, b, TIMESTEPS) for a, b in ((latents, noise), (other, moved)))
    assert torch.allclose(*same, atol=1e-4)
    residual = schedule.target(other, moved, TIMESTEPS) - schedule.target(latents, noise, TIMESTEPS)
    assert torch.allclose(schedule.noise_residual(residual, TIMESTEPS), moved - noise, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["epsilon", "v_prediction", "sample"])
def test_a_diffusion_noises_as_diffusers_does(name: str) -> None:
    schedule, scheduler = schedule_of(KINDS[name]), DDPMScheduler.from_config(KINDS[name].config)
    latents, noise = drawn(0), drawn(1)
    assert isinstance(schedule, Diffusion) and schedule.prediction.value == name
    assert torch.equal(schedule.add_noise(latents, noise, TIMESTEPS), scheduler.add_noise(latents, noise, TIMESTEPS))
    if name == "v_prediction":
        velocity = scheduler.get_velocity(latents, noise, TIMESTEPS)
        assert torch.equal(schedule.target(latents, noise, TIMESTEPS), velocity)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_rectified_flow_noises_as_diffusers_does(shift: float) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    schedule, latents, noise = schedule_of(scheduler), drawn(0), drawn(1)
    assert isinstance(schedule, RectifiedFlow)
    times = schedule.times[TIMESTEPS]
    expected = FlowMatchEulerDiscreteScheduler(shift=shift).scale_noise(latents, times, noise)
    assert torch.allclose(schedule.add_noise(latents, noise, TIMESTEPS), expected, atol=1e-6)
    assert torch.equal(times, schedule.sigma[TIMESTEPS] * 1000)
    sampler, plain = schedule.sampler(7), FlowMatchEulerDiscreteScheduler(shift=shift)
    plain.set_timesteps(7)
    assert torch.equal(torch.stack([*sampler.times]), plain.timesteps)


def test_samplers_follow_a_perfect_network_to_the_latents(schedule: Schedule) -> None:
    """From noise, and from half-way; a perfect network knows the only picture there is."""
    latents, noise = drawn(0), drawn(1)
    known = {float(time): index for index, time in enumerate(schedule.times)}

    def perfect(noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        # Flows are shifted on grids of their own: the nearest timestep, exactly where it is one of ours.
        index = known.get(float(time), int((schedule.times - time).abs().argmin()))
        at = torch.full((len(noisy),), index)
        alpha, sigma = (values[at].view(-1, 1, 1, 1) for values in (schedule.alpha, schedule.sigma))
        return schedule.target(latents, (noisy - alpha * latents) / sigma, at)

    for sampler in (schedule.sampler(20), schedule.sampler_from(500, 8)):
        if sampler.first < 0:
            current = sampler.start(noise)
        else:
            assert 350 < sampler.first <= 500 and 6 <= len(sampler.times) <= 10
            at = torch.full((len(latents),), sampler.first)
            assert float(sampler.times[0]) == pytest.approx(float(schedule.times[sampler.first]))
            current = schedule.add_noise(latents, noise, at)
        for time in sampler.times:
            seen = sampler.scaled(current, time)
            current = sampler.step(perfect(seen, time), time, current)
        assert (current - latents).abs().mean() < 0.06


def test_weights_are_functions_of_the_signal_share(schedule: Schedule) -> None:
    share = schedule.signal_share
    for name in WEIGHTS:
        weights = timestep_distribution(name, share).weights
        assert weights.shape == share.shape and weights.sum() > 0
    band = timestep_distribution("band", share).weights > 0
    assert share[band].min() >= 0.1 and share[band].max() <= 0.9
    assert torch.allclose(timestep_distribution("sqrt_alpha_bar", share).weights, share.sqrt())
    usual = schedule.usual_timesteps().weights
    assert len(usual) == len(schedule) and (usual > 0).all()
    assert usual.argmax().item() in range(400, 600) or usual.unique().tolist() == [1.0]


def test_high_timesteps_are_those_above_a_share(schedule: Schedule) -> None:
    drawn = schedule.usual_timesteps(0.6).sample(500, torch.Generator().manual_seed(0))
    assert len(drawn) == 500 and drawn.min() >= 600 and drawn.max() > 850


@pytest.mark.parametrize("name", DENSITIES)
def test_flows_draw_timesteps_as_diffusers_trainers_do(name: str) -> None:
    """The same numbers from the same generator, as the trainers' scripts turn them into timesteps; and the weights say how often."""
    scheduler, flow = (
        FlowMatchEulerDiscreteScheduler(shift=3.0),
        schedule_of(FlowMatchEulerDiscreteScheduler(shift=3.0)),
    )
    ours = FlowTimesteps.of(name, torch.ones(1000, dtype=torch.bool))
    drawn = ours.sample(20_000, torch.Generator().manual_seed(0))
    density = compute_density_for_timestep_sampling(
        name, 20_000, 0.0, 1.0, 1.29, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(flow.times[drawn], scheduler.timesteps[(density * 1000).long()])
    share = torch.histc(drawn.float(), 20, 0, 1000) / len(drawn)
    assert torch.allclose(share, ours.probabilities.view(20, 50).sum(1), atol=0.01)


def test_a_flow_that_shifts_by_size_trains_unshifted_and_samples_shifted() -> None:
    """As FLUX.1's trainer and pipeline do; the pipeline itself is compared with in `test_families.py`."""
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    small, large = (RectifiedFlow(scheduler, tokens) for tokens in (256, 4096))
    assert torch.equal(small.sigma, large.sigma) and torch.allclose(small.sigma, torch.arange(1, 1001) / 1000)
    assert (small.sampler(8).times[1:] < large.sampler(8).times[1:]).all()


def test_a_loss_sees_no_difference_between_schedules(schedule: Schedule) -> None:
    """A network that always predicts the target has no loss, and one that predicts zero that of the target."""
    latents = drawn(0)
    told = []

    def denoise(network: object, noisy: torch.Tensor, times: torch.Tensor, text: object) -> torch.Tensor:
        told.append(times)
        return torch.zeros_like(noisy)

    model = types.SimpleNamespace(schedule=schedule, denoise=denoise)
    loss = DenoisingLoss(model, None, timestep_distribution("uniform", schedule.signal_share))
    timesteps, noise = loss.draw(latents, torch.Generator().manual_seed(0))
    expected = schedule.target(latents, noise, timesteps).square().mean()
    assert torch.allclose(loss(None, latents, torch.Generator().manual_seed(0)), expected)
    assert torch.equal(told[0], schedule.times[timesteps])
