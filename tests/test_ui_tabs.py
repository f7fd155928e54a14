"""The tabs without a browser: what is chosen at first, and how presets, links and examples move their controls."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from udp.errors import InvalidInput
from udp.evaluation.arms import Arm, Report
from udp.evaluation.lab import LabReport, Row
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import RULE, Verdict, VerdictId
from udp.imitation.cleaning import CLEANINGS
from udp.imitation.prompts import PRESETS
from udp.imitation.recipes import RECIPES, LoRA
from udp.imitation.recipes.trainers import TRAINERS
from udp.language import ENGLISH, text
from udp.progress import OnProgress, Progress
from udp.protection.methods import EUDP
from udp.ui.parts.compare import Compare
from udp.ui.parts.inputs import Inputs
from udp.ui.parts.link import settings_query, settings_values
from udp.ui.parts.sampling import Sampling
from udp.ui.parts.tables import cleaning_title
from udp.ui.say import spoken, word
from udp.ui.state.context import Context
from udp.ui.state.jobs import Job
from udp.ui.state.owner import Owner
from udp.ui.state.results import SavedProtection
from udp.ui.state.sessions import Session, Sessions
from udp.ui.state.source import Source
from udp.ui.state.work import AttackWork, run_here
from udp.ui.tabs.attack import AttackTab, Saved
from udp.ui.tabs.base import Page
from udp.ui.tabs.protect import ProtectTab
from udp.ui.tabs.robustness import RobustnessTab
from udp.ui.tabs.robustness import Saved as SavedRobustness


@pytest.mark.parametrize(("model", "recipe"), [("mini", "dreambooth"), ("sd15", "lora")])
def test_the_recipe_chosen_at_first_suits_the_model(tmp_path: Path, model: str, recipe: str) -> None:
    with gr.Blocks():
        tab = AttackTab(Context(Sessions(tmp_path), Owner(model=model, models=("mini", "sd15")), run_here))
    assert tab.recipes.radio.value == recipe
    shown = [group.visible for group in tab.recipes._groups]
    assert shown == [name == recipe for name in RECIPES]


def test_sampling_starts_at_the_models_own_and_follows_it(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(owner: Owner) -> tuple[float, float]:
        with gr.Blocks():
            sampling = Sampling(owner, Inputs())
        return sampling.steps.value, sampling.guidance.value

    def moved(owner: Owner, name: str) -> list[object]:
        with gr.Blocks():
            return [getattr(update, "value", update) for update in Sampling(owner, Inputs()).moved(name)]

    def never(name: str) -> None:
        raise AssertionError(f"{name} was loaded to fill in two sliders")

    monkeypatch.setattr("udp.models.loading.load_model", never)
    assert shown(Owner()) == (20, 3.0) and shown(Owner(model="sd15")) == (50, 7.5)
    assert shown(Owner(model=str(tiny_model_folder))) == (20, 3.0)
    home = Owner(any_model=True)
    assert moved(home, "sdxl") == [50, 7.5] and moved(home, "some/model") == [50, 7.5]
    assert moved(home, str(tiny_model_folder)) == moved(home, "mini") == [20, 3.0]
    assert moved(Owner(), "some/model") == [gr.skip(), gr.skip()]


def test_what_a_link_does_not_name_suits_the_model_that_it_names(tmp_path: Path) -> None:
    context = Context(Sessions(tmp_path), Owner(models=("mini", "sd15")), run_here)
    with gr.Blocks():
        tab = RobustnessTab(context)
        tab.connect(Page(gr.Tabs()), gr.Tab("Robustness"))
    controls, sliders = tab.controls(), (tab.sampling.steps, tab.sampling.guidance)

    def arrived(query: str) -> dict[object, object]:
        return settings_values(controls, query, tab.sampling.own)

    assert arrived("?seeds=2") == {tab.seeds: 2}
    assert arrived("?model=nonsense") == {}
    assert arrived("?model=sd15") == {tab.model: "sd15", sliders[0]: 50, sliders[1]: 7.5}
    assert arrived("?model=sd15&guidance=2") == {tab.model: "sd15", sliders[0]: 50, sliders[1]: 2}
    for steps, query in ((50, "model=sd15"), (20, "model=sd15&sampling_steps=20")):  # 20 is the first model's own
        chosen = {tab.model: "sd15", sliders[0]: steps, sliders[1]: 7.5}
        values = [chosen.get(control, control.value) for _, control in controls]
        assert settings_query(controls, values, tab.sampling.own) == query
        assert arrived(query) == chosen


def test_a_preset_fills_in_every_box_that_it_has_a_text_for(tmp_path: Path) -> None:
    context = Context(Sessions(tmp_path), Owner(), run_here)
    style = PRESETS["style"]
    with gr.Blocks():
        page, attack, protect = Page(gr.Tabs()), AttackTab(context), ProtectTab(context)
        for tab in (protect, attack):
            tab.connect(page, gr.Tab(tab.kind))
    assert protect.preset.fill("style") == {protect.prompt: style.instance_prompt}
    found = attack.preset.fill("style")
    boxes = [(name, box) for name, box in attack.controls() if name == "initial_word"]
    assert {attack.instance_prompt: style.instance_prompt, attack.prompt: style.prompt}.items() <= found.items()
    assert len(boxes) == 1 and all(found[box] == getattr(style, name) for name, box in boxes)
    assert len(found) == 2 + len(boxes)
    # A link brings the boxes back, and the menu follows the prompt: it needs no name there.
    assert attack.preset.menu not in [box for _, box in attack.controls()]


def test_an_example_brings_its_prompts_to_its_own_tab(tmp_path: Path) -> None:
    context = Context(Sessions(tmp_path), Owner(), run_here)
    with gr.Blocks():
        page, attack, protect = Page(gr.Tabs()), AttackTab(context), ProtectTab(context)
        for tab in (protect, attack):
            tab.connect(page, gr.Tab(tab.kind))
    for example, preset in (("style", "style"), ("subject", "object")):
        (updates,) = protect._load_example(example, context.sessions.get("a"))
        assert updates[protect.preset.menu] == preset
        assert updates[protect.prompt] == PRESETS[preset].instance_prompt
        assert all(example in file for file in updates[protect.files])
        named = attack._name_example(example)
        assert named[attack.preset.menu] == preset and named[attack.prompt] == PRESETS[preset].prompt


def test_an_attack_on_own_sets_still_says_so_when_it_is_over(tmp_path: Path) -> None:
    context = Context(Sessions(tmp_path), Owner(), run_here)
    with gr.Blocks():
        attack = AttackTab(context)
    base = Arm("base", (), (), {})
    report = Report(base, (), Verdict(VerdictId.NO_CONTROL, 1), (text("", "<4 pictures a run>"),))
    session = context.sessions.get("a")
    for own in (True, False):
        _, updates = attack.finished(session, Saved(report, Trial(), {}, tmp_path, own))
        assert (attack.source in updates) is not own  # "Nothing is protected" took the place of "Using your own sets"
        assert ENGLISH.say(RULE)[:60] in updates[attack.figures] and "&lt;4 pictures" in updates[attack.figures]
    assert "Nothing is protected" in attack.restored(session)[attack.source]
    saved = Saved(report, Trial(), {}, tmp_path, True, (text("", "1 of 3 photos (<b>) are odd"),))
    assert "1 of 3 photos (&lt;b&gt;) are odd" in attack.finished(session, saved)[1][attack.verdict]


def pictures_in(folder: Path, arms: tuple[str, ...], count: int) -> dict[str, list[Path]]:
    found = {arm: [folder / f"{arm}-{index}.png" for index in range(count)] for arm in arms}
    for index, path in enumerate(path for row in found.values() for path in row):
        Image.fromarray(np.full((8, 8, 3), 10 * index, np.uint8)).save(path)
    return found


def test_two_arms_are_compared_seed_by_seed_and_without_loss(tmp_path: Path) -> None:
    found = pictures_in(tmp_path, ("base", "clean", "random", "protected"), 2)
    with gr.Blocks() as demo:
        compare = Compare()
        compare.connect(lambda request: found)
    updates = compare.show(found)
    assert [arm for _, arm in updates[compare.left].choices] == list(found)
    assert (updates[compare.left].value, updates[compare.right].value) == ("clean", "protected")
    assert [index for _, index in updates[compare.picture].choices] == [0, 1]
    assert updates[compare.slider] == (str(found["clean"][0]), str(found["protected"][0]))
    (handler,) = (fn for fn in demo.fns.values() if compare.slider in fn.outputs)
    assert handler.fn(SimpleNamespace(), "random", "base", 1) == (str(found["random"][1]), str(found["base"][1]))
    sent = compare.slider.postprocess(handler.fn(SimpleNamespace(), "random", "base", 1))
    for file, path in zip(sent.root, (found["random"][1], found["base"][1]), strict=True):
        assert Path(file.path).read_bytes() == path.read_bytes()
    opened = compare.slider.postprocess(tuple(Image.open(found[arm][1]) for arm in ("clean", "protected")))
    for file, arm in zip(opened.root, ("clean", "protected"), strict=True):
        assert np.array_equal(np.asarray(Image.open(file.path)), np.asarray(Image.open(found[arm][1])))
    for stale in (
        ("clean", "nobody", 0),
        ("clean", "protected", 2),
        (None, "protected", 0),
        ("clean", "protected", None),
    ):
        assert handler.fn(SimpleNamespace(), *stale) is None


@pytest.mark.parametrize(
    ("arms", "pair"),
    [
        (("base", "protected"), ("base", "protected")),
        (("base", "clean"), ("clean", "base")),
        (("base", "random"), ("base", "random")),
        (("base",), None),
        ((), None),
    ],
)
def test_what_there_is_is_compared(tmp_path: Path, arms: tuple[str, ...], pair: tuple[str, str] | None) -> None:
    with gr.Blocks():
        compare = Compare()
    updates = compare.show(pictures_in(tmp_path, arms, 1))
    assert updates[compare.box].visible is bool(pair)
    if pair:
        assert {updates[compare.left].value, updates[compare.right].value} == set(pair)


def test_the_filmstrip_has_a_row_an_arm_from_the_base_to_the_end(tmp_path: Path) -> None:
    def gray(level: int) -> np.ndarray:
        return np.full((8, 8, 3), level, np.uint8)

    def run(on_progress: OnProgress) -> None:
        on_progress(Progress("finished", 1, 1, None, "base", images=(gray(0), gray(1))))
        for step in (10, 20):
            on_progress(Progress("fine-tuning", step, 30, None, "clean", glimpse=gray(step)))
        on_progress(Progress("finished", 1, 1, None, "clean", images=(gray(30), gray(31))))
        on_progress(Progress("fine-tuning", 10, 30, None, "random", glimpse=gray(110)))

    context = Context(Sessions(tmp_path), Owner(), run_here)
    with gr.Blocks():
        attack = AttackTab(context)
    session = context.sessions.get("a")
    job = Job(run, AttackWork([], [], EUDP(), ("clean", "random"), LoRA(steps=30), Trial(), "mini"))
    assert not attack.live(session, job)[attack.film.box].visible
    job.run()
    assert all(progress.glimpse is None for progress in job.history)  # the page reads these again and again
    updates = attack.live(session, job)
    assert updates[attack.film.box].visible and updates[attack.film.box].open
    for arm, steps, levels in (("clean", (0, 10, 20, 30), (0, 10, 20, 30)), ("random", (0, 10), (0, 110))):
        column, gallery = attack.film.rows[arm]
        shown = updates[gallery].value
        assert updates[column].visible and [item["caption"] for item in shown] == [f"{step} / 30" for step in steps]
        for item, level in zip(shown, levels, strict=True):
            path = Path(item["image"]["path"])
            assert path.suffix == ".png" and np.array_equal(np.asarray(Image.open(path)), gray(level))
    assert not updates[attack.film.rows["protected"][0]].visible
    session.add_job("attack", job)
    report = Report(Arm("base", (), (), {}), (), Verdict(VerdictId.NO_CONTROL, 1))
    _, updates = attack.finished(session, Saved(report, Trial(), {}, tmp_path, True))
    assert updates[attack.film.box].visible and not updates[attack.film.box].open
    assert not updates[attack.compare.box].visible


def test_robustness_calls_paintings_paintings(tmp_path: Path) -> None:
    style = PRESETS["style"]
    with gr.Blocks():
        tab = RobustnessTab(Context(Sessions(tmp_path), Owner(), run_here))
        tab.connect(Page(gr.Tabs()), gr.Tab("Robustness"))
    filled = tab.preset.fill("style")
    assert filled[tab.prompt] == style.instance_prompt
    controls = [control for _, control in tab.controls()[:7]] + tab.recipes.components
    work = tab._work(Source([], [], EUDP()), *(filled.get(control, control.value) for control in controls))
    assert work.trial.instance_prompt == work.trial.prompt == style.instance_prompt


def test_robustness_names_cleanings_as_its_boxes_do(tmp_path: Path) -> None:
    base = Arm("base", (), (), {})
    verdict = Verdict(VerdictId.NO_CONTROL, 1)
    rows = tuple(
        Row("lora", name, Report(base, (), verdict), None, None, {}) for name in ("none", "jpeg75", "jpeg75+half")
    )
    report = LabReport(rows, "mini", Trial(), (LoRA(),))
    with gr.Blocks():
        tab = RobustnessTab(Context(Sessions(tmp_path), Owner(), run_here))
    grids = [(tmp_path / f"{row.cleaning}.png", row.cleaning) for row in rows]
    _, updates = tab.finished(Session(tmp_path), SavedRobustness(report, grids, tmp_path))
    titles = [title for _, title in updates[tab.grids]]
    boxes = {name: title for title, name in tab.cleanings.choices}
    assert boxes["jpeg75"] == f"{word(cleaning_title('jpeg75'))}"
    assert titles[:2] == ["No cleaning", ENGLISH.say(cleaning_title("jpeg75"))] and ", then " in titles[2]
    assert all(spoken(cleaning_title(row.cleaning)) in updates[tab.table] for row in rows)
    assert "Effect kept is the share" in updates[tab.table]


def test_robustness_counts_in_its_estimate_what_cleaning_the_sessions_photos_takes(tmp_path: Path) -> None:
    with gr.Blocks():
        tab = RobustnessTab(Context(Sessions(tmp_path), Owner(), run_here))
    values = [item.value for item in tab.inputs.components]
    place, session = tab.inputs.components.index(tab.cleanings), Session(tmp_path)

    def units(cleanings: list[str]) -> float:
        return tab.estimate(session, *values[:place], cleanings, *values[place + 1 :])[1]

    assert units(["invert"]) == units(["jpeg75"]), "there is nothing to clean yet"
    photos = tuple(SimpleNamespace(size=size) for size in ((64, 64), (96, 64)))
    session.protection = SavedProtection(photos, EUDP(), 1.0, tmp_path, "", 0)
    assert units(["invert"]) - units(["jpeg75"]) == pytest.approx(3 * CLEANINGS["invert"].units([(64, 64), (96, 64)]))
    assert units(["invert"]) > units(["jpeg75"])


def test_robustness_asks_for_what_its_tab_can_take(tmp_path: Path) -> None:
    context = Context(Sessions(tmp_path), Owner(), run_here)
    with gr.Blocks():
        tab = RobustnessTab(context)
    values = [control.value for _, control in tab.controls()[:7]] + [part.value for part in tab.recipes.components]
    with pytest.raises(
        InvalidInput, match="got none: start on the tab Protect, with your photos or an example"
    ) as caught:
        tab._prepare(context.sessions.get("a"), *values)
    assert "upload" not in str(caught.value)  # there is no box for it on this tab


def test_numbers_that_make_no_trial_are_refused_before_anything_runs(tmp_path: Path) -> None:
    context = Context(Sessions(tmp_path), Owner(), run_here)
    with gr.Blocks():
        attack, robustness = AttackTab(context), RobustnessTab(context)
    source = Source([], [], EUDP())
    for bad, words in (
        ({"guidance": -5}, "expected guidance between 0 and 30, got -5"),
        ({"guidance": None}, "expected guidance to be a number, got nothing"),
        ({"sampling_steps": 0}, "expected sampling_steps between 1 and 1000, got 0"),
        ({"sampling_steps": 20.5}, "expected sampling_steps to be a whole number"),
        ({"seed": -1}, "expected seed between 0 and"),
    ):
        values = {name: control.value for name, control in robustness.controls()[:7]} | bad
        with pytest.raises(InvalidInput, match=words):
            robustness._work(source, *values.values(), *(part.value for part in robustness.recipes.components))
        values = {name: control.value for name, control in attack.controls()[:8]} | bad
        with pytest.raises(InvalidInput, match=words):
            attack.estimate(
                context.sessions.get("a"), [], [], *values.values(), *(part.value for part in attack.recipes.components)
            )
    values = {name: control.value for name, control in robustness.controls()[:7]} | {"guidance": 0}
    work = robustness._work(source, *values.values(), *(part.value for part in robustness.recipes.components))
    assert work.trial.guidance == 0  # no guidance at all, not the model's own


def test_robustness_samples_as_its_sliders_say(tmp_path: Path) -> None:
    owner = Owner(model="sd15")
    with gr.Blocks():
        tab = RobustnessTab(Context(Sessions(tmp_path), owner, run_here))
    values = {name: control.value for name, control in tab.controls()[:7]}
    values["sampling_steps"] += 5
    source = Source([], [], EUDP())
    work = tab._work(source, *values.values(), *(control.value for control in tab.recipes.components))
    assert (work.trial.sampling_steps, work.trial.guidance) == (55, 7.5)


def test_every_slider_reaches_its_own_default(tmp_path: Path) -> None:
    context = Context(Sessions(tmp_path), Owner(), run_here)
    with gr.Blocks():
        tabs = (AttackTab(context), RobustnessTab(context))
    sliders = [c for tab in tabs for _, c in tab.controls() if isinstance(c, gr.Slider)]
    assert len(sliders) > 10 and all(slider.minimum <= slider.value <= slider.maximum for slider in sliders)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainers_menu_fills_in_what_its_command_line_does(name: str, tmp_path: Path) -> None:
    with gr.Blocks() as page:
        tab = AttackTab(Context(Sessions(tmp_path), Owner(), run_here))
        tab.trainer.connect(tab.recipes)
    event = next(fn for fn in page.fns.values() if fn.inputs == [tab.trainer.menu])
    filled = dict(zip(event.outputs, event.fn(name), strict=True))
    values = [filled.get(control, control.value) for control in tab.recipes.components]
    assert tab.recipes.read(values) == TRAINERS[name]
    sliders = [control for control in filled if isinstance(control, gr.Slider)]
    assert all(slider.minimum <= filled[slider] <= slider.maximum for slider in sliders)
    back = dict(zip(event.outputs, event.fn(""), strict=True))
    values = [back.get(control, control.value) for control in tab.recipes.components]
    assert tab.recipes.read(["lora", *values[1:]]) == LoRA()
