"""Losses, timesteps, the PGD loop and the training loop: directions, distributions, determinism."""

from __future__ import annotations

import pytest
import torch

from udp.errors import Diverged, InvalidInput
from udp.models.latent import LatentDiffusionModel
from udp.models.loss import DenoisingLoss
from udp.models.timesteps import WEIGHTS, TimestepDistribution, timestep_distribution
from udp.models.training import Trainer, TrainingSettings
from udp.photos import Photo
from udp.protection.pgd import PGD, PGDSettings
from udp.tensors import to_tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_sqrt_alpha_bar_weights_follow_the_scheduler(tiny_model: LatentDiffusionModel) -> None:
    alphas = tiny_model.schedule.signal_share
    eudp = timestep_distribution("sqrt_alpha_bar", alphas)
    assert torch.allclose(eudp.weights, alphas.sqrt())
    drawn = eudp.sample(20_000, generator())
    counted = torch.bincount(drawn, minlength=len(alphas)).float() / 20_000
    for part in (slice(0, 250), slice(250, 500), slice(500, 1000)):
        assert counted[part].sum() == pytest.approx(float(eudp.probabilities[part].sum()), abs=0.01)
    uniform = timestep_distribution("uniform", alphas).sample(20_000, generator())
    assert drawn.float().mean() < uniform.float().mean() - 50


def test_a_timestep_with_no_weight_is_never_drawn() -> None:
    weights = torch.zeros(10)
    weights[[3, 7]] = 1
    assert set(TimestepDistribution("two", weights).sample(200, generator()).tolist()) == {3, 7}


@pytest.mark.parametrize("weights", [torch.zeros(5), torch.tensor([1.0, -1.0]), torch.tensor([float("nan")])])
def test_bad_weights_are_refused(weights: torch.Tensor) -> None:
    with pytest.raises(InvalidInput, match="expected finite, non-negative weights"):
        TimestepDistribution("bad", weights)


def test_unknown_weights_name_the_known_ones(tiny_model: LatentDiffusionModel) -> None:
    with pytest.raises(InvalidInput, match=", ".join(WEIGHTS)):
        timestep_distribution("snr?", tiny_model.schedule.signal_share)


def latents_of(model: LatentDiffusionModel, photos: list[Photo]) -> torch.Tensor:
    with torch.no_grad():
        return model.encode(model.prepare([to_tensor(p.pixels)[None] for p in photos]))


def test_the_surrogate_descends_the_denoising_loss(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    loss = DenoisingLoss(
        tiny_model, tiny_model.embed("a"), timestep_distribution("uniform", tiny_model.schedule.signal_share)
    )
    latents, unet = latents_of(tiny_model, photos), tiny_model.copy_network()

    def probe() -> float:
        return float(loss(unet, latents.repeat(8, 1, 1, 1), generator(5)).detach())

    before, draws = probe(), generator(1)
    Trainer(unet.parameters(), TrainingSettings(1e-3)).run(lambda step: loss(unet, latents, draws), 40)
    assert probe() < 0.95 * before


@pytest.mark.parametrize(("direction", "sign"), [("ascend", 1), ("descend", -1)])
def test_images_move_the_denoising_loss_in_the_stated_direction(
    tiny_model: LatentDiffusionModel, photos: list[Photo], direction: str, sign: int
) -> None:
    loss = DenoisingLoss(
        tiny_model, tiny_model.embed("a"), timestep_distribution("uniform", tiny_model.schedule.signal_share)
    )
    images = [to_tensor(p.pixels)[None] for p in photos]

    def objective(perturbed: list[torch.Tensor], clean: list[torch.Tensor], step: int) -> torch.Tensor:
        return loss(
            tiny_model.network, tiny_model.encode(tiny_model.prepare(perturbed)).repeat(4, 1, 1, 1), generator(3)
        )

    start = [torch.zeros_like(image) for image in images]
    attack = PGD(images, start, [32 / 255] * len(images), PGDSettings(4 / 255, direction))
    losses, end = attack.run(objective, 6), attack.perturbations
    with torch.no_grad():
        after = float(objective([i + p for i, p in zip(images, end, strict=True)], images, 0))
    assert sign * (after - losses[0]) > 0
    assert all(p.abs().max() <= 32 / 255 + 1e-6 for p in end)
    assert all(not p.any() for p in start), "the caller's tensors must stay as they were"


def test_half_precision_master_weights_are_refused() -> None:
    layer = torch.nn.Linear(2, 2).bfloat16()
    with pytest.raises(InvalidInput, match="expected float32 master weights"):
        Trainer(layer.parameters(), TrainingSettings(5e-7))


def test_float32_weights_move_at_a_tiny_learning_rate() -> None:
    layer = torch.nn.Linear(4, 4)
    before = layer.weight.detach().clone()
    Trainer(layer.parameters(), TrainingSettings(5e-7)).run(lambda step: layer(torch.ones(1, 4)).square().sum(), 3)
    assert not torch.equal(before, layer.weight)


def test_frozen_weights_collect_no_gradient() -> None:
    base, head = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    base.requires_grad_(True)
    Trainer(head.parameters(), TrainingSettings(1e-2)).run(lambda step: head(base(torch.ones(1, 3))).sum(), 2)
    assert all(p.grad is None for p in base.parameters())


def test_training_resumes_exactly() -> None:
    def run(split: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layer = torch.nn.Linear(4, 4)
        inputs = torch.randn(8, 4, generator=generator())

        def loss(step: int) -> torch.Tensor:
            return (layer(inputs) - inputs.flip(1)).square().mean()

        trainer = Trainer(layer.parameters(), TrainingSettings(1e-2))
        trainer.run(loss, split)
        resumed = Trainer(layer.parameters(), TrainingSettings(1e-2))
        resumed.load_state_dict(trainer.state_dict())
        resumed.run(loss, 10 - split)
        return layer.weight.detach()

    assert torch.equal(run(10 - 1), run(4))


def test_gradients_in_another_memory_order_and_large_ones_train_as_torch_would() -> None:
    """Beside torch's AdamW and clipping: a weight whose gradient comes transposed, clipped in some steps, one without a gradient."""
    start = torch.randn(3, 5, generator=generator())
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    unused = torch.nn.Parameter(torch.ones(2))

    def loss(weight: torch.Tensor, step: int) -> torch.Tensor:
        return (4.0, 0.02)[step % 2] * (weight.t().clone(memory_format=torch.contiguous_format) - 1).square().sum()

    gradients = [torch.autograd.grad(loss(ours, step), ours)[0] for step in range(2)]
    assert all(gradient.stride() != ours.stride() for gradient in gradients), "or this tests nothing"
    assert gradients[0].norm() > 1 > gradients[1].norm()
    trainer = Trainer([ours, unused], TrainingSettings(0.1))
    assert trainer.optimizer.defaults["fused"]
    trainer.run(lambda step: loss(ours, step), 6)
    optimizer = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.0)
    for step in range(6):
        optimizer.zero_grad()
        loss(theirs, step).backward()
        torch.nn.utils.clip_grad_norm_([theirs], 1.0)
        optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6) and torch.equal(unused, torch.ones(2))


