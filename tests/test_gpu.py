"""Work on a GPU that is lent by the second: a call for every part, and what is kept when the time is over."""

from __future__ import annotations

import runpy
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch

from tests.lent import Lender
from udp.errors import InvalidInput, NothingLearned, OutOfTime, Stopped
from udp.evaluation.arms import Arm, Report
from udp.evaluation.bench import Bench
from udp.evaluation.cells import MemoryStore, Store
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.recipes import LoRA
from udp.language import CHINESE, ENGLISH
from udp.photos import Photo
from udp.progress import OnProgress, Progress, Stage
from udp.protection.folder import Protection
from udp.protection.methods import EUDP
from udp.ui.state.context import Context
from udp.ui.state.gpu import MOST_SECONDS, LentGpu, Step, is_lent
from udp.ui.state.owner import Owner
from udp.ui.state.sessions import Sessions
from udp.ui.state.work import AttackWork, ProtectWork, RobustnessWork, run_here
from udp.ui.tabs.attack import AttackTab

ARMS = ("clean", "random", "protected")
TRIAL = Trial(pictures=2, sampling_steps=2)
HASTY = EUDP(rounds=1, surrogate_steps=1, pgd_steps=2, draws=1)
RECIPE = LoRA(steps=10, batch_size=2, rank=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Arms one after the other, with the rounding that a single core gives."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def attack(photos: list[Photo], tiny_model_folder: Path) -> AttackWork:
    """An attack that protects first: five parts."""
    return AttackWork(photos[:2], None, HASTY, ARMS, RECIPE, TRIAL, str(tiny_model_folder))


@pytest.fixture(scope="module")
def whole(attack: AttackWork) -> tuple[Report, Protection]:
    """What comes out of it in one go, here."""
    return attack(ignore)


def same(one: Arm, other: Arm) -> bool:
    pictures = all(np.array_equal(a, b) for a, b in zip(one.images, other.images, strict=True))
    return pictures and (one.losses, one.metrics, one.learned) == (other.losses, other.metrics, other.learned)


def equal(one: Report, other: Report) -> bool:
    arms = zip((one.base, *one.arms), (other.base, *other.arms), strict=True)
    return all(same(a, b) for a, b in arms) and one.judgement == other.judgement


def nothing(part: int) -> None:
    pass


@dataclass(frozen=True)
class Parts:
    """Work of three parts of a hundred units each, which does with each what `act` says."""

    act: Callable[[int], None] = nothing
    model_name: str = "mini"
    key = "k"

    def plan(self) -> dict[str, float]:
        return {f"part-{index}": 100.0 for index in range(3)}

    def units(self) -> float:
        return 300.0

    def __call__(self, on_progress: OnProgress, store: Store | None = None) -> str:
        for index, name in enumerate(self.plan()):
            on_progress(Progress(Stage.LOADING, 0, 1, fraction=0.0))
            if store.load(name, self.key) is None:
                self.act(index)
                on_progress(Progress(Stage.FINE_TUNING, index + 1, 3))
                store.save(name, self.key, index)
        return "all"


def spend(part: int) -> None:
    time.sleep(0.05)


def refuse(part: int) -> None:
    if part == 1:
        raise NothingLearned("expected to learn, got nothing")


def break_down(part: int) -> None:
    raise ZeroDivisionError("inside")


def last_forever(part: int) -> None:
    time.sleep(60 if part == 2 else 0)


def ignore(progress: Progress) -> None:
    pass


def test_every_part_is_a_call_of_its_own_and_the_outcome_is_that_of_one_go(
    attack: AttackWork, whole: tuple[Report, Protection]
) -> None:
    lender, store, seen = Lender(), MemoryStore(), []
    report, made = LentGpu(lender.GPU)(attack, seen.append, store)
    here, made_here = whole
    assert equal(report, here) and [arm.name for arm in report.arms] == list(ARMS)
    for one, other in zip(made.protected, made_here.protected, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
    assert len(lender.asked) == 5 == len(attack.plan()) and list(store.cells) == list(attack.plan())
    shares = [progress.overall for progress in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0  # the bar never goes back
    assert {p.arm for p in seen if p.images} == {"base", *ARMS}  # pictures reach the page as they are made


@pytest.mark.parametrize("parts", [1, 4])
def test_a_run_whose_quota_ends_goes_on_behind_what_is_finished(
    attack: AttackWork, whole: tuple[Report, Protection], parts: int
) -> None:
    store, names = MemoryStore(), list(attack.plan())
    lender = Lender()
    lender.quota = sum(LentGpu(lender.GPU).seconds(Step(attack, dict.fromkeys(names[:n]))) for n in range(parts)) + 1
    gpu = LentGpu(lender.GPU)
    gpu._pace = SimpleNamespace(rate=lambda model: None, note=lambda *noted: None)  # so that it asks for as much again
    with pytest.raises(
        OutOfTime, match=r"expected \d+ s of the shared GPU, got none: You have exceeded your ZeroGPU quota"
    ):
        gpu(attack, ignore, store)
    assert list(store.cells) == names[:parts] and len(lender.asked) == parts
    lender.quota = 10_000
    report, _ = gpu(attack, ignore, store)
    assert equal(report, whole[0]) and len(lender.asked) == len(names)


def test_the_lab_runs_a_cell_a_call(photos: list[Photo], tiny_model_folder: Path) -> None:
    lender, store = Lender(), MemoryStore()
    trial = Trial(pictures=1, sampling_steps=1)
    work = RobustnessWork(photos[:1], photos[1:2], HASTY, RECIPE, ("half", "crop"), trial, str(tiny_model_folder))
    report, noise = LentGpu(lender.GPU)(work, ignore, store)
    here, _ = work(ignore)
    assert len(lender.asked) == 2 + 9 and list(store.cells) == list(work.plan())
    assert work.units() == sum(work.plan().values())
    assert [row.cleaning for row in report.rows] == ["none", "half", "crop"] and len(noise) == 1
    assert all(equal(a.report, b.report) for a, b in zip(report.rows, here.rows, strict=True))


def test_a_cell_asks_for_its_cleaning_too(photos: list[Photo]) -> None:
    def planned(cleaning: str) -> dict[str, float]:
        work = RobustnessWork(photos[:2], photos[:2], HASTY, RECIPE, (cleaning,), TRIAL, "mini")
        assert work.units() == pytest.approx(sum(work.plan().values()))
        return {name.replace(cleaning, "X"): units for name, units in work.plan().items()}

    plain, cleaned = planned("half"), planned("invert")
    own = parse_cleaning("invert").units([photo.size for photo in photos[:2]])
    more = {name: units - plain[name] for name, units in cleaned.items()}
    assert own > 100 and more == {name: pytest.approx(own if "-X-" in name else 0) for name in plain}


def test_a_protection_is_one_call(photos: list[Photo], tiny_model_folder: Path) -> None:
    lender = Lender()
    work = ProtectWork(photos[:1], HASTY, str(tiny_model_folder), "a photo of sks", 0)
    made = LentGpu(lender.GPU)(work, ignore, MemoryStore())
    assert np.array_equal(made.protected[0].pixels, work(ignore).protected[0].pixels) and len(lender.asked) == 1


def test_what_a_call_asks_for_follows_settings_and_earlier_calls(attack: AttackWork) -> None:
    gpu = LentGpu(Lender().GPU)

    def asked(steps: int, finished: int = 2) -> int:
        work = AttackWork([], None, HASTY, ARMS, LoRA(steps=steps), TRIAL, "mini")
        return gpu.seconds(Step(work, dict.fromkeys(list(work.plan())[:finished])))

    assert asked(100) < asked(1000) <= asked(4000) == MOST_SECONDS
    assert asked(600, 1) < asked(600, 2) == asked(600, 4)  # the base model's pictures, then an arm, then the last
    guessed = asked(1000)
    gpu._pace.note("mini", 100, 0.5)
    assert asked(1000) < guessed


def test_a_call_that_takes_too_long_is_taken_back_and_the_next_asks_for_longer() -> None:
    lender, store = Lender(real=0.05), MemoryStore()
    gpu = LentGpu(lender.GPU)
    with pytest.raises(OutOfTime, match="the next try asks for longer"):
        gpu(Parts(last_forever), ignore, store)
    assert list(store.cells) == ["part-0", "part-1"]
    with pytest.raises(OutOfTime):
        gpu(Parts(last_forever), ignore, store)
    assert lender.asked[3] >= 1.9 * lender.asked[2]
    gpu._least["mini"] = 10.0
    with pytest.raises(OutOfTime, match=f"at most {MOST_SECONDS} s"):
        gpu(Parts(last_forever), ignore, store)
    assert gpu(Parts(spend), ignore, store) == "all"


def test_an_error_of_ours_keeps_its_words_and_any_other_is_ours_to_look_at() -> None:
    store = MemoryStore()
    with pytest.raises(NothingLearned, match="expected to learn, got nothing"):
        LentGpu(Lender().GPU)(Parts(refuse), ignore, store)
    assert list(store.cells) == ["part-0"]
    with pytest.raises(RuntimeError, match="got ZeroDivisionError in the GPU's process"):
        LentGpu(Lender().GPU)(Parts(break_down), ignore, MemoryStore())


def test_stop_ends_the_call(attack: AttackWork) -> None:
    store, before = MemoryStore(), threading.active_count()

    def stop(progress: Progress) -> None:
        if progress.stage == Stage.FINE_TUNING:
            raise Stopped("enough")

    with pytest.raises(Stopped, match="enough"):
        LentGpu(Lender().GPU)(attack, stop, store)
    assert list(store.cells) == ["protection", "base-run0"]
    assert threading.active_count() <= before + 1


def test_a_session_goes_on_with_the_same_work_only(tmp_path: Path, attack: AttackWork) -> None:
    session = Sessions(tmp_path).get("a")
    first = session.store("attack", "one")
    first.save("part", "one", 1)
    assert session.store("attack", "one") is first and session.store("robustness", "one") is not first
    assert not session.store("attack", "other").cells and not session.store("attack", "one").cells
    assert session.store("api-1", "one") is not session.store("api-1", "one") and "api-1" not in session.unfinished
    keys = {
        work.key
        for work in (
            attack,
            replace(attack, arms=ARMS[:2]),
            replace(attack, clean=attack.clean[:1]),
            replace(attack, protected=attack.clean),
            replace(attack, recipe=LoRA(steps=11, batch_size=2, rank=2)),
            replace(attack, trial=Trial(pictures=2, sampling_steps=2, seed=1)),
            replace(attack, protection_seed=1),
            replace(attack, model_name="mini"),
        )
    }
    assert len(keys) == 8 and replace(attack).key == attack.key


def until_ended(context: Context, tab: AttackTab, session: Any, work: AttackWork) -> tuple[gr.Error | None, Any]:
    job = context.submit(session, tab.kind, work, lambda result: result)
    while job.state.value in ("waiting", "running"):
        time.sleep(0.02)
    return tab._outcome(session, job)


@pytest.mark.parametrize("lent", [True, False], ids=["GPU", "here"])
def test_the_page_keeps_finished_arms_and_says_how_to_go_on(
    tmp_path: Path, attack: AttackWork, whole: tuple[Report, Protection], lent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lender = Lender()
    context = Context(Sessions(tmp_path), Owner(), LentGpu(lender.GPU) if lent else run_here)
    with gr.Blocks():
        tab = AttackTab(context)
    session = context.sessions.get("a")
    monkeypatch.setattr(AttackTab, "finished", lambda self, session, result: ("over", {self.verdict: result[0]}))
    trained = []

    def fail(self: Any, name: str, *rest: Any, **options: Any) -> Arm:
        trained.append(name)
        if name == "protected":
            raise NothingLearned("expected more, got nothing")
        return train(self, name, *rest, **options)

    train = Bench.train
    with monkeypatch.context() as patch:
        patch.setattr(Bench, "train", fail)
        error, updates = until_ended(context, tab, session, attack)
    assert "expected more, got nothing" in str(error)
    line = updates[tab.progress].value
    for language, start in ((ENGLISH, "“Attack”"), (CHINESE, "“攻击”")):
        assert start in line and language.say("4") in line
    assert "4 of 5 parts are finished" in line and updates[tab.partial].visible
    shown = [name for name, (column, _) in tab.live_rows.items() if updates[column].visible]
    assert shown == ["base", "clean", "random"]
    error, updates = until_ended(context, tab, session, attack)
    assert error is None and equal(updates[tab.verdict], whole[0]) and not session.unfinished
    assert lent or trained == list(ARMS)  # the second run trained the arm that was missing, by what is not patched
    assert len(lender.asked) == (5 + 1 if lent else 0)


def test_the_app_lends_on_zero_gpu_alone(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = str(Path(__file__).parents[1] / "app.py")
    monkeypatch.setitem(sys.modules, "spaces", Lender())
    monkeypatch.setenv("UDP_MODEL", str(tiny_model_folder))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert runpy.run_path(app)["runner"] is run_here
    for switch in ("1", "true"):
        monkeypatch.setenv("SPACES_ZERO_GPU", switch)
        assert isinstance(runpy.run_path(app)["runner"], LentGpu)
    monkeypatch.setenv("UDP_MODEL", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match="expected a diffusers folder"):  # at the start, not at the first visitor's run
        runpy.run_path(app)
    assert not is_lent({}) and not is_lent({"SPACES_ZERO_GPU": "0"})


def test_a_trial_longer_than_allowed_is_refused_on_a_gpu_too() -> None:
    def never(progress: Progress) -> None:
        raise InvalidInput("expected a run of at most 1 minutes")

    with pytest.raises(InvalidInput, match="at most 1 minutes"):
        LentGpu(Lender().GPU)(Parts(), never, MemoryStore())
