"""Jobs: their line, their stop, and who may see them again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from udp.errors import InvalidInput, Stopped
from udp.evaluation.trial import Trial
from udp.imitation.recipes import LoRA
from udp.models.latent import LatentDiffusionModel
from udp.photos import Photo
from udp.progress import OnProgress, Progress, Stage
from udp.protection.methods import EUDP
from udp.ui.state.jobs import Job, JobLine, State
from udp.ui.state.pace import Pace, Stopwatch
from udp.ui.state.sessions import MOST_JOBS, Sessions
from udp.ui.state.work import AttackWork, RobustnessWork, limited

ROOT = Path(__file__).parents[1]


def slow(on_progress: OnProgress) -> str:
    """Up to ten seconds in steps of a hundredth."""
    for index in range(1000):
        on_progress(Progress("working", index, 1000))
        time.sleep(0.01)
    return "done"


def until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "expected this to become true in time"
        time.sleep(0.01)


def test_a_job_keeps_its_history_pictures_and_result() -> None:
    image = np.zeros((2, 2, 3), np.uint8)

    def work(on_progress: OnProgress) -> str:
        on_progress(Progress("a", 1, 2, 0.5, "clean"))
        on_progress(Progress("b", 2, 2, None, "clean", None, (image,)))
        return "done"

    line, job = JobLine(), Job(work)
    line.submit(job)
    assert job.result() == "done" and job.state is State.DONE and job.ended
    assert [p.stage for p in job.history] == ["a", "b"] and job.images["clean"][0] is image
    assert not job.history[1].images and len(job.id) >= 20 and job.id != Job(work).id
    assert line.place(job) == 0


def test_one_job_runs_at_a_time_and_the_rest_know_their_place() -> None:
    line, jobs = JobLine(most_waiting=2), [Job(slow) for _ in range(4)]
    line.submit(jobs[0])
    until(lambda: jobs[0].history)
    line.submit(jobs[1]), line.submit(jobs[2])
    assert [line.place(job) for job in jobs[:3]] == [0, 1, 2] and jobs[1].state is State.WAITING
    with pytest.raises(InvalidInput, match="expected fewer than 2 runs in line"):
        line.submit(jobs[3])
    jobs[1].stop()  # leaves the line at once
    assert line.place(jobs[2]) == 1 and jobs[1].ended
    jobs[0].stop()
    until(lambda: jobs[2].state is State.RUNNING)
    assert not jobs[1].history
    jobs[2].stop()


def test_stop_takes_less_than_two_seconds_and_frees_the_line() -> None:
    line, job = JobLine(), Job(slow)
    line.submit(job)
    until(lambda: job.history)
    start = time.monotonic()
    job.stop()
    with pytest.raises(Stopped):
        job.result()
    until(lambda: job.state is State.STOPPED, 2)
    following = Job(lambda on_progress: 1)
    line.submit(following)
    assert following.result() == 1 and time.monotonic() - start < 2


def test_a_line_that_is_closed_stops_all_and_waits_for_the_step_that_is_being_made() -> None:
    over = []

    def work(on_progress: OnProgress) -> str:
        try:
            return slow(on_progress)
        finally:
            time.sleep(0.2)
            over.append(True)

    line, jobs = JobLine(), [Job(work), Job(slow)]
    for job in jobs:
        line.submit(job)
    until(lambda: jobs[0].history)
    line.close()
    assert over and jobs[0].state is State.STOPPED
    until(lambda: jobs[1].state is State.STOPPED)
    assert not jobs[1].history


def test_a_python_that_ends_stops_its_jobs_first() -> None:
    """A thread that is in the middle of torch when the interpreter ends would abort the process."""
    program = """
import time, torch
from udp.progress import Progress
from udp.ui.state.jobs import Job, JobLine

def work(on_progress):
    value = torch.randn(600, 600)
    while True:
        on_progress(Progress("working", 0, 1))
        for _ in range(20):
            value = (value @ value).tanh()

line, job = JobLine(), Job(work)
line.submit(job)
while not job.history:
    time.sleep(0.01)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_time_left_does_not_count_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("udp.ui.state.jobs.time.monotonic", lambda: clock[0])
    left = []

    def work(on_progress: OnProgress) -> None:
        for second, done in ((0, 0), (60, 1), (61, 2), (70, 11)):
            clock[0] = 100.0 + second
            on_progress(Progress("loading" if not done else "working", done, 101))
            left.append(job.update().seconds_left)

    job: Job[None] = Job(work)
    job.run()
    assert left[:3] == [None, None, None] and left[3] == pytest.approx(90)


