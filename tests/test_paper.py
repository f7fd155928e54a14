"""The paper's settings, each for a few steps: what takes hours for real must not fail at the end."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import paper, trials
from benchmarks.texts import parse_recipe
from tests.conftest import picture
from tests.families import build
from udp.evaluation.trial import Trial
from udp.imitation.recipes import DreamBooth
from udp.models.loading import load_model
from udp.photos import list_photos, read_photos

# The architecture of each setting's model, at the size of a test.
ARMS = ("random 16/255", "udp 16/255")
MODELS = {"ddpm": "ddpm", "ldm": "sd1", "object": "sd1", "style": "sd1"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: build(name, root / name) for name in set(MODELS.values())}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One budget and two methods, and as few steps as each kind of work has."""
    made = {arm: paper.shortened(method, 1) for arm, method in paper.methods().items() if arm in ARMS}
    monkeypatch.setattr(paper, "methods", lambda: made)
    monkeypatch.setattr(paper, "Trial", functools.partial(Trial, sampling_steps=1))
    trials.loaded.cache_clear()


def folder(place: Path, count: int = 2) -> Path:
    place.mkdir()
    for number in range(count):
        Image.fromarray(picture(number, 32, 32)).save(place / f"{number}.png")
    return place


@pytest.mark.parametrize("setting", paper.SETTINGS)
def test_every_setting_from_photos_to_figures(
    setting: str, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = "dreambooth:steps=10,batch_size=1,from_scratch=" + ("true" if setting in ("ddpm", "ldm") else "false")
    line = ["--setting", setting, "--photos", str(folder(tmp_path / "one")), "--out", str(tmp_path / "out")]
    line += ["--model", str(models[MODELS[setting]]), "--recipes", recipe, "--pictures", "2"]
    paper.main(line)
    facts = json.loads((tmp_path / "out" / f"paper-{setting}.json").read_text())
    (row,) = facts["rows"]
    assert list(row["arms"]) == ["base", "clean", *ARMS]
    assert row["arms"]["clean"]["learned"] == 1 and 0 <= row["arms"][ARMS[-1]]["precision"] <= 1
    assert row["changes"][ARMS[-1]]["psnr_db"] < 40 and row["changes"][ARMS[-1]]["gradients"] == 1
    assert row["settings"]["from_scratch"] is (setting in ("ddpm", "ldm"))
    shown = capsys.readouterr().out
    assert shown.count(f"| {ARMS[-1]} |") == 1 and "fid" in shown
    assert "udp 16/255, seed 0: 2 of 2 after" in shown and "dreambooth on clean, seed 0: 1 of 3 after" in shown


def test_what_was_finished_is_not_made_again(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, model = folder(tmp_path / "one"), str(models["ddpm"])
    only = {arm: method for arm, method in paper.methods().items() if arm == ARMS[-1]}
    monkeypatch.setattr(paper, "methods", lambda: only)
    line = ["--setting", "ddpm", "--photos", str(photos), "--out", str(tmp_path / "out"), "--model", model]
    line += ["--recipes", "dreambooth:steps=10,batch_size=1", "--pictures", "2", "--seeds", "2"]
    paper.main(line)
    record = tmp_path / "out" / "paper-ddpm.json"
    first = [row["arms"] for row in json.loads(record.read_text())["rows"]]
    assert len(first) == 2 and first[0] != first[1], "each seed has its own perturbations and fine-tunes"
    calls: list[str] = []

    def watched(kind: type, name: str):
        run = kind.run

        def counted(self, *given):
            calls.append(name)
            return run(self, *given)

        return counted

    for method in paper.methods().values():
        monkeypatch.setattr(type(method), "run", watched(type(method), method.name))
    kept = tmp_path / "out" / "paper-ddpm" / "one"
    (kept / "seed1" / "udp 16 of 255" / "1.png").unlink()  # a set that was broken off
    record.unlink()  # its rows would be taken as they are
    fits = []
    monkeypatch.setattr(DreamBooth, "trainable", lambda *given: fits.append(given))
    paper.main(line)
    assert not fits, "no arm is trained twice"
    again = [row["arms"] for row in json.loads(record.read_text())["rows"]]
    assert calls == ["udp"] and again == first


def test_protected_photos_come_back_as_they_were(models: dict[str, Path], tmp_path: Path) -> None:
    model, (method, *_) = load_model(str(models["ddpm"])), paper.methods().values()
    photos = read_photos(list_photos(folder(tmp_path / "one")))
    made, read = (trials.protected(photos, method, model, "", 0, tmp_path / "kept") for _ in range(2))
    assert [photo.name for photo in read] == [photo.name for photo in photos]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(made, read, strict=True))


def test_all_methods_at_both_budgets_are_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    made = paper.methods()
    assert len(made) == len(paper.METHODS) * len(paper.LEVELS)
    costs = {paper.gradients_of(method) for arm, method in made.items() if not arm.startswith("random")}
    assert costs == {paper.gradients_of(made["eudp 8/255"])}, "at equal cost"
    assert {round(255 * method.budget) for method in made.values()} == set(paper.LEVELS)


def test_the_plan_names_hours(models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = folder(tmp_path / "one")
    line = ["--setting", "ddpm", "--photos", str(photos), "--out", str(tmp_path / "out")]
    paper.main([*line, "--model", str(models["ddpm"]), "--recipes", "dreambooth:batch_size=1", "--plan"])
    assert "hours here without sampling" in capsys.readouterr().out and not (tmp_path / "out").exists()


@pytest.mark.parametrize("scale", paper.SCALES)
@pytest.mark.parametrize("setting", paper.SETTINGS)
def test_the_settings_are_ones_that_recipes_take(setting: str, scale: str) -> None:
    for text in paper.SETTINGS[setting][scale].recipes:
        parse_recipe(text)
