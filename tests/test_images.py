"""Reading and writing: every kind of input is handled or refused with a clear message; pixels survive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.conftest import picture
from udp.errors import InvalidInput, UnreadablePhoto
from udp.language import ENGLISH, text
from udp.photos import Photo, list_photos, read_photo, read_photos, write_png
from udp.protection.visibility import visibility
from udp.tensors import fit_square, resize, to_pixels, to_tensor


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
@settings(max_examples=50, deadline=None)
def test_tensor_round_trip_is_exact(pixels: np.ndarray) -> None:
    assert np.array_equal(to_pixels(to_tensor(pixels)), pixels)


def test_png_round_trip_keeps_pixels_alpha_and_profile(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    alpha = np.tile(np.arange(96, dtype=np.uint8), (96, 1))
    written = Photo("x", picture(0), alpha, profile)
    read = read_photo(write_png(tmp_path / "x.png", written))
    assert np.array_equal(read.pixels, written.pixels)
    assert np.array_equal(read.alpha, alpha)
    assert read.icc_profile == profile


@pytest.mark.parametrize(
    ("mode", "note"),
    [("CMYK", "CMYK"), ("P", "palette"), ("L", "grayscale"), ("RGBA", ""), ("1", "grayscale"), ("I;16", "16")],
)
def test_every_mode_becomes_8_bit_rgb(tmp_path: Path, mode: str, note: str) -> None:
    source = Image.fromarray(picture(0))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(source.convert("L")).astype(np.uint16) * 257)
    else:
        image = source.convert(mode)
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image.save(path)
    photo = read_photo(path)
    assert photo.pixels.shape == (96, 96, 3) and photo.pixels.dtype == np.uint8
    assert note in " ".join(map(ENGLISH.say, photo.notes))
    if mode in ("L", "I;16"):
        expected = np.asarray(source.convert("L")).astype(int)
        assert np.abs(photo.pixels[..., 0].astype(int) - expected).max() <= 1


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(picture(0, width=128, height=96))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    image.save(tmp_path / "x.jpg", exif=exif, quality=95)
    photo = read_photo(tmp_path / "x.jpg")
    assert photo.size == (96, 128)
    assert photo.notes == (text("note.upright"),)


def test_transparent_palette_keeps_its_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(picture(0)).convert("P")
    image.save(tmp_path / "x.png", transparency=int(np.asarray(image)[0, 0]))
    photo = read_photo(tmp_path / "x.png")
    assert photo.alpha is not None and photo.alpha[0, 0] == 0


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n broken"])
def test_unreadable_files_are_named_in_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "holiday.png"
    path.write_bytes(content)
    with pytest.raises(UnreadablePhoto, match=r"expected 'holiday.png'.*got"):
        read_photo(path)


def test_truncated_photo_is_refused(tmp_path: Path) -> None:
    Image.fromarray(picture(0, 256, 256)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:800])
    with pytest.raises(UnreadablePhoto, match="expected"):
        read_photo(tmp_path / "cut.png")


@pytest.mark.parametrize(
    ("size", "words"),
    [((1, 1), "at least 32"), ((31, 80), "at least 32"), ((20_000, 80), "12,000"), ((11_000, 9_000), "60")],
)
def test_sizes_outside_the_limits_are_refused(tmp_path: Path, size: tuple[int, int], words: str) -> None:
    Image.new("L", size).save(tmp_path / "x.png")
    with pytest.raises(UnreadablePhoto, match=words):
        read_photo(tmp_path / "x.png")


def test_a_picture_as_small_as_cifar10s_is_a_photo(tmp_path: Path) -> None:
    Image.fromarray(picture(0, 32, 32)).save(tmp_path / "x.png")
    photo = read_photo(tmp_path / "x.png")
    noisy = replace(photo, pixels=photo.pixels ^ 1)
    assert photo.size == (32, 32) and visibility(photo, noisy)["largest_difference_levels"] == 1


def test_no_files_and_too_many_files(photo_files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="at least one photo, got none"):
        read_photos([])
    with pytest.raises(InvalidInput, match="at most 16 photos at once, got 40"):
        read_photos([photo_files[0]] * 40, most=16)
    with pytest.raises(InvalidInput, match="got none"):
        list_photos(tmp_path)
    with pytest.raises(InvalidInput, match="does not exist"):
        list_photos(tmp_path / "missing")


def test_names_are_made_unique(photo_files: list[Path]) -> None:
    assert [p.name for p in read_photos([photo_files[0]] * 3)] == ["view_0", "view_0-2", "view_0-3"]


def test_fit_square_matches_a_trainers_resize_and_crop() -> None:
    pixels = picture(0, width=192, height=128)
    ours = fit_square(to_tensor(pixels)[None], 64)[0]
    theirs = np.asarray(Image.fromarray(pixels).resize((96, 64), Image.Resampling.BILINEAR))[:, 16:80]
    assert np.abs(to_pixels(ours).astype(int) - theirs.astype(int)).max() <= 1


def test_resize_keeps_a_perturbation_inside_its_bound() -> None:
    signs = torch.randint(0, 2, (1, 3, 50, 70), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    for size in ((20, 31), (128, 200)):
        assert resize(signs, *size).abs().max() <= 1 + 1e-6
