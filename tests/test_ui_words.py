"""The page in two languages: nothing translated that is not said, nothing on the main path that is not translated."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from udp import ui
from udp.evaluation import verdict as verdicts
from udp.evaluation.interval import Interval
from udp.evaluation.metrics.figures import Reference
from udp.evaluation.metrics.table import METRICS
from udp.evaluation.pairs import pair_warnings
from udp.imitation.recipes import LoRA
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.protection.methods import EUDP
from udp.ui.language.phrases import LANGUAGE, PHRASES, chinese, spoken
from udp.ui.language.words import WELCOME, ZH, key_of, translations, word
from udp.ui.parts import progress, tables
from udp.ui.parts.fields import control, settings_of
from udp.ui.parts.layout import plot_of
from udp.ui.parts.theme import HEAD
from udp.ui.state import source as attack_source
from udp.ui.state.pace import Pace
from udp.ui.tabs.about import about
from udp.ui.tabs.job_tab import STOPPED
from udp.ui.tabs.robustness import KEPT

UI = Path(ui.__file__).parent
SOURCES = [p.read_text() for p in UI.parent.rglob("*.py") if p.name not in ("words.py", "phrases.py")]
HAN = re.compile("[\u4e00-\u9fff]")


def test_translated_words_are_the_ones_on_the_page() -> None:
    source = "\n".join(SOURCES)
    controls = [control(item) for kind in (EUDP, LoRA) for item in settings_of(kind, advanced=False)]
    made = {text.key for one in controls for text in (one.label, one.info)}  # from the fields' names and helps
    unused = [text for text in ZH if text != WELCOME and f'"{text}"' not in source and key_of(text) not in made]
    # Texts in several pieces, or with a number filled in, are looked for by their ends.
    assert not [text for text in unused if text[:30] not in source and text[-30:] not in source]
    assert len({key_of(text) for text in ZH}) == len(ZH) and all("." not in key_of(text) for text in ZH)
    found = translations().translations
    assert set(found["en"]) == set(found["zh"]) == set(found["zh-CN"])
    assert str(word("Protect")) != "Protect" and word("not translated") == "not translated"


def test_phrases_are_the_ones_that_are_said() -> None:
    source = "\n".join(SOURCES).lower()
    said = {text for text in PHRASES if text.lower() in source} | {row.heading for row in METRICS.values()}
    # Texts in several pieces are looked for by their ends.
    assert not [text for text in PHRASES if text not in said and text[:40].lower() not in source]


def test_what_a_run_says_is_said_in_chinese() -> None:
    main_path = [
        STOPPED, "Done.", "Stopping.", attack_source.NOTHING, tables.LEARNED, verdicts.RULE, KEPT,
        *progress.ARM_TITLES.values(),
        "Done: 1 photo protected, every pixel within its budget.",
        "Done: 6 photos protected, every pixel within its budget.", "Using your own sets: 2 clean and 2 protected.",
        "Using the example subject protected in this session: EUDP, budget 8/255.",
        "Using the photo protected in this session: EUDP, budget 8/255.",
        "Using the 3 photos protected in this session: Random noise, budget 4/255.", "2 runs before yours",
        *(progress.time_left(seconds) for seconds in (None, 1, 12.4, 41, 130, 7200)),
        *(text for row in METRICS.values() for text in (row.heading, row.help)),
    ]  # fmt: skip
    pace = Pace()
    main_path.append(pace.text("some/model", 10))
    for seconds in (10, 300, 9000):
        pace.note("some/model", 1, seconds)
        main_path.append(pace.text("some/model", 1))
    stages = ("loading the model", "training the surrogate", "perturbing the photos", "fine-tuning", "generating",
              "choosing timesteps")  # fmt: skip
    main_path += [f"Clean: {stage}" for stage in stages] + [stage.capitalize() for stage in stages]
    assert not [text for text in main_path if chinese(text) is None]
    for row in METRICS.values():
        assert HAN.search(chinese(row.help))
    assert all(f'"{stage}"' in "".join(SOURCES) for stage in stages)


def test_what_is_odd_about_two_sets_is_said_in_chinese(photos: list[Photo]) -> None:
    other, small = replace(photos[0], pixels=255 - photos[0].pixels), replace(photos[1], pixels=photos[1].pixels[:80])
    warnings = pair_warnings(photos, [other, small, photos[2]])
    assert len(warnings) == 3
    for text in warnings:
        found = chinese(text)
        assert found and HAN.search(found) and not re.search("clean|photos", found)


def test_every_verdict_is_said_in_chinese() -> None:
    one, several = Interval(0.28, None, None, 1), Interval(-0.03, -0.2, 0.14, 3)
    far, near = Interval(2.13, None, None, 1), Interval(-1.0, -2.0, 0.5, 3)
    words = (verdicts.COLLAPSED, verdicts.DEGRADED, verdicts.NO_EFFECT, verdicts.SEEDS_DISAGREE)
    for word_, share, excess, seeds in itertools.product(words, (one, several), (far, near, Interval(0, None, None, 1)), (1, 3)):  # fmt: skip
        sentence = verdicts._sentence(word_, {"protected": share, "random": one}, excess, seeds)
        assert chinese(sentence), sentence
    sentence = verdicts._sentence(verdicts.DEGRADED, {"protected": several, "random": one}, near, 3)
    assert chinese(sentence) == (
        "削弱：保护妨碍了模仿者，但没有阻止。以原图所教的为 100%，模仿者从受保护的照片学到 不足零（-3%, -20% 至 14%），从加随机噪声的照片"
        "学到 28%；与两个对照组中较差的一个相比，其图片纹理离真实照片近 1.0 dB（离真实照片近 2.0 dB至离真实照片远 0.5 dB）。3 个随机种子。"
    )


@pytest.mark.parametrize(("clean", "moved"), [(0.97, "fell by 3%"), (1.12, "rose by 12%")])
def test_a_clean_arm_that_learned_nothing_is_told_of_in_both_languages(clean: float, moved: str) -> None:
    runs = {name: [{"clean_loss": clean, "texture_distance": 1.0}] for name in ("clean", "random", "protected")}
    sentence = verdicts.judge([{"clean_loss": 1.0}], runs).sentence
    assert moved in sentence and chinese(sentence)
    no_control = verdicts.judge([{"clean_loss": 1.0}], {}).sentence
    assert chinese(no_control), no_control


def test_what_the_figures_rest_on_is_said_in_chinese(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    pictures = [photo.pixels for photo in photos]
    basis = Reference.of(tiny_model, photos, "a toy", pictures).basis(3)
    assert chinese(basis).startswith("每次运行每组 3 张图片") and chinese(f"{basis} CLIP.").endswith(" CLIP.")


def test_what_is_known_in_one_language_is_shown_once() -> None:
    assert spoken("<b>not known") == "&lt;b&gt;not known"
    assert spoken("Done.").count("<span") == 2 and 'lang="zh"' in spoken("Done.")
    assert LANGUAGE in HEAD
    assert "</span>" in progress.message("Stopping.") and "正在停止。" in progress.message("Stopping.")


@pytest.mark.parametrize(
    ("asked", "series", "title"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", {"原图", "随机噪声", "受保护"}, "损失"),
        ("en-GB,zh;q=0.5", set(progress.ARM_COLOURS), "Loss"),
    ],
)
def test_a_plot_speaks_the_language_that_the_browser_asks_for_first(asked: str, series: set[str], title: str) -> None:
    log = progress.LossLog(progress.ARM_COLOURS)
    update = plot_of(log, "Set", gr.Request(headers={"accept-language": asked}))
    assert set(update.color_map) == series == {row[2] for row in update.value["data"]}
    assert list(update.color_map.values()) == list(progress.ARM_COLOURS.values())
    assert update.y_title == title and plot_of(log, "Set", gr.Request(headers={})).y_title == "Loss"


def test_the_page_about_says_the_same_in_both_languages() -> None:
    english, translated = about(10).split('<div class="in-zh"')
    for tag in ("<h2>", "<li>", "<b>", "<a ", "<pre"):
        assert english.count(tag) == translated.count(tag), tag
    assert "关闭页面 10 分钟后删除" in translated and not HAN.search(english)
