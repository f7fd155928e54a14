"""The running app through its API, as a program would use it, with the tiny model."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.conftest import served
from udp.models.base import DiffusionModel

QUICK = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 3, "draws": 1}


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gradio")


@pytest.fixture(scope="module")
def url(tiny_model_folder: Path, temporary: Path) -> Iterator[str]:
    with served(tiny_model_folder, temporary) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    patient = {"timeout": 300}  # a loaded machine is slow to answer
    return Client(url, verbose=False, download_files=tmp_path_factory.mktemp("downloads"), httpx_kwargs=patient)


def call(client: Client, files: list[Path], **options: object) -> str:
    photos = [handle_file(path) for path in files]
    return client.predict(
        photos, options.pop("method", "eudp"), options.pop("budget", 8), settings=QUICK, api_name="/protect"
    )


def pixels(source: object) -> np.ndarray:
    return np.asarray(Image.open(source).convert("RGB")).astype(int)


@pytest.mark.parametrize(("method", "budget"), [("eudp", 8), ("udp", 3)])
def test_protect_returns_pngs_inside_the_budget(
    client: Client, photo_files: list[Path], method: str, budget: int
) -> None:
    archive = call(client, photo_files, method=method, budget=budget)
    with zipfile.ZipFile(archive) as bundle:
        assert len(bundle.namelist()) == len(photo_files) + 1
        assert json.loads(bundle.read("manifest.json"))["settings"]["rounds"] == 1
        for path in photo_files:
            with bundle.open(path.name) as file:
                difference = np.abs(pixels(file) - pixels(path)).max()
            assert 0 < difference <= budget


def test_attack_compares_all_arms(
    client: Client, photo_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("udp.models.loading.SMALL_NETWORK", 1)  # as if the model were large, which samples otherwise
    asked, sample = [], DiffusionModel.sample

    def hasty(model: object, network: object, prompt: str, seeds: object, steps: int, guidance: float, *more: object):
        asked.append((steps, guidance))
        return sample(
            model, network, prompt, seeds, 5, guidance, *more
        )  # 50 steps four times over would be all it does

    monkeypatch.setattr(DiffusionModel, "sample", hasty)
    archive = client.predict([handle_file(p) for p in photo_files], "random", 8, api_name="/protect", settings={})
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(tmp_path)
    protected = [handle_file(tmp_path / path.name) for path in photo_files]
    verdict, archive = client.predict(
        [handle_file(p) for p in photo_files], protected, "lora", 10, 2, settings={"rank": 2}, api_name="/attack"
    )
    assert verdict.endswith(".")
    with zipfile.ZipFile(archive) as bundle:
        names = set(bundle.namelist())
        report = json.loads(bundle.read("report.json"))
        losses = bundle.read("losses.csv").decode().splitlines()
    for arm in ("base", "clean", "random", "protected"):
        assert {f"pictures/{arm}/seed-0.png", f"pictures/{arm}/seed-1.png"} <= names
    for arm in ("clean", "random", "protected"):
        files = ("pytorch_lora_weights", "lora_for_a1111_comfyui_kohya")
        assert {f"learned/{arm}/{name}.safetensors" for name in files} <= names
    assert report["verdict"]["sentence"] == verdict and report["settings"]["steps"] == 10
    assert (report["trial"]["sampling_steps"], report["trial"]["guidance"]) == (50, 7.5)
    assert asked == [(50, 7.5)] * 4  # the base and three arms
    assert losses[0] == "step,clean,random,protected" and len(losses) == 11


def bad_inputs(folder: Path, photo: Path) -> dict[str, list[Path]]:
    text, dot = folder / "text.png", folder / "dot.png"
    text.write_text("this is not a picture")
    Image.new("RGB", (1, 1)).save(dot)
    many = [folder / f"many-{index}.png" for index in range(40)]
    for path in many:
        path.write_bytes(photo.read_bytes())
    return {"text": [text], "dot": [dot], "none": [], "many": many}


@pytest.mark.parametrize("which", ["text", "dot", "none", "many"])
def test_bad_input_is_refused_with_a_sentence(
    client: Client, photo_files: list[Path], tmp_path: Path, which: str
) -> None:
    with pytest.raises(AppError, match="expected") as caught:
        call(client, bad_inputs(tmp_path, photo_files[0])[which])
    assert "Traceback" not in str(caught.value)


def test_bad_settings_are_refused_with_a_sentence(client: Client, photo_files: list[Path]) -> None:
    with pytest.raises(AppError, match=r"expected one of eudp, .*random, got 'magic'"):
        call(client, photo_files[:1], method="magic")
    with pytest.raises(AppError, match="expected budget between"):
        call(client, photo_files[:1], budget=99)
    with pytest.raises(AppError, match="expected steps between"):
        client.predict([handle_file(photo_files[0])], None, "lora", 5, api_name="/attack")
    with pytest.raises(AppError, match=r"expected 1 to 8 pictures, a whole number, got 2\.5"):
        client.predict([handle_file(photo_files[0])], None, "lora", 10, 2.5, api_name="/attack")
    for number, words in ((-1, "expected seed between 0 and 2147483647, got -1"), (1.5, "seed to be a whole number")):
        with pytest.raises(AppError, match=words):
            client.predict([handle_file(photo_files[0])], None, "lora", 10, seed=number, api_name="/attack")
    with pytest.raises(AppError, match=r"1 to 5 seeds, a whole number, got 1 and 1\.5"):
        client.predict([handle_file(photo_files[0])], None, "lora", 10, ["half"], 1.5, api_name="/evaluate")


def test_a_call_leaves_no_empty_file_behind(client: Client, photo_files: list[Path], temporary: Path) -> None:
    call(client, photo_files[:1])
    left = [path for path in temporary.rglob("*") if path.is_file() and not path.stat().st_size]
    assert {path.name for path in left} <= {"in-use"}  # the lock that says that the app lives


def test_server_files_cannot_be_read_through_the_api(client: Client) -> None:
    with pytest.raises(AppError):
        client.predict([{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}], api_name="/protect")


def test_only_the_documented_endpoints_are_public(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/protect", "/attack", "/evaluate"}
    for name, endpoint in endpoints.items():  # photos of a style go by other words than photos of an object
        assert "prompt" in [parameter["parameter_name"] for parameter in endpoint["parameters"]], name


def test_the_documented_snippets_run(
    url: str,
    photo_files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    short = {"http://127.0.0.1:7860": url, '"rounds": 20': '"rounds": 1, "pgd_steps": 2', "steps=400": "steps=10"}
    for long, quick in short.items():
        assert long in code
        code = code.replace(long, quick)
    # Of the two that run here, the other test samples as its model does; that is most of the seconds of this one.
    monkeypatch.setattr("udp.ui.endpoints.sampling_of", lambda name: (3, 2.5))
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for path in photo_files:
        (Path("photos") / path.name).write_bytes(path.read_bytes())
    found: dict[str, object] = {}
    exec(compile(code, "docs/api.md", "exec"), found)
    assert [row["cleaning"] for row in found["rows"]] == ["none", "jpeg75"]
    with zipfile.ZipFile(found["report"]) as bundle:
        assert {"report.json", "report.html", "lora-none.png", "lora-jpeg75.png"} == set(bundle.namelist())
        trial = json.loads(bundle.read("report.json"))["trial"]
    assert (trial["sampling_steps"], trial["guidance"]) == (3, 2.5)
    assert "jpeg75" in capsys.readouterr().out
