"""Photos: read and written without losing what matters, and without losing one without a word.

Everything that leaves is PNG: lossy formats erase the perturbation. What comes in may be anything Pillow reads, and HEIC;
it is turned upright, brought to 8-bit RGB (with its alpha channel kept aside), and the conversions are noted for the user.
"""

from __future__ import annotations

import hashlib
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from udp.captions import caption_of, captions_beside, repeated_folders
from udp.decoding import (
    APPLE_DOUBLE,
    RAW_SUFFIXES,
    is_finished,
    is_picture,
    open_picture,
    suffixes,
    to_rgb,
    what_is_wrong,
)
from udp.errors import InvalidInput, UnreadablePhoto
from udp.files import replacing, shown, typed_path
from udp.language import ENGLISH, Text, text

SMALLEST_SIDE = 32  # what CIFAR-10 has, the data of the paper
LARGEST_SIDE = 12_000
LARGEST_AREA = 60_000_000
LONGEST_NAME = 240  # bytes
QUICKLY_WRITTEN = 2_000_000  # pixels, above which time counts for more than the last twentieth of a file
# What we and the systems write beside photos; nobody misses it in a set of photos.
QUIET = frozenset(
    {
        "manifest.json",
        "unfinished.json",
        "key.txt",
        "report.json",
        "report.html",
        "losses.csv",
        "catalogue.json",
        "failures.json",
        "metadata.jsonl",
        "thumbs.db",
        "desktop.ini",
    }
)
MOST_NAMED = 5


@dataclass(frozen=True)
class Photo:
    """One picture at its native size.

    `pixels` is uint8 (H, W, 3), upright and in the colour space of `icc_profile` (None means sRGB); `alpha` is uint8
    (H, W) or None and is carried along untouched; `notes` say what was converted on loading, for the user to read.
    `file` is the name of the file that it was read from, and `caption` what lies beside it says that it shows, or nothing.
    """

    name: str
    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    notes: tuple[Text, ...] = ()
    file: str = ""
    caption: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True)
class PhotoSet:
    """What could be read, and a sentence for each file that could not."""

    photos: list[Photo]
    skipped: tuple[Text | str, ...] = ()


def shown_name(path: Path) -> str:
    """A file's name as text that can be written anywhere, see `shown`."""
    return shown(path.name)


def read_photo(path: str | Path) -> Photo:
    """Open one file. Raises `UnreadablePhoto` with what was expected and what was found."""
    path = Path(path)
    name = shown_name(path)
    if not path.is_file():
        raise UnreadablePhoto(text("unreadable.folder" if path.is_dir() else "unreadable.absent", name=name))
    if path.suffix.lower() in RAW_SUFFIXES and not is_finished(path):
        raise UnreadablePhoto(text("unreadable.raw", name=name))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of metadata and size: both are looked at here
            image = open_picture(path, lambda width, height: _check_size(name, width, height))
            return Photo(Path(name).stem, *to_rgb(image), name, caption_of(path))
    except UnreadablePhoto:
        raise
    except Image.DecompressionBombError:
        raise UnreadablePhoto(_too_large(name, text("unreadable.far_more"))) from None
    except Exception as error:  # decoders raise anything on damaged bytes (libavif a RuntimeError, others IndexError)
        raise UnreadablePhoto(text("unreadable.content", name=name, reason=what_is_wrong(path, error))) from error


