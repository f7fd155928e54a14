"""Every protection method, by one table: budget, determinism, direction, untouched weights, size, stopping."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import picture
from udp.errors import InvalidInput, Stopped
from udp.images import read_photo, to_tensor, write_png
from udp.models import LatentDiffusionModel
from udp.projection import largest_difference
from udp.protect import (
    ASPL,
    EUDP,
    FSMG,
    METHODS,
    SDS,
    UDP,
    AdvDM,
    EUDPTarget,
    Mist,
    PhotoGuard,
    ProtectionMethod,
    RandomNoise,
    SimAC,
    pgd_method,
)
from udp.protect.pgd_method import Run
from udp.protect.targets import target_latents
from udp.timesteps import greedy_distribution, timestep_distribution
from udp.types import Photo, Progress

# Every method with settings small enough for a test; a method that is missing here fails `test_table_is_complete`.
ROUNDS = {"rounds": 2, "surrogate_steps": 1, "pgd_steps": 2, "step_size": 3 / 255}
FLAT = {"pgd_steps": 3, "step_size": 3 / 255}
TABLE: dict[str, ProtectionMethod] = {
    "eudp": EUDP(**ROUNDS),
    "eudp-target": EUDPTarget(**ROUNDS),
    "udp": UDP(**ROUNDS),
    "advdm": AdvDM(**FLAT),
    "fsmg": FSMG(**FLAT, surrogate_steps=2),
    "aspl": ASPL(**ROUNDS),
    "simac": SimAC(**ROUNDS),
    "sds": SDS(**FLAT),
    "mist": Mist(**FLAT),
    "photoguard": PhotoGuard(**FLAT),
    "random": RandomNoise(),
}
# Other ways to run them that must keep the same promises.
VARIANTS: dict[str, ProtectionMethod] = {
    "advdm-": AdvDM(**FLAT, sign="descend", timestep_weights="band"),
    "sds+": SDS(**FLAT, sign="ascend"),
    "mist-textural": Mist(**FLAT, mode="textural"),
    "mist-semantic": Mist(**FLAT, mode="semantic"),
    "photoguard-pattern": PhotoGuard(**FLAT, target="pattern"),
    "eudp-all": EUDP(**ROUNDS, momentum=1.0, step_schedule="linear", encoder_weight=1.0, timestep_weights="snr"),
    "advdm-eot": AdvDM(**FLAT, augment="all"),
}
EVERY = {**TABLE, **VARIANTS}
each_method = pytest.mark.parametrize("method", EVERY.values(), ids=EVERY)
each_default = pytest.mark.parametrize("method", TABLE.values(), ids=TABLE)


@pytest.fixture(autouse=True)
def quick_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """SimAC's search in a tenth of its comparisons."""
    monkeypatch.setattr(pgd_method, "greedy_distribution", functools.partial(greedy_distribution, width=0.2))


def test_table_is_complete() -> None:
    assert set(TABLE) == set(METHODS)


@each_method
def test_budget_holds_on_the_saved_file(
    method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    for levels in (2, 8):
        for photo, protected in zip(
            photos, dataclasses.replace(method, budget=levels / 255)(photos, tiny_model), strict=True
        ):
            saved = read_photo(write_png(tmp_path / "x.png", protected))
            assert saved.size == photo.size and protected.name == photo.name
            assert 0 < largest_difference(photo.pixels, saved.pixels) <= levels


@each_method
def test_same_seed_same_bytes(method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    torch.manual_seed(1)
    photos = photos[:2]
    first = method(photos, tiny_model, seed=3)
    torch.manual_seed(2)  # a method must not depend on global state
    second, other = method(photos, tiny_model, seed=3), method(photos, tiny_model, seed=4)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))
    assert any(not np.array_equal(a.pixels, b.pixels) for a, b in zip(first, other, strict=True))


@each_default
def test_callers_model_and_photos_stay_as_they_were(
    method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    modules = (tiny_model.unet, tiny_model.vae, tiny_model.text_encoder)
    weights = [p.detach().clone() for m in modules for p in m.parameters()]
    pixels = [p.pixels.copy() for p in photos]
    method(photos, tiny_model)
    after = [p for m in modules for p in m.parameters()]
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(weights, after, strict=True))
    assert all(np.array_equal(a, b.pixels) for a, b in zip(pixels, photos, strict=True))
    assert not any(m.training for m in modules)


