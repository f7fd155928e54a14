"""What a visitor sees while work runs: a bar with stage, percentage and time left, and a loss plot's data."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from udp.evaluation.arm_names import TRAINED, arm_title
from udp.language import ENGLISH, Text, text
from udp.progress import Progress, Stage
from udp.ui.say import spoken
from udp.ui.state.jobs import Update


@dataclass(frozen=True)
class Series:
    """A line of a plot."""

    title: Text
    colour: str


# By what `Progress` calls them. No word on up or down: some methods raise the loss of the photos, others lower it.
ARM_SERIES = {str(arm): Series(arm_title(arm), arm.colour) for arm in TRAINED}
STAGE_SERIES = {
    Stage.LEARNING: Series(text("plot.surrogate"), "#0072b2"),
    Stage.PERTURBING: Series(text("plot.photos"), "#d55e00"),
}
MOST_POINTS = 300
# A tab that was opened by a button elsewhere takes a moment to be drawn, and its bar may lie below the window.
TO_THE_BAR = """() => {
  let tries = 0;
  const look = setInterval(() => {
    const bar = [...document.querySelectorAll('.job')].find(e => e.offsetParent);
    if (bar) bar.scrollIntoView({ block: 'center' });
    if (bar || ++tries > 50) clearInterval(look);
  }, 100);
}"""


def time_left(seconds: float | None) -> Text:
    """For example "about 40 s left", rounded as coarsely as the estimate deserves."""
    if seconds is None:
        return text("left.unknown")
    if seconds < 3:
        return text("left.none")
    if seconds < 20:
        return text("left.about", time=text("time.seconds", number=round(seconds)))
    if seconds < 90:
        return text("left.about", time=text("time.seconds", number=round(seconds / 5) * 5))
    if seconds < 5400:
        return text("left.about", time=text("time.minutes", number=round(seconds / 60)))
    return text("left.about", time=text("time.hours", number=f"{seconds / 3600:.1f}"))


def stage_title(stage: str) -> Text:
    """What a stage of `Progress` is called; the lab's, which name a cell as well, are English only."""
    return text(f"stage.{stage.replace(' ', '_')}", stage)


def bar(update: Update) -> str:
    """The progress bar of a running job, as HTML."""
    progress = update.progress
    stage = text("job.stage", stage=stage_title(progress.stage))
    if progress.at_once > 1:
        stage = text("job.stage.arms", count=progress.at_once, stage=stage_title(progress.stage))
    elif progress.arm:
        stage = text("job.stage.of", arm=arm_title(progress.arm), stage=stage_title(progress.stage))
    return _panel(stage, progress.overall, time_left(update.seconds_left))


def waiting(place: int = 0) -> str:
    """Shown before the first progress: the model is shared by all visitors, and `place` runs go before this one."""
    if not place:
        return _panel(text("job.starting"), 0.0, text("left.unknown"))
    return _panel(text("job.waiting"), 0.0, text("job.before", count=place))


def message(said: Text | str, kind: str = "quiet") -> str:
    """A line in the bar's place: `kind` is "quiet" or "bad"."""
    return f'<p class="status {kind}" role="status">{spoken(said)}</p>'


def _panel(stage: Text, share: float, left: Text) -> str:
    share = min(1.0, max(0.0, share))
    percent = round(100 * share)
    return (
        f'<div class="job"><div class="job-line"><span>{spoken(stage)}</span>'
        f'<span class="job-left">{percent}% &middot; {spoken(left)}</span></div>'
        f'<div class="job-track" role="progressbar" aria-label="{html.escape(ENGLISH.say(stage))}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><div class="job-fill" style="width:{percent}%"></div></div></div>'
    )


class LossLog:
    """Losses of `series`, by the arm or the stage, smoothed by a running mean and thinned for a plot."""

    def __init__(self, series: Mapping[str, Series], window: int = 10) -> None:
        self.window = window
        self.series = series
        self.total = 1
        self._losses: dict[str, list[tuple[int, float]]] = {name: [] for name in series}

    def add(self, progress: Progress) -> None:
        """Note the loss of a progress report, if it has one and belongs to one of the series."""
        series = progress.arm or progress.stage
        if progress.loss is not None and series in self._losses:
            self._losses[series].append((progress.done, progress.loss))
            self.total = progress.total

    @property
    def empty(self) -> bool:
        """Whether there is no line to draw yet."""
        return not any(len(points) > 1 for points in self._losses.values())

    def frame(self) -> pd.DataFrame:
        """Columns step, loss, series; every series has a row, or gradio's plot would not draw it when it comes."""
        rows = []
        for series, points in self._losses.items():
            losses = [loss for _, loss in points]
            stride = 1 + len(points) // MOST_POINTS
            rows.append((0, None, series))
            for index in range(0, len(points), stride):
                recent = losses[max(0, index - self.window + 1) : index + 1]
                rows.append((points[index][0], sum(recent) / len(recent), series))
        frame = pd.DataFrame(rows, columns=["step", "loss", "series"])
        return frame.astype({"step": float, "loss": float})
