"""What CONTRIBUTING.md promises: each kind of thing is added by one file or row, and is found everywhere."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import gradio as gr
import pytest
from diffusers import ConsistencyModelPipeline, DDPMScheduler

import udp.language
from tests.families import SIDE, unconditional_unet
from udp import protect
from udp.cli import main
from udp.errors import ModelUnavailable
from udp.evaluation.metrics.table import METRICS
from udp.imitation.cleaning import CLEANINGS
from udp.imitation.recipes import RECIPES
from udp.language import ENGLISH, language_of, text
from udp.models.loading import FAMILIES, load_model
from udp.models.registry import MODELS, ModelRow
from udp.photos import Photo
from udp.protection.methods import METHODS
from udp.ui import page, say
from udp.ui.page import launch_options
from udp.ui.parts.fields import Choice
from udp.ui.parts.tables import cleaning_title
from udp.ui.say import spoken, word
from udp.ui.state.owner import Owner
from udp.ui.state.values import from_names
from udp.ui.tabs import about

TOYS = """
from dataclasses import dataclass
from typing import ClassVar

import gradio as gr
import numpy as np

from udp.evaluation.metrics.base import Extractor, Metric
from udp.evaluation.metrics.figures import Imitation
from udp.imitation.cleaning.base import Cleaning
from udp.imitation.recipes import DreamBooth
from udp.language import ENGLISH, Language
from udp.models.unconditional import PixelDiffusion
from udp.protection.methods import RandomNoise
from udp.settings import setting
from udp.ui.tabs.base import Tab


@dataclass(frozen=True)
class ToyMethod(RandomNoise):
    grain: float = setting(1.0, "how coarse the toy is", 0, 4, 0.5)
    name: ClassVar[str] = "toy-method"
    title: ClassVar[str] = "Toy method"


@dataclass(frozen=True)
class ToyRecipe(DreamBooth):
    name: ClassVar[str] = "toy-recipe"
    title: ClassVar[str] = "Toy recipe"


@dataclass(frozen=True)
class ToyCleaning(Cleaning):
    name = "toy-cleaning"
    title = "Toy cleaning"
    reference = "none"

    def run(self, pixels, model, generator, on_share):
        return 255 - pixels


class ToyFamily(PixelDiffusion):
    pipelines: ClassVar[tuple[str, ...]] = ("ConsistencyModelPipeline",)


class ToyTab(Tab):
    kind = "toy"

    def __init__(self, context):
        super().__init__(context)
        gr.HTML("Toy page")


