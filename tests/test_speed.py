"""The benchmark of speed: every kind of work takes steps, ours and plain, and what it writes is what its table shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import speed, steps
from tests.conftest import picture
from udp.models.loading import load_model
from udp.photos import list_photos, read_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    return folder


def test_every_work_is_timed_beside_its_plain_variant(
    tiny_model_folder: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(
        speed, "in_own_process", lambda module, options, names, *one: speed.measure(options, *one)
    )  # to start Python a dozen times would take a minute
    monkeypatch.setattr(speed, "START", {"python": ["-c", ""]})
    out = tmp_path / "speed.json"
    settings = {
        "model": tiny_model_folder,
        "photos": photos,
        "count": 2,
        "batch": 2,
        "steps": 2,
        "rounds": 1,
        "lesson": 40,
    }
    threads = torch.get_num_threads()
    speed.main([*(str(part) for name, value in settings.items() for part in (f"--{name}", value)), "--threads", "1",
                "--out", str(out)])  # fmt: skip
    torch.set_num_threads(threads)
    facts = json.loads(out.read_text())
    assert [row["work"] for row in facts["rows"]] == list(speed.WORK)
    assert all(
        row[name] > 0
        for row in facts["rows"]
        for name in ("ours_seconds", "plain_seconds", "plain_bf16_seconds", "ours_gib", "gflop")
    )
    assert all(row["floor_seconds"] < row["ours_seconds"] for row in facts["rows"])
    assert speed.table(facts["rows"]) in capsys.readouterr().out
    assert facts["start_seconds"]["python"] > 0
    lesson = facts["lesson"]
    losses = [loss for name in speed.VARIANTS for loss in lesson[name]]
    assert len(losses) == 3 and 0 < max(losses) < 0.99 * lesson["before"], "each variant's steps teach"
    assert max(losses) < 1.1 * min(losses)
    assert f"after 40 steps, seeds: 1: ours {lesson['ours'][0]:.3g}" in speed.taught(lesson)


def test_the_plain_attack_stays_in_its_budget_(tiny_model_folder: Path, photos: Path) -> None:
    model = load_model(str(tiny_model_folder))
    pictures = read_photos(list_photos(photos))
    squares = next(steps.batches(model, pictures, 2))
    seen: list[torch.Tensor] = []
    original = steps.posterior

    def watched(model: object, pixels: torch.Tensor) -> torch.Tensor:
        seen.append(pixels.detach().clone())
        return original(model, pixels)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(steps.Enough):
        patch.setattr(steps, "posterior", watched)
        steps.plain_pgd(model, pictures, 2, steps.Clock(3))
    last = torch.cat(seen[-2:])
    assert 0 < (last - squares).abs().max() <= 8 / 255 + 1e-6


def test_operations_grow_with_what_a_step_holds(tiny_model_folder: Path) -> None:
    model = load_model(str(tiny_model_folder))
    few, many = speed.operations(model, 1, 2), speed.operations(model, 4, 8)
    assert all(many[work] == 4 * few[work] for work in ("fine-tuning step", "PGD step"))
    assert many["sampling step"] == few["sampling step"] > 0
