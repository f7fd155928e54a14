"""Files of every format that Pillow writes, mangled: read, or refused with our own error; never a half-written result.

`tests/corpus` holds what broke us or others once: `good-*` has to be read, `bad-*` to be refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import from_pillow

from tests.conftest import picture
from udp.api import as_photos
from udp.cli.common import read_places
from udp.decoding import is_picture, suffixes
from udp.errors import UDPError
from udp.photos import Photo, gather, read_photo, read_photos, write_png
from udp.protection.folder import Protection
from udp.protection.methods import RandomNoise
from udp.ui.state.results import save_protection, take_photos, take_readable

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "F", "LAB", "YCbCr")


def contents() -> dict[str, bytes]:
    """A small picture in every format, and in every mode that the format takes."""
    Image.init()
    found: dict[str, bytes] = {}
    image = Image.fromarray(picture(0, 40, 33))
    for mode in MODES:
        try:
            source = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
        except ValueError:
            continue
        for kind in sorted(Image.SAVE):
            buffer = io.BytesIO()
            try:
                source.save(buffer, kind)
            except Exception:  # not a mode of this format
                continue
            found[f"{kind}-{mode}"] = buffer.getvalue()
    buffer = io.BytesIO()
    from_pillow(image).save(buffer, quality=70)
    found["HEIF-RGB"] = buffer.getvalue()
    return found


CONTENTS = contents()
DOORS: dict[str, Callable[[Path], list[Photo]]] = {
    "a file": lambda path: [read_photo(path)],
    "files": lambda path: read_photos([path]),
    "a folder": lambda path: gather(path.parent).photos,
    "Python": lambda path: as_photos([path]),
    "command line": lambda path: read_places([path.parent]).photos,
    "app and API, attack": lambda path: take_photos([path]),
    "app and API, protect": lambda path: take_readable([path]).photos,
}


def tried(path: Path) -> list[Photo]:
    """What comes in by every door, the same by all of them; [] if it is refused by all."""
    found: list[list[Photo]] = []
    # In a folder, a rare format under a name of nothing is not looked for: too much that is no photo looks like one.
    looked_for = path.suffix in suffixes() or is_picture(path.read_bytes()[:32])
    for name, door in DOORS.items():
        if name in ("a folder", "command line") and not looked_for:
            continue
        try:
            found.append(door(path))
        except UDPError as error:
            assert "expected" in str(error)
            found.append([])
    for photos in found:
        assert len(photos) == len(found[0])
        for a, b in zip(photos, found[0], strict=True):
            assert np.array_equal(a.pixels, b.pixels) and a.pixels.dtype == np.uint8 and a.pixels.shape[2] == 3
            assert a.alpha is None or a.alpha.shape == a.pixels.shape[:2]
    return found[0]


def protected_and_read_back(photos: list[Photo], folder: Path) -> None:
    """Protect, write, read back: the budget holds in the file, and all of the file is there."""
    method = RandomNoise()
    after = method(photos, None)
    manifest = Protection(photos, after, method, "mini", "a photo", 0, after).write(folder)
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8")) == manifest
    for before, written in zip(photos, after, strict=True):
        read = read_photo(folder / f"{written.name}.png")
        assert np.array_equal(read.pixels, written.pixels)
        assert np.abs(read.pixels.astype(int) - before.pixels).max() <= 8
        assert read.alpha is None if before.alpha is None else np.array_equal(read.alpha, before.alpha)
    assert not [path for path in folder.rglob("*") if path.suffix == ".part"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_is_read_or_refused_by_every_door(path: Path, tmp_path: Path) -> None:
    place = tmp_path / "photos" / path.name
    place.parent.mkdir()
    place.write_bytes(path.read_bytes())
    photos = tried(place)
    assert bool(photos) == path.name.startswith("good-")
    if photos:
        protected_and_read_back(photos, tmp_path / "out")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(CONTENTS)),
    suffix=st.sampled_from([".png", ".jpg", ".heic", ".txt", ""]),
    data=st.data(),
)
def test_mangled_files_are_read_or_refused_by_every_door(
    name: str, suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(CONTENTS[name])
    kind = data.draw(st.sampled_from(["whole", "cut", "flipped", "doubled", "shuffled"]))
    if kind == "cut":
        content = content[: data.draw(st.integers(0, len(content)))]
    elif kind == "flipped":
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=12)):
            content[at] = data.draw(st.integers(0, 255))
    elif kind == "doubled":
        content = content + content
    elif kind == "shuffled":
        at = data.draw(st.integers(0, len(content)))
        content = content[at:] + content[:at]
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "in" / f"photo{suffix}"
    path.parent.mkdir()
    path.write_bytes(content)
    if photos := tried(path):
        protected_and_read_back(photos, folder / "out")


def test_the_app_saves_whatever_it_takes(tmp_path: Path) -> None:
    places = []
    for name, content in CONTENTS.items():
        places.append(tmp_path / f"{name}.bin")
        places[-1].write_bytes(content)
    found = [photo for place in places for photo in tried_alone(place)]
    assert len(found) > 40
    folder = tmp_path / "run"
    folder.mkdir()
    photos = [Photo(f"p{index}", p.pixels, p.alpha, p.icc_profile, p.notes, p.file) for index, p in enumerate(found)]
    made = Protection(photos, RandomNoise()(photos, None), RandomNoise(), "mini", "x", 0)
    saved = save_protection(made, folder)
    assert len(saved.photos) == len(found)


def tried_alone(path: Path) -> list[Photo]:
    try:
        return take_readable([path]).photos
    except UDPError:
        return []


def test_nothing_half_written_takes_a_files_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_png(tmp_path / "x.png", Photo("x", picture(0)))
    before = path.read_bytes()

    def full(self: Image.Image, place: object, **_: object) -> None:
        Path(str(place)).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_png(path, Photo("x", picture(1)))
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.png"]
