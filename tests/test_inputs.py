"""Files as cameras, phones, Macs and other people leave them: read, or left out with a word, through every door."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image, ImageCms
from pillow_heif import from_pillow

from tests.conftest import picture
from udp import attack, protect, protect_folder
from udp.cli import build_parser, main
from udp.errors import InvalidInput, UnreadablePhoto
from udp.imitation.cleaning import CLEANINGS
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo, flattened, gather, read_photo, read_photos, write_png
from udp.protection.folder import Protection
from udp.protection.methods import EUDP, METHODS, RandomNoise
from udp.ui.state.context import Context
from udp.ui.state.owner import Owner
from udp.ui.state.results import save_protection, take_photos, take_readable
from udp.ui.state.sessions import Sessions
from udp.ui.state.work import run_here
from udp.ui.tabs.protect import ProtectTab

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + b"\0" * 60


def encoded(kind: str, seed: int = 0, **options: object) -> bytes:
    buffer, image = io.BytesIO(), Image.fromarray(picture(seed))
    if kind == "HEIF":
        from_pillow(image).save(buffer, quality=90)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def cut(seed: int = 9) -> bytes:
    content = encoded("JPEG", seed, quality=95)
    return content[: len(content) // 2]


def chunk(name: bytes, data: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def with_chunk(*extra: bytes) -> bytes:
    """A good PNG with more chunks after its head."""
    png = encoded("PNG")
    return png[:33] + b"".join(extra) + png[33:]


def profile(size: int = 0) -> bytes:
    """An sRGB profile, of any size: the tags that it lists come first, and readers ignore the rest."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if size <= len(plain):
        return plain
    filler = np.random.default_rng(0).integers(0, 256, size - len(plain), dtype=np.uint8).tobytes()
    return struct.pack(">I", size) + plain[4:] + filler


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos that can be read among what lies beside photos."""
    place = tmp_path / "camera"
    (place / "older").mkdir(parents=True)
    (place / "IMG_1.heic").write_bytes(encoded("HEIF", 1))
    (place / "IMG_2.jfif").write_bytes(encoded("JPEG", 2))
    (place / "IMG_3.JPE").write_bytes(encoded("JPEG", 3))
    (place / "IMG_4").write_bytes(encoded("WEBP", 4, lossless=True))
    (place / "._IMG_1.heic").write_bytes(APPLE_DOUBLE)
    (place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (place / "IMG_5.jpg").write_bytes(cut())
    (place / "notes.txt").write_text("summer")
    return place


def names_of(output: Path) -> list[str]:
    return sorted(path.name for path in output.glob("*.png"))


def protects(*arguments: object) -> int:
    return main(["protect", *map(str, arguments), "--method", "random"])


def test_the_command_line_names_what_it_leaves_out_and_protects_the_rest(
    folder: Path, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert protects(folder, "--out", tmp_path / "out", "--model", tiny_model_folder) == 0
    said = capsys.readouterr().err
    assert names_of(tmp_path / "out") == ["IMG_1.png", "IMG_2.png", "IMG_3.png", "IMG_4.png"]
    assert "'IMG_5.jpg'" in said and "cut short or damaged" in said and "'notes.txt' is no image file" in said
    assert "._IMG_1" not in said and "DS_Store" not in said and "2 of 6 files" in said
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["left_out"]) == 2 and "IMG_5.jpg" in manifest["left_out"][0]


def test_a_shells_list_of_files_is_as_good_as_a_folder(
    folder: Path, tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.startswith("IMG"))
    assert protects(*files, "--out", tmp_path / "out", "--model", tiny_model_folder) == 0
    assert len(names_of(tmp_path / "out")) == 4 and "IMG_5.jpg" in capsys.readouterr().err
    with_two = protects(folder, files[0], "--out", tmp_path / "two", "--model", tiny_model_folder)
    assert with_two == 0 and "IMG_1-2.png" in names_of(tmp_path / "two")


def test_evaluate_takes_a_list_of_files_too() -> None:
    options = build_parser().parse_args(["evaluate", "camera/a.png", "camera/b.png", "--out", "out"])
    assert [path.name for path in options.photos] == ["a.png", "b.png"]


@pytest.mark.parametrize("kind", ["subfolders", "texts", "empty", "damaged"])
def test_a_folder_without_a_photo_says_what_is_there(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture, kind: str
) -> None:
    place = tmp_path / "photos"
    place.mkdir()
    if kind == "subfolders":
        (place / "day 1").mkdir()
        (place / "day 2.jpg").mkdir()
    elif kind == "texts":
        (place / "a.txt").write_text("a")
    elif kind == "damaged":
        (place / "a.jpg").write_bytes(cut())
        (place / "b.png").write_bytes(b"")
    words = {
        "subfolders": "subfolders alone (day 1; day 2.jpg): give one of them",
        "texts": "got other files alone",
        "empty": "got none",
        "damaged": "it is empty",
    }
    assert protects(place, "--out", tmp_path / "out", "--model", tiny_model_folder) == 2
    assert words[kind] in capsys.readouterr().err and not (tmp_path / "out").exists()
    with pytest.raises(InvalidInput, match="expected"):
        protect(place, method="random")


def test_python_warns_about_a_folder_and_refuses_a_named_file(folder: Path, tiny_model: DiffusionModel) -> None:
    with pytest.warns(UserWarning, match="IMG_5"):
        assert len(protect(folder, tiny_model, method="random")) == 4
    with pytest.raises(
        UnreadablePhoto, match=r"'IMG_5.jpg'.*'notes.txt'"
    ):  # results pair up with the caller's own list
        protect([folder / "IMG_1.heic", folder / "IMG_5.jpg", folder / "notes.txt"], tiny_model, method="random")


def test_two_files_of_one_name_stay_two(tmp_path: Path, tiny_model: DiffusionModel) -> None:
    for place, name in (("x", "1.png"), ("y", "1.png"), ("z", "1.PNG"), ("w", "É.png"), ("v", "É.png")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / name).write_bytes(encoded("PNG", len(place)))
    found = protect(sorted(tmp_path.glob("*/*")), tiny_model, method="random")
    assert sorted(photo.name for photo in found) == sorted({photo.name for photo in found}) and len(found) == 5
    again = protect([found[0], found[0]], tiny_model, method="random")
    assert again[0].name != again[1].name


def test_the_app_names_what_it_leaves_out(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    with gr.Blocks():
        tab = ProtectTab(Context(Sessions(tmp_path / "app"), Owner(), run_here))
    session = tab.context.sessions.get("visitor")
    files = [str(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name.startswith("IMG")]
    values = [component.value for component in tab.methods.components]
    work, save = tab._prepare(session, files, "mini", "a photo", 0, *values)
    assert len(work.photos) == 4 and len(said) == 1 and "IMG_5.jpg" in said[0]
    noisy = RandomNoise()(work.photos, None)
    saved = save(Protection(work.photos, noisy, RandomNoise(), "mini", "a photo", 0, left_out=work.left_out))
    shown = str(tab.finished(session, saved)[1][tab.figures])
    assert "Left out" in shown and "未处理" in shown and "IMG_5.jpg" in shown
    assert "it is cut short or damaged" in shown and "文件不完整或已损坏" in shown
    with zipfile.ZipFile(saved.archive) as bundle:
        assert "IMG_5.jpg" in json.loads(bundle.read("manifest.json"))["left_out"][0]


@pytest.mark.parametrize("name", ["photo.jpg", "photo.heic", "photo", "photo.txt", "photo.raw"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "HEIF", "MPO"])
def test_a_file_is_what_its_bytes_say(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    (tmp_path / "other.png").write_bytes(encoded("PNG", 1))
    assert [p.file for p in gather(tmp_path).photos] == sorted([name, "other.png"])
    assert take_photos([tmp_path / name])[0].size == (96, 96)


def test_a_raw_files_thumbnail_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.DNG").write_bytes(encoded("TIFF"))
    with pytest.raises(UnreadablePhoto, match="raw file: export it"):
        read_photo(tmp_path / "IMG_1.DNG")


def test_a_name_that_is_not_utf_8_can_be_written_down(tmp_path: Path, tiny_model_folder: Path) -> None:
    place = os.path.join(os.fsencode(tmp_path), b"photos")
    os.mkdir(place)
    for name in (b"caf\xe9.png", b"caf\xea.png"):
        with open(os.path.join(place, name), "wb") as file:
            file.write(encoded("PNG"))
    assert protects(tmp_path / "photos", "--out", tmp_path / "out", "--model", tiny_model_folder) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert [row["file"] for row in manifest["photos"]] == ["caf\ufffd.png", "caf\ufffd-2.png"]


GOOD = {
    "garbage-exif": lambda: with_chunk(chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff garbage")),
    "exif-of-nothing": lambda: with_chunk(chunk(b"eXIf", b"\x01\x02\x03")),
    "wrong-checksum-of-a-text": lambda: with_chunk(chunk(b"tEXt", b"Comment\0hello", crc=1)),
    "wrong-checksum-of-a-gamma": lambda: with_chunk(chunk(b"gAMA", b"\0\0\xb1\x8f", crc=1)),
    "colours-cut-short": lambda: with_chunk(chunk(b"cHRM", b"12"), chunk(b"sRGB", b"")),
    "huge-text": lambda: with_chunk(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000))),
    "huge-profile": lambda: with_chunk(chunk(b"iCCP", b"p\0\0" + zlib.compress(profile(1_300_000)))),
    "odd-profile": lambda: with_chunk(chunk(b"iCCP", b"p\0\7" + b"x" * 20)),
    "jpeg-garbage-exif": lambda: encoded("JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffgarbage"),
    "jpeg-huge-profile": lambda: encoded("JPEG", icc_profile=profile(1_300_000)),
    "jpeg-garbage-profile": lambda: encoded("JPEG", icc_profile=b"not a profile"),
    "jpeg-and-more": lambda: encoded("JPEG") + b"\0" * 5000 + b"a film follows",
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_picture_with_bad_metadata_is_taken_protected_and_read_back(
    kind: str, tmp_path: Path, tiny_model_folder: Path
) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "photo.png"
    path.write_bytes(GOOD[kind]())
    clean = read_photo(path)
    assert np.abs(clean.pixels.astype(int) - picture(0)).mean() < 4
    assert protects(path, "--out", tmp_path / "out", "--model", tiny_model_folder) == 0
    after = read_photo(tmp_path / "out" / "photo.png")
    Image.open(tmp_path / "out" / "photo.png").load()  # by Pillow alone, as a trainer does
    assert 0 < np.abs(after.pixels.astype(int) - clean.pixels).max() <= 8
    assert len(take_photos([path])) == len(protect(tmp_path / "in", str(tiny_model_folder), "random")) == 1


def test_a_png_whose_pixels_are_damaged_stays_refused(tmp_path: Path) -> None:
    content = with_chunk(chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff garbage"), chunk(b"tEXt", b"a\0b", crc=1))
    (tmp_path / "x.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadablePhoto, match="damaged"):
        read_photo(tmp_path / "x.png")


def test_lab_without_a_profile_is_read(tmp_path: Path) -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(picture(0)), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    lab.save(tmp_path / "x.tif")
    assert np.abs(read_photo(tmp_path / "x.tif").pixels.astype(int) - picture(0)).mean() < 4


def test_one_photo_that_is_too_large_does_not_end_its_folder(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "in").mkdir()
    Image.new("1", (12_000, 9_000)).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(encoded("PNG"))
    assert protects(tmp_path / "in", "--out", tmp_path / "out", "--model", tiny_model_folder) == 0
    assert names_of(tmp_path / "out") == ["b.png"] and "at most 60 megapixels" in capsys.readouterr().err


def test_our_own_largest_png_may_be_uploaded() -> None:
    from udp.photos import LARGEST_AREA
    from udp.ui.page import MOST_BYTES

    assert int(MOST_BYTES.removesuffix("mb")) * 1_000_000 > 4 * LARGEST_AREA * 1.001


def test_nothing_waits_for_a_pipe(tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "a.png", Photo("a", picture(0)))
    for name in ("pipe", "pipe.jpg"):
        os.mkfifo(tmp_path / "in" / name)
    line = ["--method", "random", "--model", tiny_model_folder]
    assert protects(tmp_path / "in", "--out", tmp_path / "out", *line) == 0
    said = capsys.readouterr().err
    assert "'pipe' is no image file" in said and "'pipe.jpg' is no image file" in said
    assert protects(tmp_path / "in" / "pipe.jpg", "--out", tmp_path / "other", *line) == 2


@pytest.mark.parametrize(
    "given", [None, 5, [None], [np.zeros((64, 64, 3), np.uint8)], [Image.new("RGB", (64, 64))], b"x"]
)
def test_python_says_what_photos_are(given: object, tmp_path: Path, tiny_model: DiffusionModel) -> None:
    for door in (
        lambda: protect(given, tiny_model, "random"),
        lambda: protect_folder(given, tmp_path / "out", tiny_model, "random"),
        lambda: attack(given, None, tiny_model),
    ):
        with pytest.raises(InvalidInput, match="expected a folder, files or photos"):
            door()


def test_python_takes_what_gives_one_file_after_the_other(photo_files: list[Path], tiny_model: DiffusionModel) -> None:
    assert len(protect((path for path in photo_files), tiny_model, "random")) == len(photo_files)


PANORAMAS = [(11_900, 32), (32, 2_000), (1_000, 33)]


@pytest.mark.parametrize(("width", "height"), PANORAMAS)
@pytest.mark.parametrize("name", ["random", "eudp", "photoguard"])
def test_panoramas_keep_their_size(width: int, height: int, name: str, tiny_model: DiffusionModel) -> None:
    few = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 1, "draws": 1}
    known = {item.name for item in dataclasses.fields(METHODS[name]) if item.init}
    method = METHODS[name](**{key: value for key, value in few.items() if key in known})
    photo = Photo("wide", picture(0, width, height))
    (after,) = method([photo], tiny_model)
    assert after.size == (width, height)


def test_a_panorama_on_the_pixel_model() -> None:
    photo = Photo("wide", picture(0, 11_900, 32))
    method = EUDP(rounds=1, surrogate_steps=1, pgd_steps=1, draws=1)
    assert method([photo], load_model("mini-pixel"))[0].size == (11_900, 32)


@pytest.mark.parametrize("name", [name for name, one in CLEANINGS.items() if not one.needs_model])
def test_every_cleaning_takes_every_size(name: str) -> None:
    for width, height in ((1_000, 32), (32, 1_000), (32, 32)):
        (after,) = CLEANINGS[name]([Photo("wide", picture(0, width, height))], None)
        assert min(after.size) >= 1


def sticker(hidden: int) -> Photo:
    """A disc on transparency, with `hidden` where nothing is seen."""
    pixels = picture(1)
    alpha = np.zeros((96, 96), np.uint8)
    alpha[20:70, 20:70] = 255
    alpha[70:72, 20:70] = 100
    pixels[alpha == 0] = hidden
    return Photo("sticker", pixels, alpha)


def test_what_transparency_hides_is_not_trained_on(tiny_model: DiffusionModel) -> None:
    black, gray = flattened(sticker(0)), flattened(sticker(90))
    assert np.array_equal(black.pixels, gray.pixels) and (black.pixels[:10] == 255).all() and black.alpha is None
    plain = Photo("x", picture(0))
    assert flattened(plain) is plain
    method = EUDP(rounds=1, surrogate_steps=1, pgd_steps=2, draws=1)
    seen = [method([sticker(hidden)], tiny_model)[0] for hidden in (60, 200)]  # far from 0 and 255: no clipping
    opaque = seen[0].alpha == 255
    assert np.array_equal(seen[0].pixels[opaque], seen[1].pixels[opaque])
    assert np.array_equal(seen[0].alpha, sticker(0).alpha)


@pytest.mark.parametrize("door", ["fit", "trial"])
def test_the_imitator_sees_a_sticker_on_white(door: str, tiny_model: DiffusionModel) -> None:
    from udp.evaluation.found import FoundPhotos
    from udp.evaluation.trial import Trial
    from udp.imitation.recipes import LoRA

    if door == "trial":
        found = FoundPhotos({"clean": [sticker(0)]}, tiny_model, Trial(cleaning="half")).of("clean")
        assert (found[0].pixels[:4] == 255).all()
        return
    losses = [LoRA(steps=10).fit([sticker(hidden)], tiny_model, "a photo of sks").losses for hidden in (0, 90)]
    assert losses[0] == losses[1]


# Any profile but sRGB's will do: what counts is that it travels.
WIDE = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def test_previews_keep_the_colour_space(tmp_path: Path) -> None:
    write_png(tmp_path / "wide.png", Photo("wide", picture(0), None, WIDE))
    photos = take_readable([tmp_path / "wide.png"]).photos
    (tmp_path / "run").mkdir()
    made = Protection(photos, RandomNoise()(photos, None), RandomNoise(), "mini", "x", 0)
    saved = save_protection(made, tmp_path / "run").photos[0]
    for path in (saved.before, saved.after, saved.thumbnail, saved.clean, saved.protected):
        assert Image.open(path).info.get("icc_profile") == WIDE, path.parent.name


def test_unreadable_files_are_all_named_at_once(tmp_path: Path) -> None:
    for index in range(7):
        (tmp_path / f"{index}.jpg").write_bytes(cut(index))
    with pytest.raises(UnreadablePhoto, match=r"'0.jpg'.*'4.jpg'.*and 2 more"):
        read_photos(sorted(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Not found</html>", "web page"),
        (b"", "it is empty"),
        (b"\0" * 100, "zeros alone"),
        (APPLE_DOUBLE, "Mac's notes"),
        (b"RIFF\0\0\0\0AVI LIST", "no picture that is known"),
    ],
)
def test_a_file_that_is_no_photo_says_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    doors: list[Callable[[], object]] = [
        lambda: read_photo(tmp_path / "photo.jpg"),
        lambda: take_photos([tmp_path / "photo.jpg"]),
        lambda: take_readable([tmp_path / "photo.jpg"]),
        lambda: protect([tmp_path / "photo.jpg"], method="random"),
    ]
    for door in doors:
        with pytest.raises(UnreadablePhoto, match=words):
            door()
