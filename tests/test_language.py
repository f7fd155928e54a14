"""What is said, in every language: nothing is missing, nothing is left over, and the page shows each in its own."""

from __future__ import annotations

import inspect
import itertools
import pickle
import re
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
import torch

import udp
from udp.errors import UnreadablePhoto
from udp.evaluation.arm_names import ArmName, arm_title
from udp.evaluation.interval import Interval
from udp.evaluation.metrics.figures import Reference
from udp.evaluation.metrics.table import METRICS
from udp.evaluation.pairs import pair_warnings
from udp.evaluation.verdict import LIKENESSES, RULE, Verdict, VerdictId, judge
from udp.imitation.cleaning import CLEANINGS
from udp.language import CHINESE, ENGLISH, LANGUAGES, Language, Text, language_of, text
from udp.language.base import Entry
from udp.models.base import DiffusionModel
from udp.photos import Photo, read_photo
from udp.progress import Stage
from udp.ui.page import TABS, build, launch_options
from udp.ui.parts import progress
from udp.ui.parts.fields import everyday_texts
from udp.ui.parts.layout import plot_of
from udp.ui.parts.tables import cleaning_title
from udp.ui.parts.theme import head
from udp.ui.say import REGISTRIES, entry_title, key_of, spoken, word
from udp.ui.state.pace import Pace, duration
from udp.ui.tabs.about import about

HAN = re.compile("[\u4e00-\u9fff]")
OTHERS = [pytest.param(language, id=language.code) for language in LANGUAGES[1:]]


def sources() -> str:
    paths = [path for path in Path(udp.__file__).parent.rglob("*.py") if "language" not in path.parts]
    return "\n".join(path.read_text() for path in paths)


def titles() -> Iterator[Text]:
    """What stands in English beside its code."""
    for row in METRICS.values():
        yield from (text(f"metric.{row.key}", row.title), row.meaning)
    for registry, found in REGISTRIES.items():
        yield from (entry_title(registry, name) for name in found)
    yield from map(arm_title, ArmName)
    yield from map(cleaning_title, CLEANINGS)
    yield from everyday_texts()


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_says_everything_and_nothing_else(language: Language) -> None:
    needed = {*ENGLISH.texts, *(title.id for title in titles())}
    assert not needed - set(language.texts), "these are not said in it"
    assert not set(language.texts) - needed, "nobody says these"


def test_english_has_each_text_once_and_says_no_other() -> None:
    assert all(title.english and title.id not in ENGLISH.texts for title in titles())
    written = sources()
    made = {f"verdict.{id}{end}" for id in VerdictId for end in ("", ".word")}
    made |= {f"verdict.likeness.{key}" for key in (*LIKENESSES, "none")}
    made |= {f"tab.{kind.kind}" for kind in TABS}
    made |= {f"stage.{stage.replace(' ', '_')}" for stage in Stage}
    prefixes = (
        "about.",
        "example.",
        "strength.",
        "visibility.",
        "source.example.",
        "pairs.kind.",
        "kept.",
    )  # the rest of the id is a value
    unused = [
        id
        for id in ENGLISH.texts
        if f'"{id}"' not in written
        and f"'{id}'" not in written
        and id not in made
        and not (id.startswith(prefixes) and id.rsplit(".", 1)[-1] in written)
    ]
    assert not unused
    ids = [key_of(id) for id in {*ENGLISH.texts, *(title.id for title in titles())}]
    assert len(set(ids)) == len(ids)


def test_every_stage_of_a_run_has_a_text() -> None:
    found = set(Stage) - {Stage.PROTECTED_EARLIER}  # only the command line resumes a protection
    assert not [stage for stage in found if progress.stage_title(stage).id not in ENGLISH.texts]


