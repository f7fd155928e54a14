"""Masks, the perceptual budget, and what comes in as JPEG and goes out as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import picture
from udp.cli import main
from udp.errors import BudgetExceeded, InvalidInput
from udp.models.latent import LatentDiffusionModel
from udp.photos import Photo, read_photo, write_png
from udp.protection.base import ProtectionMethod
from udp.protection.budget import check_budget
from udp.protection.methods import AdvDM, RandomNoise
from udp.protection.perception import COLOR_SHARES, LEAST, perceptual_share, texture_map


def half_textured() -> np.ndarray:
    image = np.full((96, 128, 3), 120, np.uint8)
    image[:, 64:] = np.random.default_rng(0).integers(60, 180, (96, 64, 1))
    return image


def left_half(photo: Photo) -> np.ndarray:
    mask = np.zeros(photo.pixels.shape[:2], np.uint8)
    mask[:, : mask.shape[1] // 2] = 255
    return mask


@pytest.mark.parametrize("size", [(96, 96), (500, 120)], ids=["square", "shrunk for the work"])
def test_a_mask_protects_its_region_and_nothing_else(size: tuple[int, int], tiny_model: LatentDiffusionModel) -> None:
    photos = [Photo("a", picture(0, *size)), Photo("b", picture(1))]
    for method in (AdvDM(pgd_steps=3), RandomNoise()):
        first, second = method(photos, tiny_model, masks=[left_half(photos[0]), None])
        changed = (first.pixels != photos[0].pixels).any(2)
        assert changed[:, : size[0] // 2].any() and not changed[:, size[0] // 2 :].any()
        assert (second.pixels != photos[1].pixels)[:, 60:].any()


@pytest.mark.parametrize(
    ("mask", "words"),
    [(np.zeros((96, 96), np.uint8), "to mark a region"), (np.ones((10, 20), np.uint8), "96 x 96.*got uint8 and 10 x 20"),
     (np.ones((96, 96)), "got float64")],
)  # fmt: skip
def test_bad_masks_are_refused(mask: np.ndarray, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        RandomNoise()([Photo("a", picture(0))], None, masks=[mask])
    with pytest.raises(InvalidInput, match="for each of 1 photos, got 2"):
        RandomNoise()([Photo("a", picture(0))], None, masks=[None, None])


def test_texture_gets_the_budget_and_flat_areas_little() -> None:
    share = texture_map(half_textured())
    assert share.shape == (96, 128) and share.min() >= LEAST and share.max() <= 1
    assert share[:, :56].max() == pytest.approx(LEAST, abs=0.01), "also beside the edge"
    assert share[:, 76:].min() > 0.95


def test_perceptual_mode_keeps_to_its_map_on_the_saved_file(tiny_model: LatentDiffusionModel, tmp_path: Path) -> None:
    photo = Photo("half", half_textured())
    for method in (AdvDM(pgd_steps=4, perceptual="texture"), RandomNoise(perceptual="texture")):
        (protected,) = method([photo], tiny_model)
        saved = read_photo(write_png(tmp_path / "x.png", protected))
        moved = np.abs(saved.pixels.astype(int) - photo.pixels)
        assert moved[:, :56].max() == 3 and moved[:, 80:].max() == 8  # 0.4 * 8 = 3.2 levels, rounded down


@pytest.mark.parametrize("method", [AdvDM(pgd_steps=4, perceptual="color"), RandomNoise(perceptual="color")])
def test_the_eye_sees_green_best_so_green_keeps_the_least(
    method: ProtectionMethod, tiny_model: LatentDiffusionModel, tmp_path: Path
) -> None:
    photo = Photo("half", half_textured())
    (protected,) = method([photo], tiny_model)
    moved = np.abs(read_photo(write_png(tmp_path / "x.png", protected)).pixels.astype(int) - photo.pixels)
    assert moved.max((0, 1)).tolist() == [8, 3, 8]


def test_color_and_texture_together_keep_to_both() -> None:
    share = perceptual_share(half_textured(), "color+texture")
    assert np.allclose(share, texture_map(half_textured())[..., None] * np.array(COLOR_SHARES))
    photo = Photo("half", half_textured())
    assert RandomNoise(perceptual="color+texture", budget=2 / 255).budget_map(photo).min() * 255 == pytest.approx(1)


def test_the_check_looks_at_every_pixels_own_budget() -> None:
    original, changed = np.full((4, 4, 3), 100, np.uint8), np.full((4, 4, 3), 104, np.uint8)
    budget = np.full((4, 4, 1), 8 / 255)
    check_budget(original, changed, budget)
    budget[0, 0] = 3 / 255
    with pytest.raises(BudgetExceeded, match="1 more than its place allows"):
        check_budget(original, changed, budget)


def test_jpeg_in_png_out(tiny_model: LatentDiffusionModel, tmp_path: Path) -> None:
    """The photo that was decoded is the reference, and the result is lossless whatever came in."""
    Image.fromarray(picture(0)).save(tmp_path / "photo.jpg", quality=80)
    photo = read_photo(tmp_path / "photo.jpg")
    (protected,) = AdvDM(pgd_steps=2, budget=4 / 255)([photo], tiny_model)
    path = write_png(tmp_path / f"{protected.name}.png", protected)
    assert Image.open(path).format == "PNG"
    assert np.array_equal(read_photo(path).pixels, protected.pixels)
    assert 0 < np.abs(protected.pixels.astype(int) - photo.pixels).max() <= 4


def test_masks_from_the_command_line(tiny_model_folder: Path, photo_files: list[Path], tmp_path: Path, capsys) -> None:
    source, masks, out = photo_files[0].parent, tmp_path / "masks", tmp_path / "out"
    masks.mkdir()
    Image.fromarray(left_half(read_photo(photo_files[0]))).save(masks / f"{photo_files[0].stem}.png")
    command = ["protect", str(source), "--out", str(out), "--model", str(tiny_model_folder), "--mask", str(masks)]
    command += ["--method", "photoguard", "--pgd-steps", "2", "--perceptual", "texture"]
    assert main(command) == 0
    for folder in (out, out / "controls" / "random"):
        for index, path in enumerate(photo_files):
            changed = (read_photo(folder / path.name).pixels != read_photo(path).pixels).any(2)
            assert changed[:, :48].any() and changed[:, 48:].any() == (index > 0)
    (masks / f"{photo_files[0].stem}.png").rename(masks / "other.png")
    assert main(command) == 2 and "named like the photos" in capsys.readouterr().err
