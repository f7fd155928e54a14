"""What comes in over HTTP: mangled files and mangled uploads. Only our own errors, and nothing is left of what broke off."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import served
from tests.test_fuzz import CONTENTS, CORPUS
from udp.errors import UDPError
from udp.language import CHINESE, ENGLISH, text
from udp.ui.state.results import take_readable
from udp.ui.state.uploads import STALE_SECONDS, remove_broken_off

BOUNDARY = "x-boundary-x"


@dataclass
class App:
    """A running app, a client of it and the folder where its uploads lie."""

    address: str
    client: Client
    folder: Path

    def coming(self) -> list[str]:
        """Files of uploads that have not ended."""
        return [path.name for path in self.folder.iterdir() if path.is_file()]

    def protect(self, path: Path) -> dict[str, bytes] | str:
        """What the ZIP holds, or the reason for the refusal."""
        try:
            found = self.client.predict([handle_file(str(path))], "random", 8, "a toy", 0, {}, "", api_name="/protect")
        except AppError as error:
            return str(error)
        with zipfile.ZipFile(found) as bundle:
            return {name: bundle.read(name) for name in bundle.namelist()}


@pytest.fixture(scope="module")
def app(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("app")
    with served(tiny_model_folder, folder) as address:
        client = Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
        yield App(address, client, folder)


def check(app: App, path: Path) -> None:
    """The app takes a file if it takes the same file here, and says what is wrong in our own words if not."""
    found = app.protect(path)
    try:
        read = take_readable([path]).photos
    except UDPError:
        read = []
    assert isinstance(found, dict) == bool(read), found
    if isinstance(found, str):
        assert found.startswith("expected") and "an error on our side" not in found
        return
    assert len(json.loads(found.pop("manifest.json"))["photos"]) == len(found) == 1
    for content in found.values():
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert image.format == "PNG" and image.size == read[0].size
    assert not list(app.folder.rglob("*.part"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_is_taken_or_refused(path: Path, app: App) -> None:
    check(app, path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(CONTENTS)), suffix=st.sampled_from([".png", ".jpg", ".txt", ""]), data=st.data())
def test_mangled_files_are_taken_or_refused(
    name: str, suffix: str, data: st.DataObject, app: App, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(CONTENTS[name])
    content = content[: data.draw(st.integers(1, len(content)))]
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / f"photo{suffix}"
    path.write_bytes(content)
    check(app, path)


def form(content: bytes, name: str = "files", file: str = "photo.png") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def upload(
    app: App, body: bytes, content_type: str = f"multipart/form-data; boundary={BOUNDARY}", language: str = "en"
) -> tuple[int, str]:
    place = urlsplit(app.address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request("POST", "/gradio_api/upload", body, {"Content-Type": content_type, "Accept-Language": language})
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace")


def gone(app: App) -> bool:
    """Whether nothing is left of uploads that ended; the server hears of a lost connection a little later."""
    for _ in range(100):
        if not app.coming():
            return True
        time.sleep(0.1)
    return False


def test_a_whole_upload_is_taken(app: App) -> None:
    status, said = upload(app, form(CONTENTS["PNG-RGB"]))
    assert status == 200 and Path(json.loads(said)[0]).read_bytes() == CONTENTS["PNG-RGB"]
    quoted = f'multipart/form-data; boundary="{BOUNDARY}"; charset=utf-8'
    assert upload(app, form(CONTENTS["PNG-RGB"]), quoted)[0] == 200
    assert app.coming() == []


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_an_upload_whose_body_ends_early_is_refused_and_leaves_nothing(share: float, app: App) -> None:
    body = form(os.urandom(200_000))
    assert upload(app, body[: int(len(body) * share)]) == (400, ENGLISH.say(text("upload.broken_off")))
    assert upload(app, body[:-9], language="zh-CN,en;q=0.5") == (400, CHINESE.say(text("upload.broken_off")))
    assert app.coming() == []


@pytest.mark.parametrize("sent", [300, 150_000])
def test_a_lost_connection_leaves_nothing(sent: int, app: App) -> None:
    place, body = urlsplit(app.address), form(os.urandom(200_000))
    with socket.create_connection((place.hostname, place.port)) as line:
        head = (
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        )
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:sent])
        time.sleep(0.5)
    assert gone(app)
    check(app, CORPUS[0])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mangled_forms_are_refused_with_a_sentence(data: st.DataObject, app: App) -> None:
    body = bytearray(
        form(b"content of a file", data.draw(st.sampled_from(["files", "other"])), data.draw(st.text(max_size=9)))
    )
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=6)):
        body[at] = data.draw(st.integers(0, 255))
    status, said = upload(app, bytes(body))
    assert status in (200, 400, 413) and "Traceback" not in said and "Internal" not in said, (status, said)


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "multipart/form-data; boundary=", ""])
def test_what_is_no_form_is_refused(content_type: str, app: App) -> None:
    status, said = upload(app, form(b"x"), content_type)
    assert status == 400 and "Traceback" not in said
    status, said = upload(app, form(b"x").replace(b'; filename="photo.png"', b""))
    assert (status, said) == (400, ENGLISH.say(text("upload.no_form")))


def test_what_a_killed_process_left_goes_when_it_is_stale(tmp_path: Path) -> None:
    for name in ("tmpabcdefgh", "tmp12345678", "tmp_photo.png", "tmpabcdefg-"):
        (tmp_path / name).touch()
    (tmp_path / "tmpafolder1").mkdir()
    for path in tmp_path.iterdir():
        os.utime(path, (0, time.time() - STALE_SECONDS - 5))
    os.utime(tmp_path / "tmp12345678")  # still coming
    remove_broken_off(tmp_path)
    remove_broken_off(tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tmp12345678",
        "tmp_photo.png",
        "tmpabcdefg-",
        "tmpafolder1",
    ]


@pytest.mark.parametrize(
    "values",
    [
        ["eudp", "eight", "x", 0, {}],
        ["magic", 8, "x", 0, {}],
        ["random", None, "x", 0, {}],
        ["random", 1e9, "x", 0, {}],
        ["random", 8, "x" * 9999, 0, {}],
        ["random", 8, "x", -1, {}],
        ["random", 8, "x", 0.5, {}],
        ["random", 8, "x", 0, {"perceptual": 3}],
        ["random", 8, "x", 0, [1]],
        ["random", 8, "x", 0, "text"],
        [["random"], 8, "x", 0, {}],
    ],
    ids=str,
)
def test_values_of_no_sense_are_refused_in_our_own_words(values: list, app: App, photo_files: list[Path]) -> None:
    with pytest.raises(AppError) as caught:
        app.client.predict([handle_file(str(photo_files[0]))], *values, "", api_name="/protect")
    assert "an error on our side" not in str(caught.value), caught.value


@pytest.mark.parametrize("photos", ["text", 5, [None], [["photo.png"]], [{"path": 3}], {"name": "photo.png"}], ids=str)
def test_what_is_no_list_of_files_is_refused_in_our_own_words(photos: object, app: App) -> None:
    for endpoint, more in (("/protect", []), ("/attack", [None]), ("/evaluate", [None])):
        with pytest.raises(AppError, match=r"expected a list of uploaded files .* got "):
            app.client.predict(photos, *more, api_name=endpoint)


def test_one_file_is_as_good_as_a_list_of_one(app: App, photo_files: list[Path]) -> None:
    archive = app.client.predict(handle_file(str(photo_files[0])), "random", api_name="/protect")
    with zipfile.ZipFile(archive) as bundle:
        assert bundle.namelist() == [photo_files[0].name, "manifest.json"]


@pytest.mark.parametrize("cleanings", ["half", 5, [None], [["half"]], {"half": 1}], ids=str)
def test_what_is_no_list_of_cleanings_is_refused_in_our_own_words(
    cleanings: object, app: App, photo_files: list[Path]
) -> None:
    photos = [handle_file(str(photo_files[0]))]
    with pytest.raises(AppError, match="expected a list of names of cleanings, got "):
        app.client.predict(photos, photos, "lora", 10, cleanings, api_name="/evaluate")
