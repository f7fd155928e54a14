"""Cleanings: known answers, determinism, and no change to model or photos."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from tests.conftest import picture
from udp.errors import InvalidInput, Stopped
from udp.imitation.cleaning import CLEANINGS, Chain, parse_cleaning
from udp.imitation.cleaning.base import Cleaning
from udp.imitation.cleaning.filters import JPEG, Crop, GaussianBlur, GaussianNoise, Median, Resize
from udp.imitation.cleaning.purify import CODING_UNITS, DecoderProjection, in_squares, purify, starts
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photos
from udp.progress import Progress, Stage
from udp.protection.decoded import DecodedDistance
from udp.protection.start import laid, square
from udp.tensors import to_pixels, to_tensor

each = pytest.mark.parametrize("cleaning", CLEANINGS.values(), ids=CLEANINGS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@each
def test_same_generator_same_bytes_and_nothing_else_changes(
    cleaning: Cleaning, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    photos = photos[:1] if cleaning.needs_model else photos
    before = [photo.pixels.copy() for photo in photos]
    weights = [p.detach().clone() for p in tiny_model.network.parameters()]
    torch.manual_seed(1)
    first = cleaning(photos, tiny_model, generator(3))
    torch.manual_seed(2)
    second = cleaning(photos, tiny_model, generator(3))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a, b.pixels) for a, b in zip(before, photos, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(weights, tiny_model.network.parameters(), strict=True))
    assert [p.name for p in first] == [p.name for p in photos] and all(p.pixels.dtype == np.uint8 for p in first)
    changed = any(not np.array_equal(a, b.pixels) for a, b in zip(before, first, strict=True))
    assert changed == (cleaning.name != "none")
    if cleaning.name != "crop":
        assert all(a.size == b.size for a, b in zip(first, photos, strict=True))


@each
def test_it_describes_itself(cleaning: Cleaning) -> None:
    assert CLEANINGS[cleaning.name] is cleaning and "+" not in cleaning.name
    assert cleaning.title and cleaning.reference
    assert dataclasses.replace(cleaning) == cleaning


def test_those_with_a_model_refuse_to_run_without() -> None:
    needing = {name for name, cleaning in CLEANINGS.items() if cleaning.needs_model}
    assert needing == {"vae", "invert", "upscale", "gridpure"}
    for name in needing:
        with pytest.raises(InvalidInput, match="expected a model"):
            CLEANINGS[name]([Photo("a", picture(0))])


def noisy_flat() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.clip(128 + random.normal(0, 8, (96, 96, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["jpeg50", "half", "blur", "median", "bilateral", "guided"])
def test_what_smooths_removes_noise_of_a_protection_s_size(name: str) -> None:
    after = CLEANINGS[name]([Photo("a", noisy_flat())])[0].pixels.astype(float)
    assert after.std() < 0.75 * noisy_flat().astype(float).std() and abs(after.mean() - 128) < 1


def test_bilateral_and_guided_keep_an_edge_that_a_blur_smears() -> None:
    edge = np.zeros((96, 96, 3), np.uint8)
    edge[:, 48:] = 255
    kept = {n: int(CLEANINGS[n]([Photo("a", edge)])[0].pixels[48, 47, 0]) for n in ("bilateral", "guided", "blur")}
    assert kept["bilateral"] < 5 and kept["guided"] < 40 < kept["blur"]


def test_lower_jpeg_quality_changes_more() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    errors = [np.abs(JPEG(q)([Photo("a", pixels)])[0].pixels.astype(int) - pixels).mean() for q in (95, 75, 50)]
    assert errors == sorted(errors) and errors[0] > 0


def test_gaussian_blur_and_median_agree_with_scipy() -> None:
    pixels = picture(1)
    blurred = GaussianBlur(1.5)([Photo("a", pixels)])[0].pixels
    theirs = ndimage.gaussian_filter(pixels.astype(float), (1.5, 1.5, 0), mode="mirror", truncate=10 / 3)
    assert np.abs(blurred.astype(float) - theirs).max() < 1.5
    median = Median(3)([Photo("a", pixels)])[0].pixels
    assert np.array_equal(median[1:-1, 1:-1], ndimage.median_filter(pixels, (3, 3, 1))[1:-1, 1:-1])


def test_noise_has_the_stated_size() -> None:
    flat = np.full((128, 128, 3), 128, np.uint8)
    noisy = GaussianNoise(10 / 255)([Photo("a", flat)], None, generator())[0].pixels.astype(float)
    assert noisy.std() == pytest.approx(10, rel=0.02) and noisy.mean() == pytest.approx(128, abs=0.3)


def test_crop_cuts_a_margin_and_flat_pictures_stay_flat_under_resizing() -> None:
    pixels = picture(0, 100, 80)
    cropped = Crop(0.1)([Photo("a", pixels, alpha=np.zeros((80, 100), np.uint8))])[0]
    assert np.array_equal(cropped.pixels, pixels[8:72, 10:90]) and cropped.alpha is None
    flat = np.full((64, 70, 3), 77, np.uint8)
    assert np.array_equal(Resize(0.5)([Photo("a", flat)])[0].pixels, flat)


def test_squares_cover_everything_and_average_to_the_same_picture() -> None:
    assert starts(64, 64) == [0] and starts(100, 64) == [0, 32, 36] and starts(128, 64) == [0, 32, 64]
    image = torch.rand(1, 3, 100, 130, generator=generator())
    assert torch.allclose(in_squares(image, 64, lambda squares, _: squares, lambda share: None), image, atol=1e-6)


def test_purification_from_a_low_timestep_is_nearly_the_autoencoder(tiny_model: LatentDiffusionModel) -> None:
    squares = torch.stack([to_tensor(picture(i, 64, 64)) for i in range(2)])
    plain = tiny_model.decode(tiny_model.encode(squares))
    near, far = (purify(tiny_model, squares, start, 4, generator()) for start in (4, 600))
    assert near.shape == squares.shape
    assert (near - plain).abs().mean() < (far - plain).abs().mean()


def test_the_nearest_decoded_picture_is_nearer_with_more_steps_and_than_the_round_trip() -> None:
    model, photo = load_model("mini"), [Photo("a", picture(0, 160, 128))]

    def error(cleaning: Cleaning) -> float:
        return float(np.square(cleaning(photo, model)[0].pixels.astype(float) - photo[0].pixels).mean())

    few, many, trip = error(DecoderProjection(2)), error(DecoderProjection(30)), error(CLEANINGS["vae"])
    assert many < 0.75 * few and many < 0.75 * trip


def test_the_nearest_decoded_picture_sheds_what_leads_the_encoder_astray() -> None:
    model = load_model("mini")
    photo = read_photos(list_photos(Path("examples/subject"))[:1])[0]
    clean = model.prepare([to_tensor(photo.pixels)[None]])
    led = (clean + 8 / 255 * laid(square(), clean.shape[-2:], (0, 0))).clamp(0, 1)

    def astray(pixels: np.ndarray) -> float:
        with torch.no_grad():
            seen = model.encode(model.prepare([to_tensor(pixels)[None]]))
            return float(DecodedDistance(model)(seen, clean))

    found = [Photo("a", to_pixels(led[0]))]
    before, after = astray(found[0].pixels), astray(DecoderProjection(30)(found, model)[0].pixels)
    assert after < 0.75 * before
    assert astray(CLEANINGS["vae"](found, model)[0].pixels) > after


def test_a_chain_is_its_parts_in_order() -> None:
    chain = parse_cleaning("jpeg75+crop")
    assert isinstance(chain, Chain) and chain.name == "jpeg75+crop" and not chain.needs_model
    photo = [Photo("a", picture(2))]
    assert np.array_equal(chain(photo)[0].pixels, CLEANINGS["crop"](CLEANINGS["jpeg75"](photo))[0].pixels)
    assert parse_cleaning("half") is CLEANINGS["half"] and parse_cleaning("vae+half").needs_model


def test_unknown_names_and_bad_strengths_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"jpeg75.*got 'jpg'"):
        parse_cleaning("half+jpg")
    with pytest.raises(InvalidInput, match="quality between 1 and 100"):
        JPEG(0)([Photo("a", picture(0))])


def test_progress_counts_photos(photos: list[Photo]) -> None:
    seen: list[Progress] = []
    CLEANINGS["half"](photos, None, None, seen.append)
    assert [p.done for p in seen] == [1, 2, 3] and seen[-1].overall == 1


@pytest.mark.parametrize("name", ["vae", "invert", "upscale", "gridpure", "half+invert+vae"])
def test_what_takes_seconds_tells_how_far_a_photo_is_and_stops_within_it(
    name: str, tiny_model: LatentDiffusionModel
) -> None:
    photos = [Photo(str(index), picture(index, 160, 64)) for index in range(2)]
    seen: list[Progress] = []
    parse_cleaning(name)(photos, tiny_model, None, seen.append)
    shares = [p.overall for p in seen]
    assert shares == sorted(shares) and shares[-1] == 1
    assert name in ("vae", "upscale") or len([share for share in shares if 0 < share < 0.5]) > 1
    assert {(p.stage, p.total) for p in seen} == {(Stage.CLEANING, 2)} and seen[-1].done == 2

    def stop(progress: Progress) -> None:
        raise Stopped("as asked")

    with pytest.raises(Stopped, match="as asked"):
        parse_cleaning(name)(photos, tiny_model, None, stop)


def test_the_cost_goes_by_the_squares_and_steps_of_a_photo() -> None:
    square, long = (512, 512), (768, 512)
    assert len(starts(768 // 4, 128)) == 2 and DecoderProjection().units([long]) == 2 * DecoderProjection().units(
        [square]
    )
    fewer, more = (DecoderProjection(steps=steps).units([square]) for steps in (100, 200))
    assert more == pytest.approx(2 * fewer, rel=0.02)
    assert CLEANINGS["vae"].units([square]) == 9 * CODING_UNITS and CLEANINGS["vae"].units([long]) == 15 * CODING_UNITS
    assert CLEANINGS["gridpure"].units([square, long]) == 3 * 24 * CODING_UNITS
    both = sum(CLEANINGS[name].units([square]) for name in ("vae", "invert"))
    assert parse_cleaning("half+vae+invert").units([square]) == both
    assert CLEANINGS["jpeg75"].units([square]) == 0
    assert DecoderProjection().units([(512, 514)]) == DecoderProjection().units([square]), "not a square more in 128 px"


def test_a_chain_tells_its_progress_by_what_its_parts_take(tiny_model: LatentDiffusionModel) -> None:
    seen: list[Progress] = []
    parse_cleaning("half+invert+jpeg75")([Photo("a", picture(0, 64, 64))], tiny_model, None, seen.append)
    shares = [p.overall for p in seen]
    assert shares[0] < 0.1 and shares == sorted(shares) and max(share for share in shares if share < 1) > 0.9


def test_whole_photos_are_filtered_one_at_a_time_and_squares_are_not() -> None:
    """Arms are cleaned at once; a filter holds many copies of a photo."""
    at_work, most = [], {}

    @dataclasses.dataclass(frozen=True)
    class Slow(Cleaning):
        name, title, reference = "slow", "Slow", "none"
        whole: bool = True

        @property
        def whole_photos(self) -> bool:
            return self.whole

        def run(self, pixels, model, generator, on_share):
            at_work.append(1)
            most[self.whole] = max(most.get(self.whole, 0), len(at_work))
            time.sleep(0.2)
            at_work.pop()
            return pixels

    for whole in (True, False):
        threads = [threading.Thread(target=Slow(whole), args=([Photo("a", picture(0))],)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == {True: 1, False: 3}
    assert {name for name, cleaning in CLEANINGS.items() if not cleaning.whole_photos} == {
        "vae", "invert", "upscale", "gridpure",
    }  # fmt: skip


def test_framing_is_the_cut_of_a_cleaning_and_nothing_else(photos: list[Photo]) -> None:
    cut = CLEANINGS["crop"](photos)
    for name in ("crop", "jpeg50+crop", "crop+half+gridpure"):
        framed = parse_cleaning(name).framed(photos)
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(framed, cut, strict=True)), name
    twice = parse_cleaning("crop+crop").framed(photos)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(twice, CLEANINGS["crop"](cut), strict=True))
    for name in ("none", "half", "jpeg50+blur"):
        assert parse_cleaning(name).framed(photos) == list(photos) and not parse_cleaning(name).reframes


def test_what_hides_under_transparency_is_not_framed() -> None:
    alpha = np.zeros((96, 96), np.uint8)
    (framed,) = CLEANINGS["crop"].framed([Photo("a", picture(0), alpha=alpha)])
    assert (framed.pixels == 255).all()


@each
def test_every_cleaning_that_changes_the_size_reframes(
    cleaning: Cleaning, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    (photo,) = cleaning(photos[:1], tiny_model)
    assert cleaning.reframes == (photo.size != photos[0].size)
