"""Surrogates: a full copy's plain alternation, and adapters on the base's own frozen weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.families import build
from udp.models.adapters import RANK, WIDE, adapters
from udp.models.base import DiffusionModel
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.models.loss import DenoisingLoss
from udp.models.memory import MemoryOptions
from udp.models.timesteps import timestep_distribution
from udp.models.training import Trainer, TrainingSettings
from udp.photos import Photo
from udp.progress import ignore_progress
from udp.protection.methods import ASPL, EUDP, UDP
from udp.protection.pgd import PGD, PGDSettings
from udp.protection.pgd_method import Run
from udp.protection.surrogate import SurrogateMethod
from udp.settings import for_model
from udp.tensors import to_tensor

PROMPT = "a toy"
ROUNDS = {"rounds": 2, "surrogate_steps": 2, "pgd_steps": 2, "step_size": 3 / 255}
WITH_ADAPTERS = [kind(**ROUNDS, surrogate="adapters") for kind in (UDP, EUDP, ASPL)]
names = {"ids": lambda method: method.name}


@pytest.fixture(scope="module", params=["sd1", "ddpm"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return load_model(str(build(request.param, tmp_path_factory.mktemp("surrogate") / request.param)))


@pytest.fixture
def surrogates(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """Every surrogate that a test's method makes."""
    made, plain = [], SurrogateMethod.attacked_network

    def spy(self: SurrogateMethod, model: DiffusionModel, generator: torch.Generator) -> torch.nn.Module:
        made.append(plain(self, model, generator))
        return made[-1]

    monkeypatch.setattr(SurrogateMethod, "attacked_network", spy)
    return made


def tensors(photos: list[Photo]) -> list[torch.Tensor]:
    return [to_tensor(photo.pixels)[None] for photo in photos]


def run_of(method: SurrogateMethod, model: DiffusionModel, photos: list[Photo], unet: torch.nn.Module) -> Run:
    uniform = timestep_distribution("uniform", model.schedule.signal_share)
    return Run(model, model.embed(PROMPT), tensors(photos), torch.Generator().manual_seed(1), unet, uniform)


def taught(method: SurrogateMethod, model: DiffusionModel, photos: list[Photo]) -> torch.nn.Module:
    """A surrogate that has learned the clean photos for `surrogate_steps`."""
    method = for_model(method, model.small)
    unet = method.attacked_network(model, torch.Generator().manual_seed(0))
    run = run_of(method, model, photos, unet)
    loss = DenoisingLoss(model, run.conditioning, run.timesteps)
    step_loss = method.batch_loss(run, loss, unet, lambda index: run.images[index])
    method.learn(method.trainer(unet), step_loss, lambda stage: lambda step, value: None)
    return unet


