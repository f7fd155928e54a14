"""The README's subjects, from photos to figures, on the tiny model: what takes hours for real must not fail at the end."""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import subjects
from tests.conftest import picture
from udp.evaluation.trial import Trial
from udp.protection.methods import METHODS, AdvDM


class InProcess:
    """A pool that runs here, so that what is patched here holds."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work, names):
        return map(work, names)


def test_subjects_with_and_without_a_second_budget(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("ball", "cup")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(picture(number)).save(tmp_path / "photos" / name / "one.png")
    monkeypatch.setattr(subjects, "ProcessPoolExecutor", InProcess)
    monkeypatch.setitem(METHODS, "advdm", lambda **given: AdvDM(pgd_steps=1, **given))
    monkeypatch.setattr(subjects, "Trial", functools.partial(Trial, sampling_steps=1))
    out, keep = tmp_path / "out", tmp_path / "keep"
    line = [
        *("--photos", tmp_path / "photos", "--out", out, "--keep", keep, "--model", tiny_model_folder),
        *("--method", "advdm", "--recipe", "lora:steps=10", "--pictures", "1", "--shown", "cup"),
        *("--stronger", "16/255", "--stronger-for", "ball", "--workers", os.cpu_count()),  # one thread each
    ]
    monkeypatch.setattr(sys, "argv", ["subjects", *map(str, line)])
    subjects.main()
    ball, cup = json.loads((out / "subjects.json").read_text())["rows"]
    assert ball["stronger"]["budget_levels"] == 16 and "stronger" not in cup
    assert {"stronger random", "stronger protected"} <= ball["figures"].keys()
    sizes = {name: Image.open(out / f"{name}.png").size for name in ("subjects", "stronger-subjects", "shown")}
    assert sizes["stronger-subjects"] == sizes["shown"] and sizes["subjects"][1] > sizes["shown"][1]
    assert {"cup-protected.png", "ball-stronger protected.png"} <= {path.name for path in keep.iterdir()}
    assert "| mean of" in capsys.readouterr().out

    # The same command again makes nothing anew; a subject that was never finished is made again.
    written = {file: (out / file).read_bytes() for file in ("subjects.json", "subjects.png", "stronger-subjects.png")}
    made = []
    ran = subjects.run_subject
    monkeypatch.setattr(subjects, "run_subject", lambda name, *rest: made.append(name) or ran(name, *rest))
    old = json.loads((keep / "ball.json").read_text())  # kept before the verdict's rule changed
    old["row"] |= {"word": "of yore", "verdict": "of yore", "stronger": {**old["row"]["stronger"], "word": "of yore"}}
    (keep / "ball.json").write_text(json.dumps(old))
    subjects.main()
    assert not made and {file: (out / file).read_bytes() for file in written} == written
    (keep / "cup.json").unlink()
    subjects.main()
    assert made == ["cup"]
