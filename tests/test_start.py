"""Where PGD starts: at random, or at the square that disturbs the embedded autoencoder on most photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import picture
from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photos
from udp.protection.decoded import DecodedDistance
from udp.protection.methods import EUDP, AdvDM
from udp.protection.pgd import PGD
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
    assert start[..., height // 2 :, :].abs().mean() > BUDGET / 2
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
    for photo, start in zip(photos, begun, strict=True):
        signs = start.sign().unique().numel()
        assert signs <= 3 and start.abs().max() <= BUDGET and start.abs().mean() > BUDGET / 2
        assert start.shape[-2:] == photo.pixels.shape[:2]


def test_a_model_of_pixels_has_no_such_start() -> None:
    photo = Photo("a", np.asarray(picture(0, 32, 32)))
    with pytest.raises(InvalidInput, match="expected start=random for a model of pixels"):
        AdvDM(pgd_steps=1, start="universal")([photo], load_model("mini-pixel"))
