"""Large encoders in bfloat16 behind their first layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0, SlicedAttnProcessor

from tests.families import build, pipeline
from udp.models.base import DiffusionModel
from udp.models.latent import StableDiffusion
from udp.models.loading import load_model
from udp.models.memory import MemoryOptions
from udp.models.precision import encode_large, lay_out_small

SQUARES = torch.linspace(0.9, 1.0, 3 * 32 * 32).reshape(1, 3, 32, 32)


def autoencoder(name: str) -> torch.nn.Module:
    return getattr(built := pipeline(name), "vae" if hasattr(built, "vae") else "vqvae").requires_grad_(False).eval()


def latents(found: Any) -> torch.Tensor:
    return (found.latent_dist.mean if hasattr(found, "latent_dist") else found.latents).float()


@pytest.mark.parametrize("name", ["sd1", "sd3", "ldm_vq"])
def test_an_attack_gets_as_far(name: str) -> None:
    """PGD away from the clean latents, by either way of encoding; judged in float32."""
    model, budget, reached = autoencoder(name), 8 / 255, []
    clean = latents(model.encode(SQUARES))
    noise = torch.rand(SQUARES.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for encode in (model.encode, lambda squares: encode_large(model, squares)):
        moved, start = noise * budget, latents(encode(SQUARES))
        for _ in range(8):
            moved.requires_grad_()
            distance = (latents(encode(SQUARES + moved)) - start).square().mean()
            (gradient,) = torch.autograd.grad(distance, moved)
            moved = (moved.detach() + 2 / 255 * gradient.sign()).clamp(-budget, budget)
        reached.append(float((latents(model.encode(SQUARES + moved)) - clean).norm()))
    random = float((latents(model.encode(SQUARES + budget * noise.sign())) - clean).norm())
    assert reached[1] > 0.95 * reached[0] and reached[1] > 1.5 * random


def test_pixels_meet_float32_and_all_behind_bfloat16() -> None:
    model, found = autoencoder("sd1"), {}
    layers = {"first": model.encoder.conv_in, "next": model.encoder.down_blocks[0].resnets[0].conv1}

    def noted(layer: torch.nn.Module, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        found[layer] = given[0], made

    for layer in layers.values():
        layer.register_forward_hook(noted)
    exact = layers["first"](SQUARES)
    found.clear()
    encode_large(model, SQUARES)
    given, made = found[layers["first"]]
    assert torch.equal(given, SQUARES) and made.dtype == torch.float32 and torch.equal(made, exact)
    assert found[layers["next"]][1].dtype == torch.bfloat16


def test_slices_stay_slices() -> None:
    """The first layer too sees one picture at a time where the autoencoder is told to."""
    model, seen = autoencoder("sd1"), []
    model.enable_slicing()
    model.encoder.conv_in.register_forward_hook(lambda _, given, made: seen.append(len(given[0])))
    encode_large(model, SQUARES.repeat(3, 1, 1, 1))
    assert seen == [1, 1, 1]


def test_checkpointing_changes_nothing() -> None:
    model, found = autoencoder("sd1"), []
    for on in (False, True):
        model.train(on)  # diffusers checkpoints nothing else
        (model.enable_gradient_checkpointing if on else model.disable_gradient_checkpointing)()
        squares = SQUARES.clone().requires_grad_()
        made = latents(encode_large(model, squares))
        found.append((made, *torch.autograd.grad(made.square().sum(), squares)))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_weights_lie_as_a_processor_likes_them(tmp_path: Path) -> None:
    model = load_model(str(build("sd1", tmp_path / "sd1")))
    assert model.device.type != "cpu" or all(
        layer.weight.is_contiguous(memory_format=torch.channels_last)
        for layer in (model.vae.encoder.conv_in, model.network.conv_in)
    )


@pytest.mark.parametrize("name", ["sd1", "ddpm"])
def test_small_networks_lie_and_attend_as_bfloat16_likes_it(name: str, tmp_path: Path) -> None:
    folder = str(build(name, tmp_path / name))
    usual, model = (load_model(folder, options=MemoryOptions(autocast=on)) for on in (False, True))
    order = {torch.channels_last: usual, torch.contiguous_format: model}
    if model.device.type == "cpu":
        assert all(m.network.conv_in.weight.is_contiguous(memory_format=at) for at, m in order.items())
        assert {type(m.processor) for m in model.network.modules() if isinstance(m, Attention)} == {AttnProcessor}
    assert {type(m.processor) for m in usual.network.modules() if isinstance(m, Attention)} == {AttnProcessor2_0}


@pytest.mark.parametrize("name", ["sd1", "ddpm"])
def test_that_layout_changes_nothing_but_rounding(name: str, tmp_path: Path) -> None:
    """Predictions and gradients in float32, where rounding is small."""
    model, found = load_model(str(build(name, tmp_path / name))), []
    noisy = torch.randn(2, model.network.config.in_channels, *2 * [model.network.config.sample_size],
                        generator=torch.Generator().manual_seed(0))  # fmt: skip
    for lay_out in (lambda network: network.to(memory_format=torch.channels_last), lay_out_small):
        network = model.copy_network()
        lay_out(network)
        made = model.denoise(network, noisy.to(model.device), torch.tensor([10, 500]), model.embed(""))
        found.append((made, *torch.autograd.grad(made.square().sum(), [*network.parameters()], allow_unused=True)))
    one, other = ([value for value in each if value is not None] for each in found)
    rounding = 1e-5 * max(float(value.detach().abs().max()) for value in one)  # some gradients are nothing else
    assert all(torch.allclose(a, b, rtol=1e-3, atol=rounding) for a, b in zip(one, other, strict=True))


def test_large_networks_keep_their_layout_and_many_tokens_their_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(build("sd1", tmp_path / "sd1"))
    monkeypatch.setattr(DiffusionModel, "small", property(lambda model: False))
    model = load_model(folder, options=MemoryOptions(autocast=True))
    if model.device.type == "cpu":
        assert model.network.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert {type(m.processor) for m in model.network.modules() if isinstance(m, Attention)} == {AttnProcessor2_0}
    network = model.copy_network()
    network.register_to_config(sample_size=64)
    lay_out_small(network)
    assert network.conv_in.weight.is_contiguous()
    assert {type(m.processor) for m in network.modules() if isinstance(m, Attention)} == {AttnProcessor2_0}


def test_slices_that_were_asked_for_stay() -> None:
    network = pipeline("sd1").unet
    network.set_attention_slice("max")
    lay_out_small(network)
    assert {type(m.processor) for m in network.modules() if isinstance(m, Attention)} == {SlicedAttnProcessor}


@pytest.mark.parametrize("units", [True, False])
def test_a_model_that_computes_in_bfloat16_encodes_so_where_there_are_units(
    units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("udp.models.latent.computes_in_bfloat16", lambda device: units)
    model, pixels = StableDiffusion("sd1", pipeline("sd1")), SQUARES / 2
    plain = model.encode(pixels)
    model.autocast = True
    rough = model.encode(pixels)
    assert rough.dtype == torch.float32 and torch.equal(plain, rough) is not units
    assert torch.allclose(plain, rough, atol=0.1 * float(plain.std()))


def test_the_model_is_left_as_it_was() -> None:
    model = autoencoder("sd1")
    encoder, first = model.encoder, model.encoder.conv_in
    before = model.encode(SQUARES).latent_dist.mean
    encode_large(model, SQUARES)
    assert model.encoder is encoder and encoder.conv_in is first and not torch.is_autocast_enabled("cpu")
    assert torch.equal(before, model.encode(SQUARES).latent_dist.mean)