METRIC = Metric(
    "toy_brightness", "Toy brightness", "Mean level of a picture.", Imitation,
    lambda x: np.array([image.mean() for image in x.images]), Extractor.PIXELS,
)
LANGUAGE = Language("xx", {"tab.toy": "Xtoys", "tab.protect": "Xprotect", "job.done": "Xdone", "method.toy-method": "Xtoy"}, ENGLISH)
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The toys, registered as their one line would."""
    place = tmp_path / "toys.py"
    place.write_text(TOYS)
    spec = importlib.util.spec_from_file_location("toys", place)
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "toys", made)  # a dataclass looks up its module
    spec.loader.exec_module(made)
    monkeypatch.setitem(METHODS, "toy-method", made.ToyMethod)
    monkeypatch.setitem(RECIPES, "toy-recipe", made.ToyRecipe)
    monkeypatch.setitem(CLEANINGS, "toy-cleaning", made.ToyCleaning())
    monkeypatch.setitem(METRICS, "toy_brightness", made.METRIC)
    languages = (*udp.language.LANGUAGES, made.LANGUAGE)
    for place in (udp.language, say, about):
        monkeypatch.setattr(place, "LANGUAGES", languages)
    return made


def test_a_method_a_recipe_a_cleaning_and_a_metric_are_on_the_command_line_and_in_the_report(
    toys: ModuleType, photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = [
        "evaluate",
        str(photo_files[0].parent),
        "--out",
        str(tmp_path / "out"),
        "--model",
        str(tiny_model_folder),
    ]
    command += ["--method", "toy-method", "--grain", "2", "--recipes", "toy-recipe", "--recipe-steps", "10"]
    command += [
        "--recipe-prior-preservation",
        "no",
        "--pictures",
        "2",
        "--sampling-steps",
        "2",
        "--cleaning",
        "none,toy-cleaning",
    ]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "| toy-recipe | none |" in shown and "| toy-recipe | toy-cleaning |" in shown
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["method"]["name"] == "toy-method" and report["method"]["grain"] == 2
    row = report["rows"][0]
    assert all(0 < figures["toy_brightness"] < 255 for figures in row["figures"].values())
    assert len(row["intervals"]["clean"]["toy_brightness"]) == 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Toy brightness" in page and "Mean level of a picture." in page


def test_they_have_their_controls_and_titles(toys: ModuleType) -> None:
    assert from_names(METHODS, "toy-method", {"grain": 3}) == toys.ToyMethod(grain=3)
    with gr.Blocks():
        methods, recipes = Choice("method"), Choice("recipe")
        for choice in (methods, recipes):
            choice.choose("protect.method", "protect.method.help")
            choice.advanced()
    assert "grain" in [name for name, _ in methods.named("method")]
    assert ("Toy recipe", "toy-recipe") in recipes.radio.choices
    assert "toy-method" in [name for _, name in methods.radio.choices]
    assert spoken(toys.METRIC.heading) == "Toy brightness"
    assert spoken(cleaning_title("toy-cleaning")) == "Toy cleaning"


def test_a_language_is_on_the_page(toys: ModuleType) -> None:
    found = launch_options()
    assert found["i18n"].translations["xx"]["tab_protect"] == "Xprotect"
    assert found["i18n"].translations["xx"]["tab_attack"] == ENGLISH.texts["tab.attack"]
    assert found["i18n"].translations["xx"]["method_toy-method"] == "Xtoy"
    assert ".speaks-xx .in-en" in found["head"] and "['zh', 'xx']" in found["head"]
    assert '<span class="in-xx" lang="xx">Xdone</span>' in spoken(text("job.done"))
    assert str(word(say.entry_title("method", "toy-method"))) != "Toy method"
    assert language_of("xx-YY,en;q=0.5") is toys.LANGUAGE
    assert '<div class="in-xx" lang="xx">' in about.about(10)


def test_a_tab_is_on_the_page_and_its_title_in_every_language(
    toys: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "TABS", (*page.TABS, toys.ToyTab))
    monkeypatch.setitem(ENGLISH.texts, "tab.toy", "Toys")
    blocks = page.build().blocks.values()
    assert [block.id for block in blocks if isinstance(block, gr.Tab)] == [kind.kind for kind in page.TABS]
    assert any(isinstance(block, gr.HTML) and block.value == "Toy page" for block in blocks)
    spoken_there = launch_options()["i18n"].translations
    assert (spoken_there["en"]["tab_toy"], spoken_there["xx"]["tab_toy"]) == ("Toys", "Xtoys")


def test_a_model_family_is_loaded_and_offered(
    toys: ModuleType, photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "model")
    ConsistencyModelPipeline(unet=unconditional_unet(SIDE, 3), scheduler=DDPMScheduler()).save_pretrained(folder)
    with pytest.raises(ModelUnavailable, match="got ConsistencyModelPipeline"):
        load_model(folder)
    monkeypatch.setitem(FAMILIES, *toys.ToyFamily.pipelines, toys.ToyFamily)
    row = ModelRow("toy-model", folder, "Toy model", "CC0", SIDE, 0.1, needs_gpu=False, small=True)
    monkeypatch.setitem(MODELS, "toy-model", row)
    model = load_model("toy-model")
    load_model.cache_clear()  # nobody else is to find it
    assert type(model) is toys.ToyFamily and "toy-model" in Owner().offered
    (after,) = protect(photos[:1], model, method="advdm", pgd_steps=2)
    assert (after.pixels != photos[0].pixels).any()