def test_weights_with_gaps_in_memory_are_trained_alone() -> None:
    """Part of a larger tensor: one pass through memory would go through the rest as well."""
    whole = torch.ones(4, 6)
    part = torch.nn.Parameter(whole[:, :3])
    assert not part.is_contiguous()
    Trainer([part], TrainingSettings(0.1)).run(lambda step: part.sum(), 1)
    assert torch.allclose(part, torch.full((4, 3), 0.9), atol=1e-4) and torch.equal(whole[:, 3:], torch.ones(4, 3))


def test_training_resumes_from_another_order_and_from_adamw_in_many_passes() -> None:
    def weight(memory_format: torch.memory_format) -> torch.nn.Parameter:
        found = torch.randn(2, 3, 4, 4, generator=generator())
        return torch.nn.Parameter(found.contiguous(memory_format=memory_format))

    def trained(first: torch.memory_format, fused: bool) -> torch.Tensor:
        target = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(7))
        one, other = weight(first), weight(torch.contiguous_format)
        before = Trainer([one], TrainingSettings(0.1))
        if not fused:
            before.optimizer = torch.optim.AdamW([one], lr=0.1, weight_decay=0.0)
        before.run(lambda step: (one * target).sum() + one.pow(4).sum(), 3)
        with torch.no_grad():
            other.copy_(one)
        after = Trainer([other], TrainingSettings(0.1))
        after.load_state_dict(before.state_dict())
        assert after.optimizer.param_groups[0]["fused"]
        after.run(lambda step: (other * target).sum() + other.pow(4).sum(), 3)
        return other.detach()

    usual = trained(torch.contiguous_format, True)
    assert torch.allclose(usual, trained(torch.channels_last, True), atol=1e-6)
    assert torch.allclose(usual, trained(torch.contiguous_format, False), atol=1e-6)


def test_schedule_warms_up_and_ends_at_zero() -> None:
    settings = TrainingSettings(1.0, schedule="cosine", warmup=0.1)
    assert settings.rate(0) == 0 and settings.rate(1) == pytest.approx(0)
    assert settings.rate(0.1) == pytest.approx(1, abs=0.03)


def test_steps_without_a_finite_gradient_are_counted_and_end_the_training(caplog: pytest.LogCaptureFixture) -> None:
    layer = torch.nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    trainer = Trainer(layer.parameters(), TrainingSettings(0.1))

    def loss(step: int) -> torch.Tensor:
        value = layer(torch.ones(1, 2)).sum()
        return value * float("nan") if step in wrong else value

    wrong: object = {1, 3}
    losses = trainer.run(loss, 4)
    assert trainer.skipped == 2 and len(losses) == 4 and len(caplog.records) == 2
    assert torch.isfinite(layer.weight).all() and not torch.equal(layer.weight, before)
    kept, wrong = layer.weight.detach().clone(), range(1000)
    with pytest.raises(Diverged, match="got 10 steps in a row"):
        trainer.run(loss, 50)
    assert trainer.step == 13 and torch.equal(layer.weight, kept)


def test_a_callers_autocast_does_not_keep_the_weights_of_the_first_step() -> None:
    def trained() -> torch.Tensor:
        weight = torch.nn.Parameter(torch.ones(8, 8))

        def loss(step: int) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return (torch.eye(8) @ weight).float().square().mean()

        Trainer([weight], TrainingSettings(0.05)).run(loss, 30)
        return weight.detach()

    alone = trained()
    assert alone.abs().max() < 0.2, "it has learned to give zeros"
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            assert torch.equal(trained(), alone)
