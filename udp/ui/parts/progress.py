"""What a visitor sees while work runs: a bar with stage, percentage and time left, and a loss plot's data."""

from __future__ import annotations

import html

import pandas as pd

from udp.progress import Progress
from udp.ui.language.phrases import spoken
from udp.ui.state.jobs import Update

ARM_TITLES = {
    "base": "Before fine-tuning",
    "clean": "Clean",
    "random": "Random noise",
    "protected": "Protected",
}
# Okabe and Ito's palette: told apart with any colour vision, on light and dark.
ARM_COLOURS = {"Clean": "#0072b2", "Random noise": "#e69f00", "Protected": "#009e73"}
# No word on up or down: some methods raise the loss of the photos, others lower it.
STAGE_COLOURS = {"Surrogate learns": "#0072b2", "Photos perturbed": "#d55e00"}
STAGE_SERIES = {
    "training the surrogate": "Surrogate learns",
    "perturbing the photos": "Photos perturbed",
}
MOST_POINTS = 300


def time_left(seconds: float | None) -> str:
    """For example "about 40 s left", rounded as coarsely as the estimate deserves."""
    if seconds is None:
        return "estimating the time left"
    if seconds < 3:
        return "almost done"
    if seconds < 20:
        return f"about {round(seconds)} s left"
    if seconds < 90:
        return f"about {round(seconds / 5) * 5} s left"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def bar(update: Update) -> str:
    """The progress bar of a running job, as HTML."""
    progress = update.progress
    stage = progress.stage[:1].upper() + progress.stage[1:]
    if progress.arm:
        stage = f"{ARM_TITLES.get(progress.arm, progress.arm)}: {progress.stage}"
    return _panel(stage, progress.overall, time_left(update.seconds_left))


def waiting(place: int = 0) -> str:
    """Shown before the first progress: the model is shared by all visitors, and `place` runs go before this one."""
    if not place:
        return _panel("Starting", 0.0, "estimating the time left")
    return _panel("Waiting in line", 0.0, f"{place} run{'s' if place > 1 else ''} before yours")


def message(text: str, kind: str = "quiet") -> str:
    """A line in the bar's place: `kind` is "quiet" or "bad"."""
    return f'<p class="status {kind}" role="status">{spoken(text)}</p>'


def _panel(stage: str, share: float, left: str) -> str:
    share = min(1.0, max(0.0, share))
    percent = round(100 * share)
    return (
        f'<div class="job"><div class="job-line"><span>{spoken(stage)}</span>'
        f'<span class="job-left">{percent}% &middot; {spoken(left)}</span></div>'
        f'<div class="job-track" role="progressbar" aria-label="{html.escape(stage)}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><div class="job-fill" style="width:{percent}%"></div></div></div>'
    )


class LossLog:
    """Losses of the series named in `colours`, smoothed by a running mean and thinned for a plot."""

    def __init__(self, colours: dict[str, str], window: int = 10) -> None:
        self.window = window
        self.colours = colours
        self.total = 1
        self._losses: dict[str, list[tuple[int, float]]] = {series: [] for series in colours}

    def add(self, progress: Progress) -> None:
        """Note the loss of a progress report, if it has one and belongs to one of the series."""
        series = ARM_TITLES.get(progress.arm) if progress.arm else STAGE_SERIES.get(progress.stage)
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
