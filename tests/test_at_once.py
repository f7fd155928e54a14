"""Arms at the same time: what they give is what they give one after the other, and whoever ends the work ends all of it."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from udp.cli.common import Pace
from udp.errors import InvalidInput, NothingLearned, Stopped
from udp.evaluation.at_once import at_once
from udp.evaluation.bench import Bench, Cells, run_trial
from udp.evaluation.cells import MemoryStore
from udp.evaluation.found import FoundPhotos
from udp.evaluation.trial import Trial
from udp.imitation.recipes import RECIPES, DreamBooth
from udp.models.latent import LatentDiffusionModel
from udp.models.layers import outputs_of
from udp.photos import Photo
from udp.progress import OnProgress, Progress
from udp.protection.methods import RandomNoise
from udp.ui.parts.progress import bar
from udp.ui.state.jobs import Update

SMALL = Trial(pictures=2, sampling_steps=2)
Part = Callable[[OnProgress], str]


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes the machine one of so many cores, on which work in one thread computes with one of them."""
    before = torch.get_num_threads()

    def make(count: int) -> None:
        torch.set_num_threads(1)
        monkeypatch.setattr(torch, "get_num_threads", lambda: count)

    yield make
    monkeypatch.undo()
    torch.set_num_threads(before)


@pytest.fixture
def three_cores(cores: Callable[[int], None]) -> None:
    cores(3)


@pytest.fixture
def arms(photos: list[Photo], tiny_model: LatentDiffusionModel) -> dict[str, list[Photo]]:
    return {"clean": photos[:2], "random": RandomNoise()(photos[:2], tiny_model), "protected": photos[1:3]}


@pytest.mark.parametrize("name", RECIPES)
def test_at_once_gives_what_one_after_the_other_gives(
    name: str, arms: dict[str, list[Photo]], tiny_model: LatentDiffusionModel, cores: Callable[[int], None]
) -> None:
    changes = {"class_images": 4, "prior_preservation": "yes", "autoencoder_steps": 10, "class_prompt": "a toy"}
    known = {field.name for field in dataclasses.fields(RECIPES[name])}
    recipe = RECIPES[name](steps=10, batch_size=2, **{key: value for key, value in changes.items() if key in known})
    found, reports = [], []
    for count in (1, 3):
        cores(count)
        seen: list[Progress] = []
        reports.append(run_trial(arms, tiny_model, recipe, SMALL, seen.append))
        found.append(max(progress.at_once for progress in seen))
        assert [p.overall for p in seen] == sorted(p.overall for p in seen) and seen[-1].overall == pytest.approx(1)
        assert {p.arm for p in seen if p.images} == {"base", *arms}
    assert found == [1, 3]
    for one, other in zip(*(report.arms for report in reports), strict=True):
        assert one.name == other.name and one.losses == other.losses and one.metrics == other.metrics
        assert all(np.array_equal(a, b) for a, b in zip(one.images, other.images, strict=True))


def test_random_weights_are_those_of_the_seed_whoever_draws_beside(
    arms: dict[str, list[Photo]], tiny_model: LatentDiffusionModel, cores: Callable[[int], None]
) -> None:
    recipe, before = DreamBooth(steps=10, batch_size=2, from_scratch=True), torch.get_rng_state()
    losses = []
    for count in (1, 3):
        cores(count)
        losses.append([arm.losses for arm in run_trial(arms, tiny_model, recipe, SMALL).arms])
    assert losses[0] == losses[1] and torch.equal(torch.get_rng_state(), before)


def waiting(progress: OnProgress, error: BaseException | None = None) -> str:
    """A part that reports until it is ended, or fails."""
    for step in range(2000):
        progress(Progress("fine-tuning", step, 2000))
        if error and step == 5:
            raise error
        time.sleep(0.005)
    raise AssertionError("expected an end")


@pytest.mark.parametrize("place", [0, 2])
def test_what_one_raises_ends_all(place: int, tiny_model: LatentDiffusionModel, three_cores: None) -> None:
    error = NothingLearned("expected more, got nothing")
    parts: list[Part] = [waiting, waiting, waiting]
    parts[place] = lambda progress: waiting(progress, error)
    with pytest.raises(NothingLearned) as raised:
        at_once(parts, tiny_model, lambda progress: None)
    assert raised.value is error and not any(thread.name.startswith("udp-arm") for thread in threading.enumerate())


def test_whoever_listens_can_stop_it(tiny_model: LatentDiffusionModel, three_cores: None) -> None:
    seen = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 20:
            raise Stopped("stopped as asked")

    with pytest.raises(Stopped, match="as asked"):
        at_once([waiting, waiting], tiny_model, stop)
    assert len(seen) == 20, "nobody hears of it any more"


def test_a_key_pressed_ends_it_and_waits_for_the_step_that_is_being_made(
    tiny_model: LatentDiffusionModel, three_cores: None
) -> None:
    begun, ended = threading.Event(), []

    def part(progress: OnProgress) -> str:
        try:
            return waiting(progress)
        finally:
            time.sleep(0.2)
            ended.append(True)

    def press() -> None:
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # whose wait it interrupts

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where a shell started this in the background
    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            at_once([part, part], tiny_model, lambda progress: progress.done > 20 and begun.set())  # both have begun
    finally:
        signal.signal(signal.SIGINT, before)
        presser.join()
    assert len(ended) == 2


