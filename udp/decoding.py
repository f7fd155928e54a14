"""From the bytes of a file to upright 8-bit RGB: what a file is, and what has to be forgiven in good ones.

Cameras, phones and editors write metadata that is broken, huge or against the standard around pictures that are fine. A
picture is refused for its pixels alone; what is wrong beside them is left out, and noted.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from udp.language import Text, text

# Formats of Pillow's that are no photos of ours: PostScript would be run by another program, and the others are stubs,
# films or drawings. All that remain are tried whatever the file's name says.
NO_PHOTOS = frozenset({"BUFR", "EPS", "FLI", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
# Raw files are TIFFs by their first bytes, and what Pillow finds in them is a thumbnail.
RAW_SUFFIXES = frozenset(
    [
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".dng",
        ".erf",
        ".iiq",
        ".kdc",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".raw",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    ]
)
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"qoif",
         b"8BPS")  # fmt: skip
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
APPLE_DOUBLE = b"\x00\x05\x16\x07"  # the second file that a Mac writes beside a photo on a foreign disk, `._IMG_1.jpg`
LFS_POINTER = b"version https://git-lfs"
# Pillow, and with it most trainers, refuses a PNG whose profile unpacks to more than a mebibyte.
LARGEST_PROFILE = 1_000_000
MOST_PROFILE = 16_000_000  # beyond that a profile is an attack
PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})


@functools.cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the formats that count as photos, HEIC among them."""
    from pillow_heif import register_heif_opener  # here, because registering changes Pillow for the whole process

    Image.init()
    register_heif_opener()
    return tuple(name for name in Image.ID if name not in NO_PHOTOS)


@functools.cache
def suffixes() -> frozenset[str]:
    """What the names of photos end in, lower case with the dot."""
    known = set(formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known) | {".mpo"}