def values_of(entry: Entry) -> set[str]:
    if callable(entry):
        return set(inspect.signature(entry).parameters)
    return {name for _, name, _, _ in string.Formatter().parse(entry) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_fills_in_the_same_values(language: Language) -> None:
    known = {id: entry for id, entry in language.texts.items() if id in ENGLISH.texts}
    assert not [id for id, entry in known.items() if values_of(entry) - values_of(ENGLISH.texts[id])]
    # A number may be left out where a language does not count, a name never.
    missing = [
        id for id, entry in known.items() if values_of(ENGLISH.texts[id]) - values_of(entry) - {"count", "number"}
    ]
    assert not missing


@pytest.mark.parametrize("language", OTHERS)
def test_every_verdict_is_said_without_a_word_of_english(language: Language) -> None:
    one, several = Interval(0.28, None, None, 1), Interval(-0.03, -0.2, 0.14, 3)
    far, near, same = Interval(2.13, None, None, 1), Interval(-1.0, -2.0, 0.5, 3), Interval(0, None, None, 1)
    for id, share, excess, seeds in itertools.product(VerdictId, (one, several), (far, near, same), (1, 3)):
        shown = Verdict(id, seeds, {"protected": share, "random": one}, share, excess, 0.03, share)
        for said in (
            shown.sentence,
            replace(shown, excess_db=None).sentence,
            replace(shown, likeness=None).sentence,
            shown.word,
            *(replace(shown, likeness_by=key).judge_of_likeness for key in ("", *LIKENESSES)),
        ):
            assert not re.search("[a-z]{3}", language.say(said)), language.say(said)
    assert language.say(RULE) != ENGLISH.say(RULE)


def test_a_verdict_in_chinese() -> None:
    shares = {"protected": Interval(-0.03, -0.2, 0.14, 3), "random": Interval(0.28, None, None, 1)}
    shown = Verdict(VerdictId.DEGRADED, 3, shares, None, Interval(-1.0, -2.0, 0.5, 3))
    assert CHINESE.say(shown.sentence) == (
        "削弱：保护妨碍了模仿者，但没有阻止。以原图所教的为 100%，模仿者从受保护的照片学到 不足零（-3%，-20% 至 14%），从加随机噪声的照片"
        "学到 28%；与两个对照组中较差的一个相比，其图片纹理离真实照片近 1.0 dB（离真实照片近 2.0 dB至离真实照片远 0.5 dB）。3 个随机种子。"
    )


@pytest.mark.parametrize(
    ("clean", "moved", "bewegt"), [(0.97, "fell by 3%", "下降了 3%"), (1.12, "rose by 12%", "上升了 12%")]
)
def test_a_clean_arm_that_learned_nothing_is_told_of(clean: float, moved: str, bewegt: str) -> None:
    runs = {name: [{"clean_loss": clean, "texture_distance": 1.0}] for name in ("clean", "random", "protected")}
    said = judge([{"clean_loss": 1.0}], runs).sentence
    assert moved in ENGLISH.say(said) and bewegt in CHINESE.say(said)


def test_what_is_odd_about_two_sets_is_said_in_chinese(photos: list[Photo]) -> None:
    other, small = replace(photos[0], pixels=255 - photos[0].pixels), replace(photos[1], pixels=photos[1].pixels[:80])
    warnings = [CHINESE.say(warning) for warning in pair_warnings(photos, [other, small, photos[2]])]
    assert len(warnings) == 3 and "原图 96 x 96" in warnings[0]
    assert not [said for said in warnings if re.search("clean|photos", said)]


VALUES = {
    "name": "1.jpg",
    "mode": "CMYK",
    "error": "",
    "reason": text("unreadable.empty"),
    "found": text("unreadable.far_more"),
    "side": 12_000,
    "width": 20_000,
    "height": 80,
    "megapixels": 60,
    "pictures": 4,
    "share": 0.5,
    "cells": "",
}


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", ["note", "unreadable", "lab"])
def test_what_is_said_of_files_and_before_a_report_has_no_word_of_english(kind: str, language: Language) -> None:
    found = [id for id in ENGLISH.texts if id.startswith(f"{kind}.")]
    assert len(found) > 3
    for id in found:
        said, english = (each.say(text(id, **VALUES)) for each in (language, ENGLISH))
        words = re.sub("jpg|[A-Z]+[a-z]*|sRGB|git lfs pull|--seeds", "", said)
        assert said != english and not re.search("[a-z]{3}", words), said


def test_what_was_wrong_with_a_file_is_an_error_in_english_and_a_text_for_every_language(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    with pytest.raises(UnreadablePhoto, match=r"^expected '1.jpg' to be a PNG.*as one: it is empty$") as caught:
        read_photo(tmp_path / "1.jpg")
    assert CHINESE.say(caught.value.said).endswith("但无法读取：文件是空的")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.said == caught.value.said and str(again) == str(caught.value)


def test_what_the_figures_rest_on_is_said_in_chinese(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    pictures = [photo.pixels for photo in photos]
    said = Reference.of(tiny_model, photos, "a toy", pictures).basis(3)
    assert CHINESE.say(said).startswith("每次运行每组 3 张图片，与 3 张原图比较")


@pytest.mark.parametrize(
    ("units_for_bfloat16", "capability", "said"),
    [(True, "AVX512", "6 min"), (False, "AVX512", "8 min"), (False, "AVX2", "19 min"), (False, "DEFAULT", "19 min")],
)
def test_the_first_guess_knows_what_the_processor_has(
    units_for_bfloat16: bool, capability: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr("udp.ui.state.pace.computes_in_bfloat16", lambda device: units_for_bfloat16)
    assert f"about {said} on two" in ENGLISH.say(Pace().estimate("mini", 10_000))


def test_times_are_said_in_each_language() -> None:
    pace = Pace()
    assert "No estimate" in ENGLISH.say(pace.estimate("some/model", 10))
    for seconds, english, chinese in ((10, "10 s", "10 秒"), (300, "5 min", "5 分钟"), (9000, "2.5 h", "2.5 小时")):
        assert (ENGLISH.say(duration(seconds)), CHINESE.say(duration(seconds))) == (english, chinese)
    pace.note("some/model", 100, 300)
    assert "大约需要 5 分钟" in CHINESE.say(pace.estimate("some/model", 100))
    assert CHINESE.say(progress.time_left(41)) == "约剩 40 秒"


def test_a_text_without_an_entry_is_said_in_english_and_one_without_any_is_an_error() -> None:
    assert CHINESE.say(text("method.new", "A new method")) == "A new method" == CHINESE.say("A new method")
    with pytest.raises(KeyError, match="no text 'nonsense'"):
        CHINESE.say(text("nonsense"))


def test_what_is_the_same_in_all_languages_is_shown_once() -> None:
    assert spoken("<b>not known") == "&lt;b&gt;not known" == spoken(text("method.new", "<b>not known"))
    done = spoken(text("job.done"))
    assert done.count("<span") == len(LANGUAGES) and 'lang="zh"' in done and "Done." in done
    assert ".speaks-zh .in-en" in head()
    assert "正在停止。" in progress.message(text("job.stopping")) and "</span>" in progress.message(
        text("job.stopping")
    )


def test_labels_are_translated_by_the_browser() -> None:
    found = launch_options()["i18n"].translations
    assert set(found) == {*(language.code for language in LANGUAGES), "zh-CN"}
    assert len({tuple(table) for table in found.values()}) == 1 and all("." not in key for key in found["en"])
    assert found["en"]["tab_protect"] == "Protect" and found["zh"]["tab_protect"] == "保护"
    assert found["en"]["method_eudp"].startswith("EUDP (") and "16" in found["zh"]["protect_photos_help"]
    assert str(word("tab.protect")) != "Protect" and word(text("method.new", "A new method")) == "A new method"


def test_every_label_on_the_page_is_in_the_table_of_the_browser() -> None:
    known = launch_options()["i18n"].translations["en"]
    keys = re.findall(r'"translation_metadata", "key": "([^"]+)"', str(build().get_config_file()))
    assert len(set(keys)) > 60 and not set(keys) - set(known)


@pytest.mark.parametrize(
    ("asked", "language"), [("zh-CN,zh;q=0.9,en;q=0.8", CHINESE), ("en-GB,zh;q=0.5", ENGLISH), ("", ENGLISH)]
)
def test_a_plot_speaks_the_language_that_the_browser_asks_for_first(asked: str, language: Language) -> None:
    assert language_of(asked) is language
    log = progress.LossLog(progress.ARM_SERIES)
    update = plot_of(log, "plot.set", gr.Request(headers={"accept-language": asked}))
    series = [language.say(one.title) for one in progress.ARM_SERIES.values()]
    assert list(update.color_map) == series and set(series) == {row[2] for row in update.value["data"]}
    assert list(update.color_map.values()) == [one.colour for one in progress.ARM_SERIES.values()]
    assert update.y_title == language.say(text("plot.loss")) and update.color_title == language.say(text("plot.set"))


def test_the_page_about_says_the_same_in_every_language() -> None:
    english, *others = re.split(r'<div class="in-\w+" lang', about(10))
    assert others and not HAN.search(english) and "deleted 10 minutes after" in english
    for translated, tag in itertools.product(others, ("<h2>", "<li>", "<b>", "<a ", "<pre")):
        assert english.count(tag) == translated.count(tag), tag
    assert "关闭页面 10 分钟后删除" in others[0]
