"""Stop, pressed in the seconds between the start button and the moment that a job is submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from udp.errors import Stopped
from udp.evaluation.cells import Store
from udp.language import ENGLISH, text
from udp.photos import PhotoSet
from udp.progress import OnProgress
from udp.ui.state.context import Context
from udp.ui.state.jobs import Job
from udp.ui.state.owner import Owner
from udp.ui.state.sessions import Session, Sessions
from udp.ui.state.work import Work
from udp.ui.tabs.base import Page
from udp.ui.tabs.job_tab import STOPPED
from udp.ui.tabs.protect import ProtectTab

VISITOR = SimpleNamespace(session_hash="a")


def not_to_be_run(work: Work, on_progress: OnProgress, store: Store) -> None:
    raise AssertionError("a stopped run was begun")


def submitted(session: Session, job: Job) -> Callable[[], Job]:
    def submit() -> Job:
        session.add_job("protect", job)
        return job

    return submit


def test_stop_ends_what_is_still_on_its_way_and_nothing_later(tmp_path: Path) -> None:
    session, first, second = Session(tmp_path), Job(lambda report: None), Job(lambda report: None)
    early = session.press("protect")
    session.stop("protect")
    later = session.press("protect")
    session.stop("attack")  # another tab's
    assert session.begin("protect", later, submitted(session, second)) is second
    with pytest.raises(Stopped):  # its photos took longer to read than those of the later run
        session.begin("protect", early, submitted(session, first))
    assert session.jobs["protect"] is second and not second.ended
    assert session.superseded("protect", early) and not session.superseded("protect", later)
    session.stop("protect")
    assert second.ended


@pytest.fixture
def tab(tmp_path: Path) -> ProtectTab:
    with gr.Blocks() as demo:
        made = ProtectTab(Context(Sessions(tmp_path), Owner(), not_to_be_run))
        made.connect(Page(gr.Tabs()), gr.Tab("Protect"))
    made.demo = demo
    return made


def handlers(tab: ProtectTab) -> tuple[Callable[..., Any], Callable[..., Iterator[Any]]]:
    """What the start button does, and what follows it."""
    found = tab.demo.fns.values()
    press = next(fn.fn for fn in found if tab.run in fn.outputs)
    return press, next(fn.fn for fn in found if fn.inputs[:1] == [tab.run])


def test_stop_while_the_photos_are_read_stops_that_run(
    tab: ProtectTab, photo_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    press, begin = handlers(tab)
    session = tab.context.session(VISITOR)
    values = [[str(path) for path in photo_files], "mini", "", 0, *(part.value for part in tab.methods.components)]
    monkeypatch.setattr("udp.ui.tabs.protect.take_readable", lambda paths: tab._on_stop(VISITOR) and PhotoSet([]))

    run = press(VISITOR)[tab.run]
    seen = []
    with pytest.raises(gr.Error) as caught:
        for updates in begin(VISITOR, run, *values):
            seen.append(updates)
    assert not caught.value.visible and ENGLISH.say(STOPPED) in seen[-1][tab.progress].value
    assert seen[-1][tab.start].visible and not seen[-1][tab.stop].visible
    assert "protect" not in session.jobs

    jobs = []
    monkeypatch.setattr(tab.context.line, "submit", jobs.append)
    monkeypatch.setattr("udp.ui.tabs.protect.take_readable", lambda paths: PhotoSet([]))
    run = press(VISITOR)[tab.run]
    (updates,) = begin(VISITOR, run, *values)
    assert updates == {tab.job_id: jobs[0].id} and not jobs[0].ended


def test_a_stopped_run_leaves_the_page_to_the_one_that_was_begun_after_it(
    tab: ProtectTab, photo_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    press, begin = handlers(tab)
    values = [[str(path) for path in photo_files], "mini", "", 0, *(part.value for part in tab.methods.components)]
    monkeypatch.setattr(
        "udp.ui.tabs.protect.take_readable", lambda paths: tab._on_stop(VISITOR) and press(VISITOR) and PhotoSet([])
    )
    with pytest.raises(gr.Error):
        assert not list(begin(VISITOR, press(VISITOR)[tab.run], *values))
    assert "protect" not in tab.context.session(VISITOR).jobs


def test_how_a_running_job_ends_is_said_by_who_follows_it(tab: ProtectTab) -> None:
    assert ENGLISH.say(text("job.stopping")) in tab._on_stop(VISITOR)[tab.progress].value
    job = Job(lambda on_progress: None)
    tab.context.session(VISITOR).add_job("protect", job)
    updates = tab._on_stop(VISITOR)
    assert job.ended and tab.progress not in updates and updates[tab.start].visible
    assert tab.progress in tab._on_stop(VISITOR)  # no longer running: whatever is on its way to be run is stopping
