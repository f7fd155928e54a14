"""Large encoders in bfloat16 behind their first layer."""

from __future__ import annotations

import pytest
import torch

from tests.families import pipeline
from udp.models.latent import StableDiffusion
from udp.models.precision import encode_large

SQUARES = torch.linspace(0.9, 1.0, 3 * 32 * 32).reshape(1, 3, 32, 32)


def autoencoder(name: str) -> torch.nn.Module:
    return getattr(built := pipeline(name), "vae" if hasattr(built, "vae") else "vqvae").requires_grad_(False).eval()


def gradient(encode, squares: torch.Tensor) -> torch.Tensor:
    squares = squares.clone().requires_grad_()
    found = encode(squares)
    latents = found.latent_dist.mean if hasattr(found, "latent_dist") else found.latents
    signs = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    return torch.autograd.grad((latents.float() * signs).sum(), squares)[0]


@pytest.mark.parametrize("name", ["sd1", "sd3", "ldm_vq"])
def test_gradients_keep_their_signs(name: str) -> None:
    model = autoencoder(name)
    exact, rough = gradient(model.encode, SQUARES), gradient(lambda squares: encode_large(model, squares), SQUARES)
    assert rough.dtype == torch.float32 and not torch.equal(exact, rough)
    assert (exact.sign() == rough.sign()).float().mean() > 0.95


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
