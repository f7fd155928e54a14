"""Where PGD starts: at random, or at the square that disturbs the embedded autoencoder on most photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recipe import universal
from tests.conftest import picture
from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photos
from udp.protection.decoded import DecodedDistance
from udp.protection.methods import EUDP, METHODS, AdvDM
from udp.protection.pgd import PGD
from udp.protection.pgd_method import PGDMethod
from udp.protection.start import laid, square, universal_start
from udp.tensors import fit_square, resize, to_tensor

BUDGET = 8 / 255
EXAMPLES = Path(__file__).parents[1] / "examples"


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_square_is_repeated_without_seams_and_moved() -> None:
    tile = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    assert torch.equal(laid(tile, (6, 8), (0, 0)), tile.repeat(1, 2, 2))
    assert torch.equal(laid(tile, (3, 4), (1, 3)), tile.roll((1, 3), (1, 2)))
    assert laid(tile, (7, 5), (2, 2)).shape == (2, 7, 5)


@pytest.mark.parametrize("height, width", [(128, 128), (512, 512), (300, 200), (90, 640), (64, 40)])
def test_it_covers_a_photo_of_any_size_within_its_limit(height: int, width: int) -> None:
    image, limit = torch.rand(1, 3, height, width), torch.full((1, 1, height, width), BUDGET)
    limit[..., : height // 2, :] = 0  # a mask
    start = universal_start(image, limit, 128, drawn(0))
    assert start.shape == image.shape and start.dtype == image.dtype
    assert start[..., : height // 2, :].abs().max() == 0 and start.abs().max() <= BUDGET
    assert start[..., height // 2 :, :].abs().mean() > 0.8 * BUDGET  # at random it would be half
    assert torch.equal(start, universal_start(image, limit, 128, drawn(0)))
    assert not torch.equal(start, universal_start(image, limit, 128, drawn(1)))


def test_the_model_sees_the_square_whatever_the_size_of_the_photo() -> None:
    seen = []
    for side in (128, 512):
        start = universal_start(torch.rand(1, 3, side, side), torch.tensor(BUDGET), 128, drawn(3))
        seen.append(resize(start, 128, 128).flatten())
    assert float(torch.corrcoef(torch.stack(seen))[0, 1]) > 0.9
    # Not what a float or an edit left of it: the file holds eight bits and uses nearly all of the budget.
    assert square().shape[0] == 3 and square().abs().mean() > 0.7


def test_the_recipe_learns_a_square_that_does_more_than_its_start() -> None:
    images = np.stack([picture(seed, 128, 128) for seed in range(3)])
    few, more = (universal.learn(images, steps, 2, seed=0) for steps in (1, 8))
    assert few.shape == more.shape == (3, universal.PERIOD, universal.PERIOD) and more.abs().max() <= 1
    assert torch.equal(more, universal.learn(images, 8, 2, seed=0)) and not more.requires_grad
    model, clean = load_model("mini"), torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    distance = DecodedDistance(model)
    with torch.no_grad():
        far = [
            float(distance(model.encode((clean + BUDGET * laid(tile, (128, 128), (5, 9))).clamp(0, 1)), clean))
            for tile in (few, more)
        ]
    assert far[1] > 1.05 * far[0]


@torch.no_grad()
def test_on_photos_it_never_saw_it_disturbs_the_embedded_autoencoder_as_no_noise_does() -> None:
    model = load_model("mini")
    distance = DecodedDistance(model)
    photos = [fit_square(to_tensor(p.pixels)[None], 128) for p in read_photos(list_photos(EXAMPLES / "subject"))[:3]]

    def mean(added: list[torch.Tensor]) -> float:
        far = [distance(model.encode((a + b).clamp(0, 1)), a) for a, b in zip(photos, added, strict=True)]
        return float(torch.stack(far).mean())

    signs = [BUDGET * torch.randn(p.shape, generator=drawn(i)).sign() for i, p in enumerate(photos)]
    squares = [universal_start(p, torch.tensor(BUDGET), 128, drawn(i)) for i, p in enumerate(photos)]
    clean = mean([torch.zeros_like(p) for p in photos])
    assert mean(squares) - clean > 3 * (mean(signs) - clean) > 0


@pytest.mark.parametrize("method", [EUDP(rounds=1, pgd_steps=1, surrogate_steps=1), AdvDM(pgd_steps=1)])
def test_pgd_begins_there(
    method: EUDP | AdvDM, tiny_model: DiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[torch.Tensor] = []
    own = PGD.__init__

    def begin(self: PGD, images: object, perturbations: list[torch.Tensor], *more: object) -> None:
        begun.extend(perturbations)
        own(self, images, perturbations, *more)

    monkeypatch.setattr(PGD, "__init__", begin)
    method = replace(method, start="universal", reach="off")
    made = method(photos, tiny_model)
    assert len(made) == len(photos) == len(begun)
    random = drawn(0)  # the seed that a call has unless told otherwise
    for photo, start in zip(photos, begun, strict=True):
        image = to_tensor(photo.pixels)[None]
        assert torch.equal(start, universal_start(image, torch.tensor(BUDGET), tiny_model.resolution, random))


def test_who_published_without_a_random_start_begins_at_the_photos() -> None:
    starts = {name: kind().start for name, kind in METHODS.items() if issubclass(kind, PGDMethod)}
    assert {name for name, start in starts.items() if start == "zero"} == {"fsmg", "aspl", "simac", "sds"}
    assert set(starts.values()) == {"zero", "random"}


def test_a_model_of_pixels_has_no_such_start() -> None:
    photo = Photo("a", np.asarray(picture(0, 32, 32)))
    with pytest.raises(InvalidInput, match="expected start=random or zero for a model of pixels"):
        AdvDM(pgd_steps=1, start="universal")([photo], load_model("mini-pixel"))