def test_reports_come_one_at_a_time(tiny_model: LatentDiffusionModel, three_cores: None) -> None:
    inside = []

    def listen(progress: Progress) -> None:
        inside.append(True)
        assert len(inside) == 1, "somebody else reports"
        time.sleep(0.001)
        inside.pop()

    def part(progress: OnProgress) -> str:
        for step in range(30):
            progress(Progress("fine-tuning", step + 1, 30))
        return threading.current_thread().name

    names = at_once([part, part, part], tiny_model, listen)
    assert len(set(names)) == 3
    assert {*at_once([part, part, part], tiny_model, listen, in_turn=True)} == {threading.current_thread().name}


def test_large_models_and_stores_that_ask_for_it_get_one_after_the_other(
    arms: dict[str, list[Photo]], tiny_model: LatentDiffusionModel, three_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, train = set(), Bench.train

    def watched(self, *given, **named):
        where.add(threading.current_thread().name)
        return train(self, *given, **named)

    monkeypatch.setattr(Bench, "train", watched)
    recipe = DreamBooth(steps=10, batch_size=2, learning_rate=1e-3)
    here = threading.current_thread().name
    monkeypatch.setattr(MemoryStore, "in_turn", True)
    run_trial(arms, tiny_model, recipe, SMALL, store=MemoryStore())
    monkeypatch.setattr(MemoryStore, "in_turn", False)
    with monkeypatch.context() as patch:
        patch.setattr(type(tiny_model), "small", False)
        run_trial(arms, tiny_model, recipe, dataclasses.replace(SMALL, guidance=1.0), store=MemoryStore())
    assert where == {here}
    run_trial(arms, tiny_model, recipe, SMALL, store=MemoryStore())
    assert len(where) == 4


def test_a_stopped_run_goes_on_with_the_arms_that_are_not_done(
    arms: dict[str, list[Photo]], tiny_model: LatentDiffusionModel, three_cores: None
) -> None:
    recipe, store = tiny_model.suited(DreamBooth(steps=20, batch_size=2)), MemoryStore()
    whole = run_trial(arms, tiny_model, recipe, SMALL)
    cells = Cells(arms, tiny_model, tiny_model.suited(SMALL), store)
    bench, _ = cells.bench(0, "none")
    torch.set_num_threads(1)  # as an arm of three has on three cores
    cells.arm(bench, "clean", FoundPhotos(arms, tiny_model, SMALL), recipe, "none")
    before = [*store.cells]

    def stop(progress: Progress) -> None:
        if progress.stage == "fine-tuning" and progress.done > 5:
            raise Stopped("stopped as asked")

    with pytest.raises(Stopped, match="as asked"):
        run_trial(arms, tiny_model, recipe, SMALL, stop, store=store)
    assert [*store.cells] == before
    seen: list[Progress] = []
    again = run_trial(arms, tiny_model, recipe, SMALL, seen.append, store=store)
    assert {p.arm for p in seen if p.stage == "fine-tuning"} == {"random", "protected"}
    assert {p.arm for p in seen if p.kept} == {"base", "clean"}
    for one, other in zip(whole.arms, again.arms, strict=True):
        assert one.losses == other.losses and one.metrics == other.metrics


def test_threads_that_read_prompts_at_the_same_time_read_what_they_were_given(
    tiny_model: LatentDiffusionModel,
) -> None:
    prompts = [f"a photo of a {word}" for word in ("toy", "red toy", "small red toy")]
    wanted = {prompt: tiny_model.token_ids(tiny_model.tokenizers[0], prompt) for prompt in prompts}
    wrong: list[str] = []

    def read(prompt: str) -> None:
        for _ in range(400):
            try:
                tiny_model.check_prompt(prompt)
                if not torch.equal(tiny_model.token_ids(tiny_model.tokenizers[0], prompt), wanted[prompt]):
                    wrong.append(prompt)
            except InvalidInput as error:
                wrong.append(str(error))

    threads = [threading.Thread(target=read, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_page_and_the_command_line_name_no_single_arm() -> None:
    progress = Progress("fine-tuning", 5, 600, 0.1, "clean", 0.2, at_once=3)
    shown = bar(Update(progress, 1.0, None))
    assert "3 arms at once" in shown and "同时进行 3 组" in shown
    assert [*Pace().words(progress, 1.0)] == ["[3 arms at once] fine-tuning"]


def test_a_thread_hears_of_its_own_layers_alone(tiny_model: LatentDiffusionModel) -> None:
    layer, value = torch.nn.Identity(), torch.ones(1)
    other = threading.Thread(target=lambda: layer(value + 1))
    with outputs_of([layer]) as found:
        layer(value)
        other.start()
        other.join()
    layer(value)
    assert found == [value] and not layer._forward_hooks
