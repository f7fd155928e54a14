"""Photos: read and written without losing what matters.

Everything that leaves is PNG: lossy formats erase the perturbation. What comes in may be anything Pillow reads; it is
turned upright, brought to 8-bit RGB (with its alpha channel kept aside), and the conversions are noted for the user.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from udp.errors import InvalidInput, UnreadablePhoto

SMALLEST_SIDE = 32  # what CIFAR-10 has, the data of the paper
LARGEST_SIDE = 12_000
LARGEST_AREA = 60_000_000
PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")


@dataclass(frozen=True)
class Photo:
    """One picture at its native size.

    `pixels` is uint8 (H, W, 3), upright and in the colour space of `icc_profile` (None means sRGB); `alpha` is uint8
    (H, W) or None and is carried along untouched; `notes` say what was converted on loading, for the user to read.
    """

    name: str
    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def read_photo(path: str | Path) -> Photo:
    """Open one file. Raises `UnreadablePhoto` with what was expected and what was found."""
    path = Path(path)
    if not path.is_file():
        raise UnreadablePhoto(f"expected an image file, got {path.name!r}, which does not exist")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check_size(path.name, *image.size)  # before decoding: a bomb is refused from its header
                image.load()
                return _to_photo(path.stem, image)
    except UnreadablePhoto:
        raise
    except Image.DecompressionBombError:
        raise UnreadablePhoto(_too_large(path.name, "far more")) from None
    except Exception as error:  # decoders raise anything on damaged bytes (libavif a RuntimeError, others IndexError)
        raise UnreadablePhoto(
            f"expected {path.name!r} to be a PNG, JPEG, WebP, TIFF or BMP photo, got a file that cannot be read as one "
            f"({type(error).__name__})"
        ) from error


def _too_large(name: str, found: str) -> str:
    return (
        f"expected {name!r} to have at most {LARGEST_AREA // 1_000_000} megapixels and {LARGEST_SIDE:,} pixels a side, "
        f"got {found}"
    )


def _check_size(name: str, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise UnreadablePhoto(
            f"expected {name!r} to be at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, got {width} x {height}"
        )
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise UnreadablePhoto(_too_large(name, f"{width:,} x {height:,} pixels"))


def _to_photo(name: str, image: Image.Image) -> Photo:
    notes = []
    profile = image.info.get("icc_profile")
    if getattr(image, "n_frames", 1) > 1:
        notes.append("only the first frame is used")
        image.seek(0)
    upright = ImageOps.exif_transpose(image)
    if image.getexif().get(0x0112, 1) != 1:
        notes.append("turned upright by its EXIF orientation")
    image = upright
    if image.mode in ("CMYK", "LAB", "YCbCr"):
        image, profile = _to_srgb(image, profile), None
        notes.append(f"converted from {upright.mode} to sRGB")
    elif image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bit_gray(image)
        notes.append("reduced from 16 or 32 bits to 8 bits a channel")
        profile = None
    elif image.mode in ("L", "LA", "1"):
        profile = None  # a gray profile does not describe the RGB file we write
        notes.append("grayscale, saved as RGB")
    elif image.mode == "P":
        notes.append("palette expanded to full colour")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    rgba = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    alpha = rgba[..., 3].copy() if has_alpha and rgba[..., 3].min() < 255 else None
    return Photo(name, np.ascontiguousarray(rgba[..., :3]), alpha, profile, tuple(notes))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile is no reason to refuse the photo: fall back to Pillow's own formula
    return image.convert("RGB")


def _to_8_bit_gray(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    top = 65535.0 if values.max(initial=0) > 255 or image.mode.startswith("I;16") else 255.0
    if image.mode == "F" and values.max(initial=0) <= 1:
        top = 1.0
    return Image.fromarray(np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8))


def read_photos(paths: Sequence[str | Path], most: int | None = None) -> list[Photo]:
    """Open several files; names are made unique. Raises `InvalidInput` if there are none or more than `most`."""
    if not paths:
        raise InvalidInput("expected at least one photo, got none")
    if most is not None and len(paths) > most:
        raise InvalidInput(f"expected at most {most} photos at once, got {len(paths)}")
    photos: list[Photo] = []
    taken: set[str] = set()
    for path in paths:
        photo = read_photo(path)
        name, number = photo.name, 2
        while name in taken:
            name, number = f"{photo.name}-{number}", number + 1
        taken.add(name)
        photos.append(Photo(name, photo.pixels, photo.alpha, photo.icc_profile, photo.notes))
    return photos


def list_photos(folder: str | Path) -> list[Path]:
    """The image files directly in `folder` (or the one file it names), sorted by name. Raises `InvalidInput`."""
    folder = Path(folder)
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InvalidInput(f"expected a folder of photos or an image file, got {str(folder)!r}, which does not exist")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
    if not found:
        raise InvalidInput(f"expected image files in {str(folder)!r}, got none ({', '.join(PHOTO_SUFFIXES)})")
    return found


def read_masks(folder: str | Path, photos: Sequence[Photo]) -> list[np.ndarray | None]:
    """The masks in `folder` for `photos`, by file name: uint8 (H, W), bright where to protect; None where there is none.

    Raises `InvalidInput` if no file there is named like any photo, `UnreadablePhoto` if one cannot be read.
    """
    files = {path.stem: path for path in list_photos(folder)}
    masks = [read_photo(files[p.name]).pixels.max(2) if p.name in files else None for p in photos]
    if all(mask is None for mask in masks):
        raise InvalidInput(f"expected masks named like the photos ({photos[0].name}.png ...), got {', '.join(files)}")
    return masks


def write_png(path: str | Path, photo: Photo) -> Path:
    """Write a photo, with its alpha channel and colour profile, as a PNG; its pixels come back identical."""
    pixels = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
    options = {"icc_profile": photo.icc_profile} if photo.icc_profile else {}
    Image.fromarray(pixels).save(path, format="PNG", **options)
    return Path(path)
