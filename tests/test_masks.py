"""Masks as people paint them: found by name, read by what is seen, and never left out without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udp import protect_folder
from udp.cli import main
from udp.errors import InvalidInput
from udp.photo_files import read_masks
from udp.photos import Photo, read_photo


def painted(path: Path, mode: str) -> None:
    """A mask of the left half: white on black, or white on transparency."""
    mask = np.zeros((96, 96, 4), np.uint8)
    mask[..., :3] = 255 if mode == "RGBA" else 0
    mask[:, :48] = 255
    if mode != "RGBA":
        mask[..., 3] = 255
    Image.fromarray(mask).convert(mode).save(path)


@pytest.mark.parametrize("mode", ["RGBA", "L", "1", "P"])
@pytest.mark.parametrize("name", ["view_0.png", "VIEW_0.PNG", "view_0.tif", "view_0.png.png"])
def test_masks_mark_what_is_painted_and_seen(
    mode: str,
    name: str,
    tmp_path: Path,
    photos: list[Photo],
    photo_files: list[Path],
    tiny_model_folder: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    painted(tmp_path / name, mode)
    heard: list[str] = []
    masks = read_masks(tmp_path, photos, heard.append)
    assert [mask is None for mask in masks] == [False, True, True]
    assert (masks[0][:, :48] >= 128).all() and not (masks[0][:, 48:] >= 128).any()
    assert heard == ["no mask for view_1; view_2: all of them is protected"]
    if mode == "RGBA":
        source, out = photo_files[0].parent, tmp_path / "out"
        line = ["protect", source, "--mask", tmp_path, "--out", out, "--model", tiny_model_folder, "--method", "random"]
        assert main([*map(str, line)]) == 0
        assert "warning: no mask for view_1; view_2" in capsys.readouterr().err
        changed = (read_photo(out / "view_0.png").pixels != photos[0].pixels).any(2)
        assert changed[:, :48].any() and not changed[:, 48:].any()


def test_a_mask_of_no_photo_is_named(tmp_path: Path, photos: list[Photo]) -> None:
    for name in ("view_0.png", "wiew_1.png"):
        painted(tmp_path / name, "L")
    with pytest.warns(UserWarning) as caught:
        read_masks(tmp_path, photos)
    assert "no photo for the mask wiew_1.png: not used" in [str(one.message) for one in caught]


def test_two_masks_for_one_photo_are_refused(tmp_path: Path, photos: list[Photo]) -> None:
    """One of them would be left out without a word, and which one would be chance."""
    for name in ("view_0.png", "View_0.tif"):
        painted(tmp_path / name, "L")
    with pytest.raises(InvalidInput, match=r"one mask for a photo, got View_0\.tif and view_0\.png"):
        read_masks(tmp_path, photos)


def test_a_mask_that_is_no_picture_is_named(tmp_path: Path, photos: list[Photo]) -> None:
    painted(tmp_path / "view_0.png", "L")
    (tmp_path / "view_1.xcf").write_bytes(b"gimp xcf file")
    heard: list[str] = []
    read_masks(tmp_path, photos, heard.append)
    assert "no mask: 'view_1.xcf' is no image file" in heard


@pytest.mark.parametrize("given", [5, True, []])
def test_masks_that_are_no_folder_are_refused(given: object, tmp_path: Path, photo_files: list[Path]) -> None:
    with pytest.raises(InvalidInput, match="expected the folder of the masks, a string or a Path, got "):
        protect_folder(photo_files[0].parent, tmp_path / "out", "mini", "random", masks=given)
