"""The distance of what latents decode to: its gradient, its scales, and what a method that pursues it does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.families import build
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo
from udp.protection.decoded import DecodedDistance, blended
from udp.protection.methods import AdvDM
from udp.tensors import to_tensor


def squares(model: LatentDiffusionModel, photos: list[Photo]) -> torch.Tensor:
    """The photos' centre crops, (N, 3, S, S)."""
    return model.prepare([to_tensor(photo.pixels)[None] for photo in photos])


@pytest.mark.parametrize("family", ["sd1", "ldm_vq", "ldm_kl"])
def test_distance_is_zero_for_what_is_decoded_and_grows_away_from_it(family: str, tmp_path: Path) -> None:
    model = load_model(str(build(family, tmp_path / family)))
    latents = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        itself = model.decode(latents)
    distance = DecodedDistance(model)
    none, near, far = (float(distance(latents + scale, itself)) for scale in (0.0, 0.2, 2.0))
    assert none < 0.005 and none < near < far  # not 0: what is decoded here, in bfloat16, is rounded
    assert float(distance(latents, 1 - itself)) > 0, "other clean pictures are looked at anew"


def test_features_are_of_every_smaller_resolution(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    seen = tiny_model.encoder_features(squares(tiny_model, photos))
    sides = [feature.shape[-1] for feature in seen]
    assert len(seen) >= 2 and all(len(feature) == len(photos) for feature in seen)
    assert max(sides) < tiny_model.resolution and min(sides) == tiny_model.latent_shape[-1]


def test_losses_of_any_scale_have_their_say() -> None:
    latents = torch.ones(2, 1, 2, 2, requires_grad=True)
    small, large = (latents[:, :, 0] * 1e-6).sum(), (latents[:, :, 1] * 1e6).sum()
    value = blended(latents, [(small, 1.0), (large, 0.5)])
    assert torch.equal(value.detach(), small.detach() + 0.5 * large.detach())
    (gradient,) = torch.autograd.grad(value, latents)
    assert torch.allclose(gradient[:, :, 1] / gradient[:, :, 0], torch.tensor(0.5))


def test_the_decoded_picture_moves_further_where_it_is_pursued(photos: list[Photo]) -> None:
    model = load_model("mini")
    photos = photos[:2]
    distance, clean = DecodedDistance(model), squares(model, photos)

    def moved(target: str) -> float:
        method = AdvDM(pgd_steps=4, step_size=2 / 255, encoder_weight=4, encoder_target=target)
        protected = method(photos, model)
        with torch.no_grad():
            return float(distance(model.encode(squares(model, protected)), clean))

    assert moved("decoded") > 1.1 * moved("clean")