LONGER = {name: {"pgd_steps": 10} for name in EVERY} | {"random": {}, "aspl": {"rounds": 5}, "simac": {"rounds": 5}}


# An untrained U-Net's residual says nothing about its loss, so SDS has a test of its own below.
WITH_LOSS = [name for name in EVERY if name not in ("random", "sds", "sds+")]


@pytest.mark.parametrize("name", WITH_LOSS)
def test_photos_move_their_loss_in_the_stated_direction(
    name: str, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    """The method's own objective, at fixed draws and against the untouched model, beside random noise as a control."""
    method = dataclasses.replace(EVERY[name], budget=16 / 255, step_size=2 / 255, **LONGER[name])
    clean = [to_tensor(p.pixels)[None] for p in photos]

    def value(of: list[Photo]) -> float:
        uniform = timestep_distribution("uniform", tiny_model.alphas_cumprod)
        run = Run(tiny_model, tiny_model.embed("a"), clean, torch.Generator().manual_seed(9), tiny_model.unet, uniform)
        objective = method.objective(run)
        with torch.no_grad():
            return sum(float(objective([to_tensor(p.pixels)[None] for p in of], clean, i)) for i in range(16))

    protected, control = method(photos, tiny_model), RandomNoise(budget=16 / 255)(photos, tiny_model)
    assert method.direction in ("ascend", "descend")
    sign = 1 if method.direction == "ascend" else -1
    assert sign * (value(protected) - value(control)) > 0


def test_sds_steps_along_its_gradient_or_against_it(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    up, down = (SDS(pgd_steps=1, step_size=3 / 255, sign=sign)(photos, tiny_model) for sign in ("ascend", "descend"))
    assert (SDS(sign="ascend").direction, SDS().direction) == ("ascend", "descend")
    for photo, a, b in zip(photos, up, down, strict=True):
        there, back = (x.pixels.astype(int) - photo.pixels for x in (a, b))
        free = (photo.pixels >= 3) & (photo.pixels <= 252)  # away from black and white, where clipping differs
        assert np.array_equal(there[free], -back[free]) and there[free].any()


@each_default
def test_native_size_aspect_and_alpha_are_kept(method: ProtectionMethod, tiny_model: LatentDiffusionModel) -> None:
    alpha = np.full((150, 431), 200, np.uint8)
    photo = Photo("wide", picture(0, width=431, height=150), alpha)
    if not getattr(method, "random_start", True):
        method = dataclasses.replace(method, pgd_steps=20)  # time for the crop to come by both ends
    (protected,) = method([photo], tiny_model)
    assert protected.size == (431, 150) and np.array_equal(protected.alpha, alpha)
    changed = (protected.pixels != photo.pixels).any(2)
    assert changed[:, :100].any() and changed[:, -100:].any(), "both ends must be protected, not only a centre crop"


@each_default
def test_it_stops_when_asked(method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        raise Stopped("enough")

    with pytest.raises(Stopped):
        method(photos, tiny_model, on_progress=stop)
    assert len(seen) == 1


@each_method
def test_progress_rises_to_the_end(
    method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    seen: list[float] = []
    method(photos, tiny_model, on_progress=lambda p: seen.append(p.overall))
    assert seen == sorted(seen) and len(set(seen)) == len(seen) and seen[-1] == 1


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
    small = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 2}
    ours = EUDP(**small, timestep_weights="uniform")(photos, tiny_model)
    plain, weighted = UDP(**small)(photos, tiny_model), EUDP(**small)(photos, tiny_model)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(ours, plain, strict=True))
    assert any(not np.array_equal(a.pixels, b.pixels) for a, b in zip(weighted, plain, strict=True))


def test_a_shared_target_draws_every_photo_towards_it(tiny_model: LatentDiffusionModel, photos: list[Photo]) -> None:
    target = target_latents(tiny_model, "pattern")

    def distances(protected: list[Photo]) -> torch.Tensor:
        latents = tiny_model.encode(tiny_model.prepare([to_tensor(p.pixels)[None] for p in protected]))
        return (latents - target).square().mean((1, 2, 3))

    steps = {"pgd_steps": 12, "step_size": 2 / 255}
    drawn = AdvDM(**steps, encoder_weight=10, encoder_target="pattern")(photos, tiny_model)
    away = AdvDM(**steps, encoder_weight=10)(photos, tiny_model)
    assert (distances(drawn) < distances(photos)).all()
    assert (distances(drawn) < distances(away)).all()
