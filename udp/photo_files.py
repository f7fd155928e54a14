"""Photos as files: looked at once, one after the other, and read when their turn comes. What a folder holds may be more than memory does."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from udp.captions import caption_of
from udp.errors import InvalidInput, UnreadablePhoto
from udp.files import typed_path
from udp.language import ENGLISH, Text, text
from udp.photos import (
    Photo,
    fitting_name,
    look_into,
    look_into_all,
    none_readable,
    own_names,
    read_photo,
    same_name,
    shown_name,
    together,
)

Captioned = TypeVar("Captioned", Photo, "PhotoFile")


class Named(Protocol):
    """What has a photo's name and the name of its file."""

    @property
    def name(self) -> str:
        """See `Photo`."""

    @property
    def file(self) -> str:
        """See `Photo`."""


@dataclass(frozen=True)
class PhotoFile:
    """A photo that can be read: its name among the others of its set, size in pixels, the SHA-256 of its file, its caption."""

    path: Path
    name: str
    size: tuple[int, int]
    sha256: str
    caption: str = ""

    @property
    def file(self) -> str:
        """See `Photo.file`."""
        return shown_name(self.path)

    def read(self) -> Photo:
        """The photo. Raises `UnreadablePhoto` if its file is gone, or another than when it was looked at."""
        if not self.path.is_file() or file_digest(self.path) != self.sha256:
            raise UnreadablePhoto(text("unreadable.changed", name=self.file))
        return replace(read_photo(self.path), name=self.name, caption=self.caption)


@dataclass(frozen=True)
class PhotoFiles:
    """The files that can be read, and a sentence for each that cannot."""

    files: tuple[PhotoFile, ...]
    skipped: tuple[Text | str, ...] = ()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def survey(places: str | Path | Sequence[str | Path]) -> PhotoFiles:
    """What `udp.photos.gather` reads, read once and let go of: a bad file is found before hours of work, not after.

    Raises `InvalidInput` for a place that does not exist or has no photo, `UnreadablePhoto` if not one can be read.
    """
    return survey_files(*look_into_all(places))


def survey_files(paths: Sequence[Path], others: Sequence[Text | str] = ()) -> PhotoFiles:
    """`survey` of these files; `others` are sentences on files that are known to be no photos. Raises `UnreadablePhoto`."""
    found: list[PhotoFile] = []
    errors: list[UnreadablePhoto] = []
    for path in paths:
        try:
            photo = read_photo(path)
            found.append(PhotoFile(path, photo.name, photo.size, file_digest(path), photo.caption))
        except UnreadablePhoto as error:
            errors.append(error)
    if not found:
        raise none_readable(errors)
    names = own_names(fitting_name(file.name) for file in found)
    files = tuple(replace(file, name=name) for file, name in zip(found, names, strict=True))
    return PhotoFiles(files, (*(error.said for error in errors), *others))


def with_captions(photos: Sequence[Captioned], place: str | Path | None) -> list[Captioned]:
    """The same with the captions that lie in the folder `place` and are called like them; without any for "off".

    None leaves them as they are. Raises `InvalidInput` if `place` is no folder, or has no caption for any of them.
    """
    if place is None:
        return list(photos)
    if str(place) == "off":
        return [replace(photo, caption="") for photo in photos]
    folder = typed_path(place)
    if not folder.is_dir():
        raise InvalidInput(f"expected a folder of captions, or off, got {str(place)!r}")
    found = [replace(photo, caption=caption_of(folder / f"{photo.name}.png")) for photo in photos]
    if not any(photo.caption for photo in found):
        raise InvalidInput(
            f"expected captions called like the photos in {str(place)!r}, such as {photos[0].name}.txt, got none"
        )
    return found


def find_masks(
    folder: str | Path, photos: Sequence[Named], say: Callable[[str], None] = warnings.warn
) -> list[Path | None]:
    """The files in `folder` that are masks for `photos`, by name; None where there is none.

    Case does not matter; `photo.jpg.png` is a mask of `photo.jpg` alone. `say` hears of photos without a mask and of masks
    without a photo. Raises `InvalidInput` if no file there is named like any photo, or `folder` is no path.
    """
    if not isinstance(folder, str | Path):
        raise InvalidInput(f"expected the folder of the masks, a string or a Path, got {type(folder).__name__}")
    paths, others = look_into(folder)
    files: dict[str, Path] = {}
    for path in paths:
        other = files.setdefault(same_name(Path(shown_name(path)).stem), path)
        if other != path:
            raise InvalidInput(
                f"expected one mask for a photo, got {shown_name(other)} and {shown_name(path)}: take one of them away"
            )
    for reason in others:
        say(f"no mask: {ENGLISH.say(reason)}")
    keys = [next((k for k in map(same_name, (p.file, p.name, Path(p.file).stem)) if k in files), None) for p in photos]
    if not any(keys):
        names = ", ".join(shown_name(path) for path in files.values())
        raise InvalidInput(f"expected masks named like the photos ({photos[0].name}.png ...), got {names}")
    if without := [photo.name for photo, key in zip(photos, keys, strict=True) if key is None]:
        say(f"no mask for {together(without)}: all of {'it' if len(without) == 1 else 'them'} is protected")
    if unused := [shown_name(path) for key, path in files.items() if key not in keys]:
        say(f"no photo for the mask{'s' * (len(unused) > 1)} {together(unused)}: not used")
    return [None if key is None else files[key] for key in keys]


def read_masks(
    folder: str | Path, photos: Sequence[Photo], say: Callable[[str], None] = warnings.warn
) -> list[np.ndarray | None]:
    """The masks of `find_masks`, read. Raises what it does, and `UnreadablePhoto`."""
    return [None if path is None else read_mask(path) for path in find_masks(folder, photos, say)]


def read_mask(path: Path) -> np.ndarray:
    """uint8 (H, W), bright where to protect; what is transparent in a mask is not painted. Raises `UnreadablePhoto`."""
    mask = read_photo(path)
    bright = mask.pixels.max(2)
    return bright if mask.alpha is None else np.minimum(bright, mask.alpha)