def test_a_full_surrogate_is_the_plain_alternation(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    """The max-min loop, written out: a random start, then AdamW on every weight of a copy, then PGD, in turns."""
    method = for_model(UDP(**ROUNDS, draws=1), small=True)
    images, limits = tensors(photos), [torch.tensor(method.budget)] * len(photos)
    ours = method.run(images, limits, tiny_model, PROMPT, torch.Generator().manual_seed(7), ignore_progress)

    generator, unet = torch.Generator().manual_seed(7), tiny_model.copy_network()
    start = [(torch.rand(image.shape, generator=generator) * 2 - 1) * method.budget for image in images]
    attack = PGD(images, start, limits, PGDSettings(method.step_size))
    trainer = Trainer(unet.parameters(), TrainingSettings(1e-4))
    uniform = timestep_distribution("uniform", tiny_model.schedule.signal_share)
    loss = DenoisingLoss(tiny_model, tiny_model.embed(PROMPT), uniform)

    def seen(perturbed: list[torch.Tensor]) -> torch.Tensor:
        positions = torch.rand(len(perturbed), generator=generator).tolist()
        return tiny_model.encode(tiny_model.prepare(perturbed, positions))

    def descended(step: int) -> torch.Tensor:
        order = torch.randperm(len(images), generator=generator).tolist()
        with torch.no_grad():
            latents = seen([images[index] + attack.perturbations[index] for index in order])
        return loss(unet, latents, generator)

    for _ in range(method.rounds):
        trainer.run(descended, method.surrogate_steps)
        attack.run(lambda perturbed, clean, step: loss(unet, seen(perturbed), generator), method.pgd_steps)
    assert all(torch.equal(a, b) for a, b in zip(ours, attack.perturbations, strict=True))


@pytest.mark.parametrize("method", WITH_ADAPTERS, **names)
def test_adapters_alone_are_trained_on_the_bases_own_weights(
    method: SurrogateMethod,
    model: DiffusionModel,
    photos: list[Photo],
    surrogates: list,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained, start = [], Trainer.__init__

    def spy(self: Trainer, parameters: object, settings: TrainingSettings) -> None:
        start(self, parameters, settings)
        trained.append(self.parameters)

    monkeypatch.setattr(Trainer, "__init__", spy)
    before = [parameter.clone() for parameter in model.network.parameters()]
    method(photos, model, PROMPT)
    layers = [
        layer for name, layer in model.network.named_modules() if name.endswith(WIDE) and hasattr(layer, "weight")
    ]
    count = sum(RANK * (layer.weight[0].numel() + len(layer.weight)) for layer in layers)  # A and B of each layer
    assert trained and all(sum(p.numel() for p in parameters) == count for parameters in trained)
    for unet in surrogates:
        learned = {id(p) for p in adapters(unet)}
        rest = [p for p in unet.parameters() if id(p) not in learned]
        assert all(a is b for a, b in zip(rest, model.network.parameters(), strict=True)), "no copy of the base"
        assert any(p.any() for name, p in unet.named_parameters() if ".lora_B." in name), "they begin at zero"
    assert all(torch.equal(a, b) for a, b in zip(before, model.network.parameters(), strict=True))
    assert not any(p.requires_grad or p.grad is not None for p in model.network.parameters())


def test_adapters_learn_the_photos_at_their_own_rate(model: DiffusionModel, photos: list[Photo]) -> None:
    method = EUDP(surrogate="adapters", surrogate_steps=40)
    unet = taught(method, model, photos)
    loss = DenoisingLoss(model, model.embed(PROMPT), timestep_distribution("uniform", model.schedule.signal_share))
    with torch.no_grad():
        latents = model.encode(model.prepare(tensors(photos))).repeat(8, 1, 1, 1)
        before, after = (float(loss(net, latents, torch.Generator().manual_seed(5))) for net in (model.network, unet))
    assert after < 0.95 * before


def test_photos_get_their_gradient_through_frozen_adapters(model: DiffusionModel, photos: list[Photo]) -> None:
    method = for_model(UDP(surrogate="adapters", surrogate_steps=10), model.small)
    unet = taught(method, model, photos)
    assert not any(parameter.requires_grad for parameter in unet.parameters())
    gradients = []
    for net in (unet, model.network):
        run = run_of(method, model, photos, net)
        leaves = [image.requires_grad_() for image in run.images]
        gradients.append(torch.autograd.grad(method.objective(run)(leaves, leaves, 0), leaves))
    for through, plain in zip(*gradients, strict=True):
        assert torch.isfinite(through).all() and through.any() and not torch.allclose(through, plain, rtol=0.01)


@pytest.mark.parametrize("method", WITH_ADAPTERS, **names)
def test_adapters_are_float32_on_a_bfloat16_base_with_every_memory_option(
    method: SurrogateMethod, photos: list[Photo], surrogates: list, tmp_path: Path
) -> None:
    options = MemoryOptions(autocast=True, checkpointing=True, tiling=True)
    model = load_model(str(build("sd1", tmp_path / "sd1")), torch.bfloat16, options)
    protected = method(photos[:1], model, PROMPT)
    assert (protected[0].pixels != photos[0].pixels).any()
    assert {p.dtype for p in model.network.parameters()} == {torch.bfloat16}
    assert {p.dtype for unet in surrogates for p in adapters(unet)} == {torch.float32}
    assert all(any(p.any() for name, p in unet.named_parameters() if ".lora_B." in name) for unet in surrogates)


def test_aspls_attacked_copy_starts_from_the_model(
    tiny_model: LatentDiffusionModel, photos: list[Photo], surrogates: list
) -> None:
    """Each has adapters of its own, drawn apart; only the copying makes them agree."""
    untaught = dataclasses.replace(WITH_ADAPTERS[-1], surrogate_steps=0)
    untaught(photos, tiny_model, PROMPT)
    attacked, followed = surrogates
    pairs = list(zip(adapters(attacked), adapters(followed), strict=True))
    assert attacked is not followed and all(a is not b and torch.equal(a, b) for a, b in pairs)