def is_picture(head: bytes) -> bool:
    """Whether a file that begins with these bytes (32 are enough) is a picture, whatever it is called."""
    if head.startswith(MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    if head[:2] == b"BM" and len(head) >= 18:
        return struct.unpack("<I", head[14:18])[0] in (12, 40, 52, 56, 64, 108, 124)
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def is_finished(path: Path) -> bool:
    """Whether a file that is called a camera's raw file is a picture of another kind all the same."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        return False
    return is_picture(head) and not head.startswith((b"II*\0", b"MM\0*"))


def open_picture(path: Path, check: Callable[[int, int], None]) -> Image.Image:
    """The decoded picture. `check` gets width and height before anything is unpacked, and may raise.

    A PNG that Pillow refuses is tried once more without what does not belong to its pixels. Raises whatever decoders do.
    """
    try:
        return _open(path, check)
    except (ValueError, SyntaxError, OSError, struct.error):
        with path.open("rb") as file:
            if file.read(8) != MAGIC[0]:
                raise
        content, profile = pixels_alone(path.read_bytes())
        image = _open(io.BytesIO(content), check)
        if profile:
            image.info["icc_profile"] = profile
        image.info["left_out"] = True
        return image


def _open(source: Path | io.BytesIO, check: Callable[[int, int], None]) -> Image.Image:
    with Image.open(source, formats=formats()) as image:
        check(*image.size)
        if getattr(image, "n_frames", 1) > 1:
            image.seek(0)
            image.info["frames"] = image.n_frames
        image.load()
        image.getexif()  # while the file is open: some formats read it late
        return image


def pixels_alone(png: bytes) -> tuple[bytes, bytes | None]:
    """A PNG without the chunks that say nothing of its pixels, and the colour profile that was among them."""
    kept, profile = [png[:8]], None
    for kind, data in _chunks(png):
        if kind in PIXEL_CHUNKS:
            kept.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
        elif kind == b"iCCP" and (at := data.find(b"\0")) >= 0:
            try:
                profile = zlib.decompressobj().decompress(data[at + 2 :], MOST_PROFILE)
            except zlib.error:
                profile = None
    return b"".join(kept), profile


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Types and contents. A pixel chunk with a wrong checksum ends them: its pixels are not what was saved."""
    at = 8
    while at + 12 <= len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data, end = png[at + 8 : at + 8 + length], at + 12 + length
        if len(data) < length or end > len(png):
            return
        if kind in PIXEL_CHUNKS and zlib.crc32(kind + data) != struct.unpack(">I", png[end - 4 : end])[0]:
            return
        yield kind, data
        at = end


def to_rgb(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None, bytes | None, tuple[Text, ...]]:
    """Upright pixels uint8 (H, W, 3), alpha uint8 (H, W) or None, the colour profile or None, and what was converted."""
    notes: list[Text] = []
    profile = image.info.get("icc_profile") or None
    if image.info.get("left_out"):
        notes.append(text("note.metadata"))
    if image.info.get("frames"):
        notes.append(text("note.frames"))
    image, said = _upright(image)
    notes += said
    mode = image.mode
    if mode in ("CMYK", "LAB", "YCbCr"):
        image, profile = _to_srgb(image, profile), None
        notes.append(text("note.srgb", mode=mode))
    elif mode.startswith("I") or mode == "F":
        image = _to_8_bit_gray(image)
        notes.append(text("note.bits"))
        profile = None
    elif mode in ("L", "LA", "1"):
        profile = None  # a gray profile does not describe the RGB file we write
        notes.append(text("note.gray"))
    elif mode == "P":
        notes.append(text("note.palette"))
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    picture = image.convert("RGBA" if has_alpha else "RGB")
    rgba = np.asarray(picture)
    alpha = rgba[..., 3].copy() if has_alpha and rgba[..., 3].min() < 255 else None
    if profile and len(profile) > LARGEST_PROFILE:
        rgba, profile = np.asarray(_to_srgb(picture.convert("RGB"), profile)), None
        notes.append(text("note.profile"))
    return np.ascontiguousarray(rgba[..., :3]), alpha, profile, tuple(notes)


def _upright(image: Image.Image) -> tuple[Image.Image, list[Text]]:
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # EXIF is parsed by hand, and garbage in it raises anything
        return image, [text("note.exif")]
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation if isinstance(orientation, int) else 1)  # fmt: skip
    if turn is None:
        return image, []
    return image.transpose(turn), [text("note.upright")]


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    sources: list[Any] = [io.BytesIO(profile)] if profile else []
    if image.mode == "LAB":
        sources.append(ImageCms.createProfile("LAB"))
    for source in sources:
        try:
            start = ImageCms.ImageCmsProfile(source)
            converted = ImageCms.profileToProfile(image, start, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            continue  # a broken profile is no reason to refuse the photo: fall back to Pillow's own formula
        if converted is not None:
            return converted
    return image.convert("RGB")


def _to_8_bit_gray(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0, neginf=0)
    top = 65535.0 if values.max(initial=0) > 255 or image.mode.startswith("I;16") else 255.0
    if image.mode == "F" and values.max(initial=0) <= 1:
        top = 1.0
    return Image.fromarray(np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8))


def what_is_wrong(path: Path, error: BaseException) -> Text | str:
    """Why a file cannot be read, and what to do about it where that is known."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as reason:
        return f"{reason.strerror or type(reason).__name__}"
    if not head.strip(b"\0"):
        return text("unreadable.zeros") if head else text("unreadable.empty")
    if head.startswith(LFS_POINTER):
        return text("unreadable.pointer")
    if head.startswith(APPLE_DOUBLE):
        return text("unreadable.notes")
    if is_picture(head) or "truncated" in str(error).lower():
        return text("unreadable.damaged", error=type(error).__name__)
    if head.lstrip().startswith((b"<", b"{")):
        return text("unreadable.text")
    return text("unreadable.unknown", error=type(error).__name__)
