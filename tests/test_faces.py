"""Figures of faces, with stand-ins for OpenCV's networks: a face is a square of one colour, whose hue is whose it is."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import udp.cli as cli
from udp import api
from udp.errors import InvalidInput, ModelUnavailable
from udp.evaluation.metrics import faces as faces_module
from udp.evaluation.metrics.faces import Faces, load_faces
from udp.evaluation.metrics.figures_faces import FaceReference
from udp.evaluation.metrics.table import measure
from udp.evaluation.trial import Trial
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.ui.state import work
from udp.ui.state.owner import owner_from

SMALL = Trial(pictures=2, sampling_steps=1)
ANNE, BERT = (250, 20, 20), (20, 20, 250)


def portrait(
    colour: tuple[int, int, int] | None, side: int = 32, larger: tuple[int, int, int] | None = None
) -> np.ndarray:
    """Grey, with a face of `colour`, and beside it a larger one."""
    pixels = np.full((side, side, 3), 90, np.uint8)
    if colour:
        pixels[side // 8 : side // 4, side // 8 : side // 4] = colour
    if larger:
        pixels[side // 2 : side // 8 * 7, side // 2 : side // 8 * 7] = larger
    return pixels


def detect(image: np.ndarray) -> np.ndarray | None:
    """A row for each of the two places where `portrait` paints, as YuNet gives them."""
    side, found = image.shape[0], []
    for left, size in ((side // 8, side // 8), (side // 2, side // 8 * 3)):
        middle = image[left + size // 2, left + size // 2].astype(int)
        if np.ptp(middle) > 100:
            found.append([left, left, size, size, *[0] * 10, 0.9])
    return np.array(found, np.float32) if found else None


def describe(image: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Its colour, as a row like SFace's."""
    left, size = int(face[0]), int(face[2])
    return image[left + size // 2, left + size // 2].astype(np.float32)[None]


@pytest.fixture
def faces() -> Faces:
    return Faces("stand-in", detect, describe)


def photos_of(*colours: tuple[int, int, int] | None) -> list[Photo]:
    return [Photo(f"p{index}", portrait(colour, 64)) for index, colour in enumerate(colours)]


def test_an_identity_is_that_of_the_largest_face_at_any_size(faces: Faces) -> None:
    found = faces.identities([portrait(None), portrait(ANNE), portrait(ANNE, larger=BERT), portrait(ANNE, 500)])
    assert found[0] is None
    for identity in found[1:]:
        assert np.linalg.norm(identity) == pytest.approx(1)
    assert found[1] @ found[3] == pytest.approx(1) and found[1] @ found[2] < 0.4
    blue, _, red = found[1]  # as OpenCV has them
    assert red > blue


def test_figures_are_the_share_with_a_face_and_the_likeness_of_those(faces: Faces, tiny_model: DiffusionModel) -> None:
    reference = FaceReference.of(faces, tiny_model, photos_of(ANNE, None, ANNE))
    assert (reference.found, reference.photos) == (2, 3)
    half, intervals = measure(reference.see([portrait(ANNE), portrait(None), portrait(BERT), portrait(None)]))
    assert half["face_share"] == 0.5 and "face_share" in intervals and "identity_similarity" not in intervals
    assert half["identity_similarity"] == pytest.approx(
        (1 + float(np.dot(ANNE, BERT)) / np.dot(ANNE, ANNE)) / 2, abs=0.01
    )
    same, intervals = measure(reference.see([portrait(ANNE), portrait(ANNE)]))
    assert same["identity_similarity"] == pytest.approx(1, abs=0.01) and "identity_similarity" in intervals
    none, _ = measure(reference.see([portrait(None)]))
    assert none == {"face_share": 0.0}


def test_photos_without_a_face_are_refused(faces: Faces, tiny_model: DiffusionModel) -> None:
    with pytest.raises(
        InvalidInput, match=r"expected a face in at least one of 2 clean photos.* stand-in finds at 64 px"
    ):
        FaceReference.of(faces, tiny_model, photos_of(None, None))


def test_a_report_has_them_and_says_what_they_rest_on(faces: Faces, tiny_model: DiffusionModel) -> None:
    report = api.attack(photos_of(ANNE, None), None, tiny_model, trial=SMALL, face_metrics=faces, steps=10)
    assert 0 <= report.arm("clean").metrics["face_share"] <= 1
    assert report.extractors["face_share"].values == {"name": "stand-in", "pictures": 2, "photos": 1}
    assert any(basis.id == "basis.faces" for basis in report.basis)
    with pytest.raises(InvalidInput, match="expected a face"):
        api.attack(photos_of(None), None, tiny_model, trial=SMALL, face_metrics=faces, steps=10)


def test_the_page_measures_faces_for_the_owner_where_there_are_some(
    faces: Faces, tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "load_faces", lambda: faces)
    assert owner_from({"UDP_FACE_METRICS": "1"}).faces and not owner_from({}).faces
    assert work.measuring_faces(True, tiny_model, photos_of(ANNE)) is faces
    assert work.measuring_faces(True, tiny_model, photos_of(None)) is None
    monkeypatch.setattr(work, "load_faces", lambda: pytest.fail("loaded without being asked"))
    assert work.measuring_faces(False, tiny_model, photos_of(ANNE)) is None


def folder_of(path: Path, *colours: tuple[int, int, int] | None) -> Path:
    path.mkdir()
    for photo in photos_of(*colours):
        Image.fromarray(photo.pixels).save(path / f"{photo.name}.png")
    return path


@pytest.mark.parametrize("command", ["attack", "evaluate"])
def test_the_command_line_asks_for_them(
    command: str, faces: Faces, tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("udp.cli.trial.load_faces", lambda *files: faces)
    people, toys, out = folder_of(tmp_path / "anne", ANNE, ANNE), folder_of(tmp_path / "toys", None), tmp_path / "out"
    line = {
        "attack": ["attack", "--instance", people, "--steps", "10", "--recipe", "lora"],
        "evaluate": ["evaluate", people, "--method", "random", "--cleaning", "none", "--recipe-steps", "10"],
    }[command]
    usual = ["--model", tiny_model_folder, "--pictures", "1", "--sampling-steps", "1"]
    assert cli.main([*map(str, [*line, *usual, "--out", out, "--face-metrics"])]) == 0
    assert "face_share" in (out / "report.json" if command == "evaluate" else out / "manifest.json").read_text()
    line = [toys if part == people else part for part in line]
    assert cli.main([*map(str, [*line, *usual, "--out", tmp_path / "other", "--face-metrics"])]) == 2
    assert "expected a face in at least one of 1 clean photos" in capsys.readouterr().err
    assert cli.main([*map(str, [*line, *usual, "--out", tmp_path / "third", "--face-detector", "x.onnx"])]) == 2
    assert "expected --face-detector and --face-recogniser with --face-metrics" in capsys.readouterr().err


class Failed(Exception):
    """Stands in for cv2.error."""


def opencv(wrong: bool = False) -> SimpleNamespace:
    """Stands in for OpenCV: remembers what its models were made from, and says no to files that hold no model."""
    made: dict[str, Any] = {}

    class Detector:
        @staticmethod
        def create(model: str, config: str, size: tuple[int, int], score: float) -> Detector:
            if wrong:
                raise Failed("parse error")
            made["detector"] = (Path(model).name, score)
            return Detector()

        def setInputSize(self, size: tuple[int, int]) -> None:
            made.setdefault("sizes", []).append(size)

        def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
            return 1, detect(image)

    class Recogniser:
        @staticmethod
        def create(model: str, config: str) -> Recogniser:
            made["recogniser"] = Path(model).name
            return Recogniser()

        def alignCrop(self, image: np.ndarray, face: np.ndarray) -> np.ndarray:
            return describe(image, face)

        def feature(self, aligned: np.ndarray) -> np.ndarray:
            return aligned

    return SimpleNamespace(FaceDetectorYN=Detector, FaceRecognizerSF=Recogniser, error=Failed, made=made)


@pytest.fixture
def fresh() -> Any:
    load_faces.cache_clear()
    yield
    load_faces.cache_clear()


def test_the_published_models_come_from_the_hub(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, cv2 = [], opencv()
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    monkeypatch.setattr(faces_module, "hf_hub_download", lambda repo, name: asked.append((repo, name)) or f"/x/{name}")
    found = load_faces()
    assert asked == [faces_module.DETECTOR, faces_module.RECOGNISER]
    assert cv2.made["detector"] == ("face_detection_yunet_2023mar.onnx", 0.8)
    assert found.name == "face_detection_yunet_2023mar and face_recognition_sface_2021dec"
    wide = np.full((300, 400, 3), 90, np.uint8)
    assert found.identities([portrait(ANNE), wide])[1] is None
    assert cv2.made["sizes"] == [(256, 256), (400, 300)]  # width first


def test_what_is_missing_is_named(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModelUnavailable, match="expected OpenCV for figures of faces, got none: pip install"):
        load_faces()
    monkeypatch.setitem(sys.modules, "cv2", opencv(wrong=True))
    with pytest.raises(ModelUnavailable, match=r"expected a face detector as an \.onnx file, got no file .none\.onnx."):
        load_faces(str(tmp_path / "none.onnx"))
    (tmp_path / "a.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelUnavailable, match=r"expected a face detector and a recogniser of OpenCV in 'a.onnx'"):
        load_faces(str(tmp_path / "a.onnx"), str(tmp_path / "a.onnx"))

    def offline(*names: str) -> str:
        raise OSError("no network")

    monkeypatch.setattr(faces_module, "hf_hub_download", offline)
    with pytest.raises(ModelUnavailable, match="opencv/face_detection_yunet"):
        load_faces()
