"""Expectation over transformation: each transformation does what it says, differentiably and repeatably."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import picture
from udp.errors import InvalidInput
from udp.models.latent import LatentDiffusionModel
from udp.photos import Photo
from udp.protection.augment import AUGMENTATIONS, blur, crop, down_and_up, draw_transformation, jpeg
from udp.protection.methods import AdvDM
from udp.tensors import to_pixels, to_tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def textured() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 25, (96, 120, 3))
    return np.clip(picture(0, 120, 96) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [30, 75])
def test_jpeg_is_close_to_a_real_encoder(quality: int) -> None:
    pixels, file = textured(), io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2)
    real = np.asarray(Image.open(file)).astype(float)
    ours = to_pixels(jpeg(to_tensor(pixels)[None], quality)[0]).astype(float)
    assert np.abs(ours - real).mean() < 0.5 * np.abs(pixels - real).mean()


@pytest.mark.parametrize("member", AUGMENTATIONS["all"], ids=lambda member: member.__name__)
def test_each_carries_gradients_and_repeats(member) -> None:
    image = to_tensor(textured())[None].requires_grad_()
    change = member(generator(3))
    first, second = change(image), member(generator(3))(image)
    assert torch.equal(first, second) and torch.equal(first, change(image))
    assert not torch.equal(first, image) or member.__name__ == "draw_crop"
    assert first.min() >= -1e-6 and first.max() <= 1 + 1e-6
    (gradient,) = torch.autograd.grad(first.square().sum(), image)
    assert torch.isfinite(gradient).all() and gradient.any()


def test_they_do_what_they_say() -> None:
    image = to_tensor(textured())[None]
    rough = [float((x - x.mean((2, 3), keepdim=True)).diff(dim=-1).square().mean()) for x in (
        image, blur(image, 1.0), down_and_up(image, 0.5))]  # fmt: skip
    assert rough[1] < 0.5 * rough[0] and rough[2] < 0.5 * rough[0]
    assert down_and_up(image, 0.5).shape == image.shape
    assert torch.equal(crop(image, 0.5, 1.0, 1.0), image[..., 48:, 60:])


def test_none_draws_nothing_and_sets_mix_in_the_plain_photo() -> None:
    untouched, used = generator(1), generator(1)
    assert draw_transformation("none", used) is None
    assert torch.equal(untouched.get_state(), used.get_state())
    source = generator(2)
    drawn = [draw_transformation("jpeg", source) for _ in range(200)]
    assert 0.1 < sum(change is None for change in drawn) / 200 < 0.4
    with pytest.raises(InvalidInput, match="none, jpeg, resize, crop, all"):
        draw_transformation("rotate", source)


def test_a_perturbation_made_through_jpeg_survives_jpeg_better(tiny_model: LatentDiffusionModel) -> None:
    """The encoder's shift that is left after a real JPEG file, with and without EOT, at equal steps."""
    photos = [Photo(str(i), picture(i)) for i in range(2)]

    def left(augment: str) -> float:
        method = AdvDM(pgd_steps=15, step_size=4 / 255, budget=16 / 255, encoder_weight=10, augment=augment)
        shift = 0.0
        for photo, protected in zip(photos, method(photos, tiny_model), strict=True):
            latents = []
            for pixels in (photo.pixels, protected.pixels):
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "JPEG", quality=60)
                again = np.asarray(Image.open(file))
                latents.append(tiny_model.encode(tiny_model.prepare([to_tensor(again)[None]])))
            shift += float((latents[0] - latents[1]).square().mean())
        return shift

    assert left("jpeg") > left("none")
