"""The finished runs that the page shows at once: true to what the page would run today, small, and complete."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tests.kept import VERDICT
from udp.evaluation.arm_names import TRAINED
from udp.evaluation.verdict import Verdict, VerdictId
from udp.imitation.recipes import DreamBooth
from udp.language import CHINESE, ENGLISH
from udp.models.loading import load_model
from udp.photos import read_photo
from udp.ui.page import TABS, build
from udp.ui.state.context import Context
from udp.ui.state.kept import (
    FINISHED,
    KEPT,
    MODEL,
    RECIPE,
    example_work,
    read_kept,
    settings_of,
    stale,
    verdict_from,
)
from udp.ui.state.owner import Owner
from udp.ui.state.sessions import Session, Sessions
from udp.ui.state.work import run_here
from udp.ui.tabs import example
from udp.ui.tabs.attack import AttackTab
from udp.ui.tabs.example import ExampleTab, outcome

MOST_BYTES = 1_500_000


@pytest.mark.parametrize("name", FINISHED)
def test_the_kept_runs_are_what_the_page_would_run_today(name: str) -> None:
    run = read_kept(name)
    assert run is not None, f"expected a whole run in examples/kept/{name}: python -m benchmarks.kept"
    assert not stale(run), "the defaults, the photos or the weights have changed since: python -m benchmarks.kept"


def test_they_are_small_and_within_the_budget() -> None:
    assert sum(path.stat().st_size for path in KEPT.rglob("*") if path.is_file()) < MOST_BYTES
    for run in map(read_kept, FINISHED):
        before, after = (read_photo(path).pixels.astype(int) for path in (run.photo, run.protected))
        levels = round(run.settings["protection"]["budget"] * 255)
        assert 0 < np.abs(after - before).max() <= levels


@pytest.mark.parametrize("name", FINISHED)
def test_a_run_starts_from_the_defaults_of_the_page(name: str, tmp_path: Path) -> None:
    with gr.Blocks():
        tab = AttackTab(Context(Sessions(tmp_path), Owner(), run_here))
        tab.preset.connect(tab.instance_prompt, tab.controls())
    values = {component: component.value for component in tab.inputs.components} | tab._name_example(name)
    work, _ = tab._work(Session(tmp_path), name, *values.values())
    assert settings_of(work) == settings_of(example_work(name))


def test_a_model_of_the_embedded_ones_size_is_what_the_settings_are_filled_in_for() -> None:
    assert load_model(MODEL).small and DreamBooth.name == RECIPE


def test_what_is_written_is_read_back(kept: Path) -> None:
    run = read_kept("subject", kept)
    assert (run.made, run.seeds, run.photo.name) == ("2026-01-02", [0, 1, 2], "toy_01.png")
    assert run.verdict == VERDICT == verdict_from(json.loads((kept / "subject" / "run.json").read_text())["verdict"])
    assert {str(arm): 3 for arm in TRAINED} == {arm: len(paths) for arm, paths in run.pictures.items()}
    assert np.array_equal(read_photo(run.protected).pixels, read_photo(run.photo).pixels)
    assert not stale(run)


def test_other_settings_or_weights_make_a_run_stale(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_kept("style", kept)
    hasty = replace(example_work("style"), recipe=DreamBooth(steps=12))
    assert stale(replace(run, settings=settings_of(hasty))) == [
        f"recipe.steps: 12 then, {run.settings['recipe']['steps']} now"
    ]
    monkeypatch.setattr("udp.ui.state.kept.files_digest", lambda folder: "others")
    assert stale(run) == [f"weights: {run.settings['weights']!r} then, 'others' now"]


def test_a_broken_run_is_none(kept: Path, tmp_path: Path) -> None:
    assert read_kept("subject", tmp_path) is None
    (tmp_path / "subject").mkdir()
    text = (kept / "subject" / "run.json").read_text()
    for content in ("", "{}", text.replace("degraded", "perfect"), text):  # the last lacks its pictures
        (tmp_path / "subject" / "run.json").write_text(content)
        assert read_kept("subject", tmp_path) is None


def test_the_first_screen_says_what_came_out_in_every_language(kept: Path) -> None:
    shown = outcome(read_kept("subject", kept))
    for language in (ENGLISH, CHINESE):
        assert language.say(VERDICT.claim) in shown
    assert "learned 40% of what the clean ones teach, from random noise 90%" in shown and "2026-01-02" in shown
    assert shown.count('<img src="data:image/jpeg;base64,') == 9 and "<b>" not in shown
    unlearned = replace(read_kept("subject", kept), verdict=Verdict(VerdictId.NOT_LEARNED, 1, lesson=0.02))
    assert "clean arm failed to learn" in outcome(unlearned)
    assert "style can be recognised" not in shown
    of_style = outcome(replace(read_kept("subject", kept), name="style"))
    assert "to the eye the style can be recognised in every picture" in of_style and "每张图片都认得出" in of_style


def test_every_picture_of_the_first_screen_opens_large_and_its_run_can_be_compared(
    kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = outcome(read_kept("subject", kept))
    assert shown.count('class="kept-picture"') == 9 and shown.count("<dialog") == 1
    assert shown.count('aria-label="Enlarge: What the imitator got') == 9
    monkeypatch.setattr(example, "read_kept", lambda name: read_kept(name, kept))
    with gr.Blocks():
        tab = ExampleTab(Context(Sessions(tmp_path), Owner(), run_here))
    for name in FINISHED:
        updates = tab.compare.show(tab._pictures(name))
        assert updates[tab.compare.box].visible and len(updates[tab.compare.picture].choices) == 3
        for picture, arm in zip(updates[tab.compare.slider], ("clean", "protected"), strict=True):
            assert np.array_equal(np.asarray(picture), np.asarray(Image.open(kept / name / f"{arm}-0.jpg")))


def test_the_page_works_without_kept_runs(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    def first() -> str:
        tabs = [block for block in build().blocks.values() if isinstance(block, gr.Tab)]
        return tabs[0].id

    monkeypatch.setattr(example, "read_kept", lambda name: read_kept(name, kept))
    assert first() == "example" == TABS[0].kind and ExampleTab.offered()
    monkeypatch.setattr(example, "read_kept", lambda name: None)
    assert first() == "protect" and not ExampleTab.offered()


def test_pictures_of_the_imitator_keep_their_size(kept: Path) -> None:
    with Image.open(kept / "style" / "protected-2.jpg") as image:
        assert image.size == (128, 128)
