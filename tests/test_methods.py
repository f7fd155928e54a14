"""Every protection method on every model family, by one table: budget, determinism, direction, weights, stopping.

The models are tiny and random, of the true architectures; their U-Nets are untrained.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.families import PIPELINES, pipeline
from tests.methods import ADAPTERS, TABLE, VARIANTS
from udp.errors import InvalidInput, Stopped
from udp.models.base import DiffusionModel
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import FAMILIES
from udp.models.loss import DenoisingLoss
from udp.models.timesteps import timestep_distribution
from udp.photos import Photo, read_photo, write_png
from udp.progress import Progress
from udp.protection.base import ProtectionMethod
from udp.protection.budget import largest_difference
from udp.protection.methods import METHODS, SDS, Mist
from udp.protection.pgd_method import Run
from udp.settings import for_model
from udp.tensors import to_tensor

EMBEDDED = "embedded"  # the embedded model's architecture; variants of methods run on it alone
WITH_ADAPTERS = (EMBEDDED, "sd1", "ddpm")  # one family with prompts and one of pixels
EVERY = {**TABLE, **VARIANTS, **ADAPTERS}
REFUSED = [("ddpm", "photoguard")]
PAIRS = [
    (family, name)
    for family in (EMBEDDED, *PIPELINES)
    for name in [*TABLE, *(VARIANTS if family == EMBEDDED else ()), *(ADAPTERS if family in WITH_ADAPTERS else ())]
    if (family, name) not in REFUSED
]
LEVELS, FEW_LEVELS = 8, 2
PROMPT = "a photo of sks"


@dataclass(frozen=True)
class Case:
    """A method on a model and what it made: twice with one seed, on the embedded model's architecture once with another, and once
    at fixed draws.

    `weights` and `pixels` are copies made before any of that.
    """

    method: ProtectionMethod
    model: DiffusionModel
    photos: list[Photo]
    weights: list[torch.Tensor]
    pixels: list[np.ndarray]
    first: list[Photo]
    again: list[Photo]
    other: list[Photo]
    fixed: list[Photo]
    progress: list[float]


@contextmanager
def fixed_draws() -> Iterator[None]:
    """The same timesteps and noise in every step.

    An untrained U-Net hardly looks at its input: losses at other draws differ by more than a few steps can gain.
    """

    def draw(self: DenoisingLoss, latents: torch.Tensor, generator: torch.Generator):
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9))
        return torch.linspace(50, 400, len(latents)).long(), noise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DenoisingLoss, "draw", draw)
        yield


@pytest.fixture(scope="module")
def model_of(tiny_model: LatentDiffusionModel) -> Callable[[str], DiffusionModel]:
    @functools.cache
    def find(family: str) -> DiffusionModel:
        if family == EMBEDDED:
            return tiny_model
        built = pipeline(family)
        return FAMILIES[type(built).__name__](family, built)

    return find


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def case(request: pytest.FixtureRequest, model_of: Callable, photos: list[Photo], quick_search: None) -> Case:
    family, name = request.param
    model, method = model_of(family), dataclasses.replace(EVERY[name], budget=LEVELS / 255)
    photos, progress = photos[:2], []
    weights, pixels = [tensor.clone() for tensor in tensors(model)], [photo.pixels.copy() for photo in photos]
    torch.manual_seed(1)
    first = method(photos, model, PROMPT, seed=3, on_progress=lambda p: progress.append(p.overall))
    torch.manual_seed(2)  # a method must not depend on global state
    again = method(photos, model, PROMPT, seed=3)
    # How a method draws has nothing to do with the family.
    other = method(photos, model, PROMPT, seed=4) if family == EMBEDDED else []
    with fixed_draws():
        fixed = dataclasses.replace(method, budget=FEW_LEVELS / 255)(photos, model, PROMPT)
    return Case(method, model, photos, weights, pixels, first, again, other, fixed, progress)


def tensors(model: DiffusionModel) -> list[torch.Tensor]:
    return [tensor for module in model.modules for tensor in module.state_dict().values()]


def assert_untouched(case: Case) -> None:
    assert all(torch.equal(a, b) for a, b in zip(case.weights, tensors(case.model), strict=True))
    parameters = [p for module in case.model.modules for p in module.parameters()]
    assert not any(p.requires_grad or p.grad is not None for p in parameters)
    assert not any(module.training for module in case.model.modules)


def test_table_is_complete() -> None:
    assert set(TABLE) == set(METHODS)


def test_budget_holds_on_the_saved_file(case: Case, tmp_path: Path) -> None:
    for made, levels in ((case.first, LEVELS), (case.fixed, FEW_LEVELS)):
        for photo, protected in zip(case.photos, made, strict=True):
            saved = read_photo(write_png(tmp_path / "x.png", protected))
            assert saved.size == photo.size and protected.name == photo.name
            assert 0 < largest_difference(photo.pixels, saved.pixels) <= levels


def test_same_seed_same_bytes(case: Case) -> None:
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(case.first, case.again, strict=True))
    if case.other:
        assert any(not np.array_equal(a.pixels, b.pixels) for a, b in zip(case.first, case.other, strict=True))


def test_photos_move_their_loss_in_the_stated_direction(case: Case) -> None:
    """The method's own objective, against the untouched model and at the draws that PGD had.

    SDS follows a gradient that leaves the U-Net out, which says nothing about an untrained U-Net's loss: there what
    counts is the way along that gradient.
    """
    method, model = for_model(case.method, case.model.small), case.model
    if method.direction is None:
        assert method.name == "random"
        return
    clean = [to_tensor(pixels)[None].requires_grad_() for pixels in case.pixels]
    moved = [to_tensor(photo.pixels)[None] for photo in case.fixed]
    uniform = timestep_distribution("uniform", model.schedule.signal_share)
    generator = torch.Generator().manual_seed(9)
    objective = method.objective(Run(model, model.embed(PROMPT), clean, generator, model.network, uniform))
    with fixed_draws():
        before, after = objective(clean, clean, 0), objective(moved, clean, 0)
    change = float((after - before).detach())
    if isinstance(method, SDS):
        gradients = torch.autograd.grad(before, clean)
        change = sum(float(((b - a.detach()) * g).sum()) for a, b, g in zip(clean, moved, gradients, strict=True))
    assert change * {"ascend": 1, "descend": -1}[method.direction] > 0


def test_callers_model_and_photos_stay_as_they_were(case: Case) -> None:
    assert_untouched(case)
    assert all(np.array_equal(a, b.pixels) for a, b in zip(case.pixels, case.photos, strict=True))


def test_it_stops_when_asked_and_leaves_nothing_behind(case: Case) -> None:
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 2:  # in the middle of the work
            raise Stopped("enough")

    with pytest.raises(Stopped):
        case.method(case.photos, case.model, on_progress=stop)
    assert len(seen) == 2 and seen[-1].overall <= 1
    assert_untouched(case)


def test_progress_rises_to_the_end(case: Case) -> None:
    seen = case.progress
    assert seen == sorted(seen) and len(set(seen)) == len(seen) and seen[-1] == 1


@pytest.mark.parametrize("method", [*(EVERY[name] for _, name in REFUSED), Mist(mode="textural")], ids=lambda m: m.name)
def test_an_encoder_attack_on_a_model_of_pixels_is_refused(
    method: ProtectionMethod, model_of: Callable, photos: list[Photo]
) -> None:
    with pytest.raises(
        InvalidInput, match=f"expected a model with an autoencoder.*{method.name}.*got a model of pixels"
    ):
        method(photos, model_of("ddpm"))
