"""Faces in pictures, and whose they are, by OpenCV's YuNet and SFace: what protections of people are measured by.

An optional extra (`pip install opencv-python-headless`); neither it nor a model is loaded before `load_faces` is called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from huggingface_hub import hf_hub_download

from udp.errors import ModelUnavailable
from udp.models.unavailable import explain

# Hub ids of OpenCV's own copies and the files there: YuNet (Wu et al. 2023, MIT), SFace (Zhong et al. 2021, Apache-2.0).
DETECTOR = ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx")
RECOGNISER = ("opencv/face_recognition_sface", "face_recognition_sface_2021dec.onnx")
LEAST_SCORE = 0.8  # of a face: the threshold of YuNet's published demo
LEAST_SIDE = 256  # pictures of the embedded model are enlarged to it: a face of a few dozen pixels is hard to align


@dataclass(frozen=True)
class Faces:
    """A detector and a recogniser; `name` says which. `detect` gives rows of x, y, width, height, ten of landmarks and a score.

    `describe` gives an identity's features of one such row, of any shape. Both take blue, green, red (H, W, 3) uint8.
    """

    name: str
    detect: Callable[[np.ndarray], np.ndarray | None]
    describe: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def identities(self, images: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """Of each uint8 picture (H, W, 3), red first, the features of its largest face, (D,) of unit length; None without one."""
        return [self._identity(image) for image in images]

    def _identity(self, image: np.ndarray) -> np.ndarray | None:
        enlarged = np.ascontiguousarray(_enlarged(image)[..., ::-1])
        found = self.detect(enlarged)
        if found is None or not len(found):
            return None
        features = np.asarray(self.describe(enlarged, max(found, key=lambda face: face[2] * face[3])), float).ravel()
        return features / np.linalg.norm(features)


def _enlarged(image: np.ndarray) -> np.ndarray:
    times = -(-LEAST_SIDE // min(image.shape[:2]))
    return image.repeat(times, 0).repeat(times, 1) if times > 1 else image


@functools.lru_cache(maxsize=1)
def load_faces(detector: str = "", recogniser: str = "") -> Faces:
    """YuNet and SFace, by default from the Hub (39 MB unless they are here), or two .onnx files.

    Raises `ModelUnavailable` with the reason: no OpenCV, offline, no such file, or a file that is not such a model.
    """
    cv2 = _opencv()
    files = [
        _file(given, known, kind)
        for given, known, kind in ((detector, DETECTOR, "detector"), (recogniser, RECOGNISER, "recogniser"))
    ]
    try:
        finder = cv2.FaceDetectorYN.create(str(files[0]), "", (LEAST_SIDE, LEAST_SIDE), LEAST_SCORE)
        namer = cv2.FaceRecognizerSF.create(str(files[1]), "")
    except cv2.error as error:
        names = " and ".join(repr(file.name) for file in files)
        raise ModelUnavailable(
            f"expected a face detector and a recogniser of OpenCV in {names}, got {error}"
        ) from error

    def detect(image: np.ndarray) -> np.ndarray | None:
        finder.setInputSize((image.shape[1], image.shape[0]))
        return finder.detect(image)[1]

    def describe(image: np.ndarray, face: np.ndarray) -> np.ndarray:
        return namer.feature(namer.alignCrop(image, face))

    return Faces(" and ".join(file.stem for file in files), detect, describe)


def _opencv() -> ModuleType | Any:
    try:
        import cv2
    except ImportError as error:
        raise ModelUnavailable(
            "expected OpenCV for figures of faces, got none: pip install opencv-python-headless"
        ) from error
    return cv2


def _file(given: str, known: tuple[str, str], kind: str) -> Path:
    """A local file as it is, or the published one, from the Hub's folder on this machine if it is there."""
    if given:
        if not (file := Path(given).expanduser()).is_file():
            raise ModelUnavailable(f"expected a face {kind} as an .onnx file, got no file {file.name!r}")
        return file
    try:
        return Path(hf_hub_download(*known))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(explain(known[0], known[0], error, f"face {kind}", known[1])) from error
