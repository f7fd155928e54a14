"""The bar of long commands: photos, sets, rate and time left on a terminal, and not a byte anywhere else."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import picture
from udp import protect_folder
from udp.cli.common import Ticker
from udp.models.base import DiffusionModel
from udp.photos import Photo, write_png
from udp.progress import Count, Progress, Stage, counting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """One at which every look at the clock is ten seconds after the last. (As a fixture, pytest would take its place.)"""
    found, clock = Terminal(), iter(range(0, 10_000, 10))
    monkeypatch.setattr(sys, "stderr", found)
    # This module's own clock: threads that other tests left running look at time.monotonic too, and each look is ten seconds.
    monkeypatch.setattr("udp.cli.common.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    return found


def last(terminal: Terminal) -> str:
    return terminal.getvalue().split("\r")[-1]


def test_a_catalogue_shows_photos_sets_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    ticker, first = Ticker(), Count(20, 100, 2, 10)
    counting(ticker, first, 0)(Progress(Stage.PROTECTED_EARLIER, 0, 1))
    ticker._bar.refresh()
    assert "20/100 photos, 2/10 sets" in last(terminal) and "photos/" not in last(terminal)
    for done in (1, 2):
        counting(ticker, replace(first, photos=10 + 10 * done, sets=done), 10)(Progress(Stage.PERTURBING, 1, 2, 0.25))
    ticker._bar.refresh()
    shown = last(terminal)
    assert shown.startswith(" 35%") and "35/100 photos, 2/10 sets, 45.0 photos/min" in shown
    assert "01:26 left" in shown and "loss 0.2500" in shown  # 65 photos at 15 in 20 s
    counting(ticker, replace(first, photos=90, sets=9), 10)(Progress(Stage.PERTURBING, 2, 2))
    assert "100%" in last(terminal) and "100/100 photos, 10/10 sets" in last(terminal)


def test_other_work_shows_its_stage_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    ticker = Ticker()
    for done in (10, 30):
        ticker(Progress(Stage.FINE_TUNING, done, 100, arm="clean", fraction=done / 400))
    ticker._bar.refresh()
    assert "[clean] fine-tuning 30/100, 2.0 steps/s" in last(terminal) and "left" in last(terminal)


def test_a_file_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    Ticker()(Progress(Stage.PERTURBING, 1, 2))
    assert sys.stderr.getvalue() == ""


def test_photos_and_sets_are_counted_to_the_end(tmp_path: Path, tiny_model: DiffusionModel) -> None:
    (tmp_path / "in").mkdir()
    for index in range(4):
        write_png(tmp_path / "in" / f"{index}.png", Photo(str(index), picture(index, 32, 32)))
    heard: list[Progress] = []
    protect_folder(tmp_path / "in", tmp_path / "out", tiny_model, "random", on_progress=heard.append)
    assert heard[-1].count == Count(4, 4, 1, 1) and heard[-1].overall == 1
    shares = [progress.overall for progress in heard]
    assert shares == sorted(shares) and heard[0].count == Count(1, 4, 0, 1)
