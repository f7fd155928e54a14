"""Uploads and texts that nobody should send: each is handled or refused with a sentence, and nothing private leaks."""

from __future__ import annotations

import io
import logging
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import picture
from udp.errors import InvalidInput, ModelUnavailable, UDPError
from udp.language import Text
from udp.models.loading import load_model
from udp.protection.folder import Protection
from udp.protection.methods import RandomNoise
from udp.ui.parts.errors import friendly, without_folders
from udp.ui.parts.layout import model_box
from udp.ui.parts.link import settings_values
from udp.ui.state.context import MOST_PROMPT, clean_prompt
from udp.ui.state.owner import Owner
from udp.ui.state.results import safe_names, save_protection, take_photos

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(0)).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A valid PNG of a few hundred bytes that claims, and unpacks to, a huge picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100_000))
        + chunk(b"IEND", b"")
    )


def heic() -> bytes:
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("../../evil.png", encoded("PNG"))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_wrong_extension_does_not_matter(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(kind))
    (photo,) = take_photos([path])
    assert photo.size == (96, 96)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_used_and_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.fromarray(picture(index)) for index in range(3)]
    frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    (photo,) = take_photos([path])
    assert Text("note.frames") in photo.notes
    if kind != "GIF":
        np.testing.assert_array_equal(photo.pixels, picture(0))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (heic(), "damaged"),
        (bomb(60_000, 60_000), "at most 60 megapixels"),
        (bomb(11_000, 11_000), "at most 60 megapixels"),
        (archive(), "cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 96\n(/etc/passwd) run\n", "expected"),
        (b"", "cannot be read"),
        (b"\0" * 5000, "cannot be read"),
    ],
    ids=["heic", "bomb", "bomb-below-pillows-limit", "zip", "svg", "postscript", "empty", "zeros"],
)
def test_what_is_no_photo_is_refused_with_a_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=reason):
        take_photos([path])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(FORMATS), data=st.data())
def test_damaged_files_never_crash(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(kind))
    content = content[: data.draw(st.integers(1, len(content)))]
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    try:
        (photo,) = take_photos([path])
    except UDPError as error:
        assert str(error).startswith("expected")
    else:
        assert photo.pixels.dtype == np.uint8 and photo.pixels.shape[2] == 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=120), min_size=1, max_size=6))
def test_no_name_leaves_its_folder(names: list[str]) -> None:
    safe = safe_names(names)
    assert len({name.lower() for name in safe}) == len(names)
    root = Path("/somewhere")
    for name in safe:
        assert (root / f"{name}.png").parent == root and name not in ("", ".", "..") and "\0" not in name
        assert not name.startswith((".", "-")) and len(name) <= 100


def test_location_and_camera_do_not_travel(tmp_path: Path) -> None:
    path, exif = tmp_path / "beach.jpg", Image.Exif()
    exif[0x0110] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    Image.fromarray(picture(0)).save(path, exif=exif, comment=b"SecretComment")
    method, photos = RandomNoise(), take_photos([path])
    (tmp_path / "run").mkdir()
    saved = save_protection(Protection(photos, method(photos, None), method, "mini", "a photo", 0), tmp_path / "run")
    for file in (tmp_path / "run").rglob("*.png"):
        assert b"Secret" not in file.read_bytes() and not Image.open(file).getexif()
    assert b"Secret" not in saved.archive.read_bytes()


def test_refusals_are_not_logged_with_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "my-private-holiday.png"
    path.write_text("no picture")
    with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="cannot be read"), friendly():
        take_photos([path])
    assert "my-private-holiday" not in caplog.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("expected a model in '/srv/my models/own', got none", "expected a model in 'own', got none"),
        ("no file named x in directory /home/me/.cache/hub/own.", "no file named x in directory own."),
        ("""got "/srv/bob's models/own" and '/srv/cut/own""", """got "own" and 'own"""),
        ('at "~/models/own" or ./here/own (see ../there/own)', 'at "own" or own (see own)'),
        (r"expected 'C:\\models\\own', got D:/models/own", "expected 'own', got own"),
        ("see https://huggingface.co/some/model, 8/255 and some/model", None),
        (r"expected a prompt that can be seen, got '\x00' or PNG/JPEG in 2 / 3", None),
    ],
)
def test_no_folder_of_the_server_is_shown(text: str, shown: str | None) -> None:
    assert without_folders(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"model_index.json": "{}"},
        {"model_index.json": "no JSON"},
        {
            "model_index.json": '{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0", "unet": ["a", "b"]}',
            "unet/weights.bin": "",
        },
    ],
    ids=["empty", "no-pipeline", "damaged", "pickles"],
)
def test_a_model_that_cannot_be_loaded_does_not_tell_where_it_lies(tmp_path: Path, content: dict[str, str]) -> None:
    folder = tmp_path / "secret place" / "own"
    folder.mkdir(parents=True)
    for name, text in content.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with pytest.raises(ModelUnavailable, match="secret place"):  # as the command line says it, to who typed it
        load_model(str(folder))
    with pytest.raises(Exception, match="expected") as caught, friendly():
        load_model(str(folder))
    assert "secret" not in str(caught.value) and str(tmp_path.name) not in str(caught.value)
    assert "own" in str(caught.value)


def test_the_page_knows_the_owners_folders_by_their_last_part_alone() -> None:
    owner = Owner(model="/secret/a/own", models=("mini", "/secret/b/own", "/secret/mini", "some/model"))
    assert list(owner.names) == ["own", "mini", "own-2", "mini-2", "some/model"]
    assert owner.check_model("own-2") == "/secret/b/own" and owner.check_model("mini") == "mini"
    assert owner.check_model(None) == owner.check_model("own") == owner.model
    with pytest.raises(InvalidInput, match="expected one of the models own, Embedded") as caught:
        owner.check_model("other")
    assert "secret" not in str(caught.value)
    box = model_box(owner)
    assert "secret" not in str(box.get_config()) and box.value == "own"


def test_prompts_are_one_printable_line_of_some_length() -> None:
    assert clean_prompt("  a photo\n of\tsks ", "x") == "a photo of sks"
    assert clean_prompt(None, "x") == clean_prompt(" \n", "x") == "x"
    for hidden, name in (
        ("\u202e evil", "U\\+202E"),
        ("\x00", "U\\+0000"),
    ):  # not the default behind the visitor's back
        with pytest.raises(InvalidInput, match=f"can be seen, got {name}"):
            clean_prompt(hidden, "x")
    with pytest.raises(InvalidInput, match="expected a prompt of at most"):
        clean_prompt("a" * (MOST_PROMPT + 1), "x")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(max_size=400))
def test_a_hostile_link_sets_nothing_out_of_range(name: str, text: str) -> None:
    import gradio as gr

    slider, box, menu = gr.Slider(1, 10), gr.Checkbox(False), gr.Dropdown(["a"], value="a", allow_custom_value=True)
    controls = [("number", slider), ("box", box), ("menu", menu)]
    query = f"?number={text}&box={text}&menu={text}&{name}={text}"
    for control, value in settings_values(controls, query, lambda values: {}).items():
        if control is slider:
            assert 1 <= value <= 10
        else:
            assert value in (True, False, "a")