def _too_large(name: str, found: Text) -> Text:
    return text("unreadable.large", name=name, megapixels=LARGEST_AREA // 1_000_000, side=LARGEST_SIDE, found=found)


def _check_size(name: str, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise UnreadablePhoto(text("unreadable.small", name=name, side=SMALLEST_SIDE, width=width, height=height))
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise UnreadablePhoto(_too_large(name, text("unreadable.pixels", width=width, height=height)))


def read_set(paths: Sequence[str | Path], most: int | None = None) -> PhotoSet:
    """Open several files, leaving out those that cannot be read; names are made unique.

    Raises `InvalidInput` if there are none or more than `most`, `UnreadablePhoto` if not one can be read.
    """
    if not paths:
        raise InvalidInput("expected at least one photo, got none")
    if most is not None and len(paths) > most:
        raise InvalidInput(f"expected at most {most} photos at once, got {len(paths)}")
    photos: list[Photo] = []
    errors: list[UnreadablePhoto] = []
    for path in paths:
        try:
            photos.append(read_photo(path))
        except UnreadablePhoto as error:
            errors.append(error)
    if not photos:
        raise none_readable(errors)
    return PhotoSet(with_own_names(photos), tuple(error.said for error in errors))


def read_photos(paths: Sequence[str | Path], most: int | None = None) -> list[Photo]:
    """Open several files, all of them; names are made unique.

    Raises `InvalidInput` if there are none or more than `most`, `UnreadablePhoto` that names every file that cannot be
    read.
    """
    found = read_set(paths, most)
    if found.skipped:
        raise UnreadablePhoto(together([ENGLISH.say(reason) for reason in found.skipped]))
    return found.photos


def none_readable(errors: Sequence[UnreadablePhoto]) -> UnreadablePhoto:
    """What to raise where not one of several files can be read."""
    if len(errors) == 1:
        return errors[0]
    found = UnreadablePhoto(together(errors))
    found.__cause__ = errors[0]
    return found


def together(reasons: Sequence[object]) -> str:
    """Some of the sentences as one, and how many more there are."""
    more = f"; and {len(reasons) - MOST_NAMED} more" if len(reasons) > MOST_NAMED else ""
    return "; ".join(str(reason) for reason in reasons[:MOST_NAMED]) + more


def with_own_names(photos: Iterable[Photo]) -> list[Photo]:
    """The same photos under names that no two share, on systems where `A` and `a` are one name too."""
    photos = list(photos)
    names = own_names(fitting_name(photo.name) for photo in photos)
    return [
        photo if name == photo.name else replace(photo, name=name) for photo, name in zip(photos, names, strict=True)
    ]


def fitting_name(name: str) -> str:
    """A file's name, shortened if with our endings (`.png.part`) it would be longer than the 255 bytes that systems take."""
    written = name.encode("utf-8", "surrogatepass")
    if len(written) <= LONGEST_NAME:
        return name
    return f"{written[: LONGEST_NAME - 9].decode('utf-8', 'ignore')}-{hashlib.sha256(written).hexdigest()[:8]}"


def own_names(names: Iterable[str]) -> list[str]:
    """The same names, made different by a number where two are one on some system."""
    taken: set[str] = set()
    found = []
    for wanted in names:
        name, number = wanted, 2
        while same_name(name) in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(same_name(name))
        found.append(name)
    return found


def same_name(name: str) -> str:
    """What two names have in common if a file system may take them for one."""
    return unicodedata.normalize("NFC", name).casefold()


def look_into(folder: str | Path) -> tuple[list[Path], tuple[Text, ...]]:
    """The image files directly in `folder` (or the one file it names), by name, and a sentence for each other file.

    A file is an image by its first bytes, or if it is called like one, so that a damaged photo is not overlooked. Hidden
    files, captions and what we write ourselves are passed over without a word. Of a folder that holds kohya's repeated ones
    alone ("10_sks person"), the images in those. Raises `InvalidInput` if there is none.
    """
    folder = typed_path(folder)
    try:
        is_file, is_folder, found_any = folder.is_file(), folder.is_dir(), folder.exists()
    except OSError:  # too long a name
        is_file = is_folder = found_any = False
    if is_file:
        return [folder], ()
    if not is_folder:
        what = "which is neither" if found_any else "which does not exist"
        raise InvalidInput(f"expected a folder of photos or an image file, got {str(folder)[:200]!r}, {what}")
    found, others, below = _sorted_out(folder)
    for place in () if found else repeated_folders(folder):
        inside = _sorted_out(place)
        found, others = [*found, *inside[0]], [*others, *inside[1]]
    captions = captions_beside(found)
    others = [text("unreadable.other", name=shown_name(path)) for path in others if path.name not in captions]
    if not found:
        inside = f"got subfolders alone ({together(below)}): give one of them" if below else "got none"
        raise InvalidInput(
            f"expected image files in {str(folder)!r}, {inside if not others else 'got other files alone'}"
        )
    return found, tuple(others)


def _sorted_out(folder: Path) -> tuple[list[Path], list[Path], list[str]]:
    """The images directly in `folder`, the files that are neither those nor ours, and what its folders are called."""
    found, others, below = [], [], []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            below.append(shown_name(path))
        elif called_or_is_picture(path):
            found.append(path)
        elif not path.name.startswith(".") and path.name.lower() not in QUIET:
            others.append(path)
    return found, others, below


def called_or_is_picture(path: Path) -> bool:
    if path.exists() and not path.is_file():
        return False  # a pipe, which would be waited for without end
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        head = b""
    if path.name.startswith("."):
        return is_picture(head)
    named = path.suffix.lower() in suffixes() | RAW_SUFFIXES
    return is_picture(head) or (named and not head.startswith(APPLE_DOUBLE))


def list_photos(folder: str | Path) -> list[Path]:
    """The image files directly in `folder` (or the one file it names), sorted by name. Raises `InvalidInput`."""
    return look_into(folder)[0]


def gather(places: str | Path | Sequence[str | Path]) -> PhotoSet:
    """Everything that can be read in folders and files, and a sentence for everything that cannot.

    Raises `InvalidInput` for a place that does not exist or has no photo.
    """
    paths, others = look_into_all(places)
    read = read_set(paths)
    return PhotoSet(read.photos, (*read.skipped, *others))


def look_into_all(places: str | Path | Sequence[str | Path]) -> tuple[list[Path], list[Text]]:
    """`look_into` for several folders and files. Raises `InvalidInput` for one that does not exist or has no photo."""
    paths: list[Path] = []
    others: list[Text] = []
    for place in [places] if isinstance(places, (str, Path)) else places:
        found, beside = look_into(place)
        paths += found
        others += beside
    return paths, others


def flattened(photo: Photo) -> Photo:
    """The photo as it is seen on a white page, without transparency; what is hidden below none of it is gone."""
    if photo.alpha is None:
        return photo
    share = photo.alpha[..., None].astype(np.float32) / 255
    pixels = np.rint(photo.pixels * share + 255 * (1 - share)).astype(np.uint8)
    return replace(photo, pixels=pixels, alpha=None)


def write_png(path: str | Path, photo: Photo) -> Path:
    """Write a photo, with its alpha channel and colour profile, as a PNG; its pixels come back identical.

    The file is absent, old or complete whenever the process is killed or the disk is full.
    """
    pixels = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
    return write_picture(
        path, Image.fromarray(pixels), **({"icc_profile": photo.icc_profile} if photo.icc_profile else {})
    )


def write_picture(path: str | Path, image: Image.Image, **options: Any) -> Path:
    """Write an image as a PNG that is absent, old or complete, as `write_png` does; `options` are Pillow's.

    Nothing compresses noise well: of a photo of 12 megapixels the usual level takes three times as long and a twentieth off.
    """
    path = Path(path)
    quick = {"compress_level": 3} if image.width * image.height > QUICKLY_WRITTEN else {}
    with replacing(path) as part:
        image.save(part, format="PNG", **quick | options)
    return path
