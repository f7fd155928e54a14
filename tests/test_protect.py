"""What protection methods promise beyond `test_methods.py`: sizes, refusals, and what sets one apart from another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import picture
from tests.families import build
from tests.methods import TABLE
from udp.errors import InvalidInput
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo
from udp.protection.base import ProtectionMethod
from udp.protection.methods import EUDP, SDS, UDP, AdvDM
from udp.protection.targets import target_latents
from udp.tensors import to_tensor

pytestmark = pytest.mark.usefixtures("quick_search")


def same_pixels(some: list[Photo], others: list[Photo]) -> bool:
    """Whether two sets hold the same pictures."""
    return all(np.array_equal(a.pixels, b.pixels) for a, b in zip(some, others, strict=True))


def latents(model: LatentDiffusionModel, photos: list[Photo]) -> torch.Tensor:
    """What the model's encoder makes of the photos' centre crops, (N, C, h, w)."""
    return model.encode(model.prepare([to_tensor(photo.pixels)[None] for photo in photos]))


def test_sds_steps_along_its_gradient_or_against_it(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    up, down = (SDS(pgd_steps=1, step_size=3 / 255, sign=sign)(photos, tiny_model) for sign in ("ascend", "descend"))
    assert (SDS(sign="ascend").direction, SDS().direction) == ("ascend", "descend")
    for photo, a, b in zip(photos, up, down, strict=True):
        there, back = (x.pixels.astype(int) - photo.pixels for x in (a, b))
        free = (photo.pixels >= 3) & (photo.pixels <= 252)  # away from black and white, where clipping differs
        assert np.array_equal(there[free], -back[free]) and there[free].any()


@pytest.mark.parametrize("method", TABLE.values(), ids=TABLE)
def test_native_size_aspect_and_alpha_are_kept(method: ProtectionMethod, tiny_model: LatentDiffusionModel) -> None:
    alpha = np.full((150, 431), 200, np.uint8)
    photo = Photo("wide", picture(0, width=431, height=150), alpha)
    if getattr(method, "start", "") == "zero":
        method = dataclasses.replace(method, pgd_steps=20)  # time for the crop to come by both ends
    (protected,) = method([photo], tiny_model)
    assert protected.size == (431, 150) and np.array_equal(protected.alpha, alpha)
    changed = (protected.pixels != photo.pixels).any(2)
    assert changed[:, :100].any() and changed[:, -100:].any(), "both ends must be protected, not only a centre crop"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"budget": 0.5}, "expected budget between 2/255 and 32/255, got 127.5/255"), ({"rounds": 0}, "rounds"),
     ({"timestep_weights": "often"}, "uniform, sqrt_alpha_bar"), ({"budget": "8"}, "budget")],
)  # fmt: skip
def test_bad_settings_are_refused(
    changes: dict, words: str, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    with pytest.raises(InvalidInput, match=words):
        UDP(**changes)(photos, tiny_model)


def test_no_photos_and_no_model_are_refused(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    with pytest.raises(InvalidInput, match="at least one photo"):
        UDP()([], tiny_model)
    with pytest.raises(InvalidInput, match="expected a model"):
        UDP()(photos, None)


def test_eudp_with_uniform_weights_is_udp(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    small = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 2, "step_size": 2 / 255, "step_schedule": "linear",
             "momentum": 0.8, "augment": "none"}  # fmt: skip
    ours = EUDP(**small, timestep_weights="uniform", encoder_weight=0)(photos, tiny_model)
    plain, weighted = UDP(**small)(photos, tiny_model), EUDP(**small, encoder_weight=0)(photos, tiny_model)
    assert same_pixels(ours, plain)
    assert not same_pixels(weighted, plain)


def test_the_encoder_weight_counts_where_there_is_an_encoder(
    tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    small = {"rounds": 2, "surrogate_steps": 1, "pgd_steps": 6}

    def moved(protected: list[Photo]) -> torch.Tensor:
        here, there = (latents(tiny_model, photos) for photos in (photos, protected))
        return (there - here).square().mean((1, 2, 3))

    ours, paper = (EUDP(**small, encoder_weight=weight)(photos, tiny_model) for weight in (2, 0))
    assert (moved(ours) > moved(paper)).all()
    pixels = load_model(str(build("ddpm", tmp_path / "ddpm")))
    assert same_pixels(*(EUDP(**small, encoder_weight=weight)(photos, pixels) for weight in (2, 0)))


def test_a_shared_target_draws_every_photo_towards_it(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    target = target_latents(tiny_model, "pattern")

    def distances(protected: list[Photo]) -> torch.Tensor:
        return (latents(tiny_model, protected) - target).square().mean((1, 2, 3))

    steps = {"pgd_steps": 12, "step_size": 2 / 255}
    drawn = AdvDM(**steps, encoder_weight=10, encoder_target="pattern")(photos, tiny_model)
    away = AdvDM(**steps, encoder_weight=10)(photos, tiny_model)
    assert (distances(drawn) < distances(photos)).all()
    assert (distances(drawn) < distances(away)).all()