def test_a_failure_is_the_jobs_own() -> None:
    def broken(on_progress: OnProgress) -> None:
        raise ZeroDivisionError("inside")

    line, job, following = JobLine(), Job(broken), Job(lambda on_progress: 2)
    line.submit(job), line.submit(following)
    with pytest.raises(ZeroDivisionError, match="inside"):
        job.result()
    assert job.state is State.FAILED and following.result() == 2


def test_a_run_that_would_take_too_long_is_refused_early() -> None:
    def work(on_progress: OnProgress) -> None:
        for index in range(100):
            on_progress(Progress("working", index, 100))
            time.sleep(0.05)

    with pytest.raises(InvalidInput, match="expected a run of at most"):
        work(limited(lambda progress: None, 1 / 60))


def test_only_the_same_browser_with_the_link_finds_a_job_again(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    mine, job = sessions.get("first"), Job(slow)
    mine.secret = "only my browser knows"
    mine.add_job("attack", job)
    assert not sessions.rejoin("stranger", job.id, "") and not sessions.rejoin("stranger", job.id, "a guess")
    assert not sessions.rejoin("stranger", "", mine.secret)
    assert sessions.get("stranger") is not mine
    empty = sessions.get("reloaded")
    assert sessions.rejoin("reloaded", job.id, mine.secret) and sessions.get("reloaded") is mine
    assert not empty.folder.exists() and mine.folder.exists()


def test_a_session_without_a_secret_cannot_be_joined(tmp_path: Path) -> None:
    sessions, job = Sessions(tmp_path), Job(slow)
    sessions.get("api").add_job("api-1", job)
    assert not sessions.rejoin("other", job.id, "")


def test_a_reload_outlives_the_old_page_and_leaving_stops_the_work(tmp_path: Path) -> None:
    sessions, line, job = Sessions(tmp_path, grace=0.05), JobLine(), Job(slow)
    session = sessions.get("old")
    session.secret = "s"
    line.submit(job)
    session.add_job("protect", job)
    sessions.leave("old")
    assert sessions.rejoin("new", job.id, "s")
    time.sleep(0.3)
    assert session.folder.exists() and not job.ended
    sessions.leave("new")
    until(lambda: not session.folder.exists(), 5)
    until(lambda: job.state is State.STOPPED, 5)


def test_a_visitor_has_a_few_runs_at_once(tmp_path: Path) -> None:
    session = Sessions(tmp_path).get("a")
    for index in range(MOST_JOBS):
        session.add_job(f"api-{index}", Job(slow))
    with pytest.raises(InvalidInput, match="expected at most 4 runs"):
        session.add_job("api-x", Job(slow))
    first = session.jobs["api-0"]
    session.add_job("api-0", Job(slow))  # the latest of a kind takes the place of the one before
    assert first.ended


def test_the_control_may_change_no_more_than_the_method_where_texture_decides(
    photos: list[Photo], tiny_model: LatentDiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, seen = EUDP(perceptual="texture"), {}
    monkeypatch.setattr("udp.ui.state.work.load_model", lambda name: tiny_model)
    monkeypatch.setattr("udp.ui.state.work.run_trial", lambda arms, *rest, **more: seen.update(arms))
    monkeypatch.setattr("udp.ui.state.work.Lab.run", lambda lab, *rest: seen.update(lab=lab.arms["random"]))
    AttackWork(photos, None, method, ("random",), LoRA(), Trial(), "tiny")(lambda progress: None)
    RobustnessWork(photos, photos, method, LoRA(), (), Trial(), "tiny")(lambda progress: None)
    for arm in ("random", "lab"):
        for photo, noisy in zip(photos, seen[arm], strict=True):
            change = np.abs(noisy.pixels.astype(int) - photo.pixels)
            allowed = method.budget_map(photo)
            assert (change <= 255 * allowed + 1e-6).all() and change.any(), arm


def test_loading_and_runs_of_seconds_make_no_estimate_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("udp.ui.state.pace.time", SimpleNamespace(monotonic=lambda: now[0]))
    pace, watch = Pace(), Stopwatch()
    watch.see(Progress(Stage.LOADING, 0, 1))
    now[0] = 60.0
    assert watch.seconds is None
    for step in (1, 2):
        watch.see(Progress(Stage.FINE_TUNING, step, 100))
        now[0] += 10.0
    assert watch.seconds == 20.0
    pace.note("mini", 1.0, 12.0)  # random noise
    pace.note("mini", 100.0, None)
    assert pace.rate("mini") is None
    for units, seconds in ((100, watch.seconds), (900, 80.0)):
        pace.note("mini", units, seconds)
    assert pace.rate("mini") == pytest.approx(100 / 1000)
