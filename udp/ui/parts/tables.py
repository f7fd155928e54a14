"""HTML tables of figures, with every name escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from udp.evaluation.arm_names import TRAINED, arm_title
from udp.evaluation.arms import Arm, Report
from udp.evaluation.interval import Interval
from udp.evaluation.lab import LabReport
from udp.evaluation.metrics.table import METRICS
from udp.evaluation.verdict import RULE
from udp.imitation.cleaning import parse_cleaning
from udp.language import ENGLISH, Text, text
from udp.ui.say import spoken
from udp.ui.state.results import SavedPhoto

FEW_COLUMNS = 5  # on a phone they fit below a row's name


def table(head: Sequence[Text], rows: Sequence[Sequence[str]], caption: Text) -> str:
    """A table whose rows are of HTML already; the first cell of each row is its header."""
    # The roles stand here because a narrow page lays rows out as grids, and a row that is none loses its own.
    top = "".join(f'<th scope="col" role="columnheader">{spoken(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr role="row"><th scope="row" role="rowheader">{row[0]}</th>'
        + "".join(f'<td role="cell">{cell}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    few = " few" if len(head) <= FEW_COLUMNS else ""
    return (
        f'<div class="figures{few}" tabindex="0" role="region" aria-label="{html.escape(ENGLISH.say(caption))}">'
        f'<table role="table" style="--columns: {len(head) - 1}"><caption>{spoken(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{top}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def visibility_table(photos: Sequence[SavedPhoto]) -> str:
    """Per photo: how large and how visible its change is."""
    rows = [
        [
            f"{html.escape(p.name)}<small>{p.size[0]} &times; {p.size[1]}</small>",
            f"{p.figures['largest_difference_levels']:g}",
            f"{p.figures['psnr_db']:.1f}",
            f"{p.figures['ssim']:.3f}",
            "; ".join(map(spoken, p.notes)) or "&ndash;",
        ]
        for p in photos
    ]
    head = [text(f"visibility.{column}") for column in ("photo", "change", "psnr", "ssim", "notes")]
    return table(head, rows, text("visibility.caption"))


def left_out(reasons: Sequence[Text | str]) -> str:
    """What of a visitor's files could not be read, a line each."""
    said = (spoken(text("photos.left_out", reason=reason)) for reason in reasons)
    return "".join(f'<p class="status warning">{line}</p>' for line in said)


def attack_table(report: Report) -> str:
    """Figures by arm, each with a line that says what it means."""
    arms = [report.base, *report.arms]
    rows = [
        [f"{spoken(row.heading)}<small>{spoken(row.meaning)}</small>", *(_figure(arm, row.key) for arm in arms)]
        for row in METRICS.values()
        if any(row.key in arm.metrics for arm in arms)
    ]
    head = [text("figures.figure"), text("figures.before"), *(arm_title(arm.name) for arm in report.arms)]
    return table(head, rows, text("figures.caption"))


def verdict_panel(report: Report, warnings: Sequence[Text] = ()) -> str:
    """The verdict, after what there is to warn of in the photos."""
    doubts = "".join(f'<p class="status warning">{spoken(warning)}</p>' for warning in warnings)
    return doubts + (
        f'<div class="verdict" role="status"><p>{spoken(report.judgement.sentence)}</p>'
        f"<small>{spoken(text('verdict.learned'))}</small></div>"
    )


def grounds(report: Report) -> str:
    """The verdict's rule, which likeness it went by, and what the figures rest on."""
    judged = report.judgement.judge_of_likeness
    basis = " ".join(map(spoken, (*([judged] if judged else []), *report.basis)))
    return "".join(f'<p class="rule">{shown}</p>' for shown in (spoken(RULE), basis) if shown)


def _figure(arm: Arm, key: str) -> str:
    """A figure with its interval, if it has one."""
    if key not in arm.metrics:
        return "&ndash;"
    ends = [_short(end) for end in arm.intervals.get(key, ())]
    interval = f"<small>{spoken(text('interval.ends', low=ends[0], high=ends[1]))}</small>" if ends else ""
    return f"{_short(arm.metrics[key])}{interval}"


def _short(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def cleaning_title(name: str) -> Text:
    """A cleaning, or a chain of them, as people call it."""
    first, *then = name.split("+")
    title = parse_cleaning(first).title
    found = text(f"cleaning.{first}", title[:1].upper() + title[1:])
    return text("cleaning.chain", first=found, then=cleaning_title("+".join(then))) if then else found


def robustness_table(report: LabReport) -> str:
    """A row a cleaning: what each arm learned, the effect, how much of it is kept, and the verdict's word."""
    rows = []
    for row in report.rows:
        shares = [*(row.learned.get(arm) for arm in TRAINED), row.effect, row.kept]
        rows.append([spoken(cleaning_title(row.cleaning)), *map(_share, shares), spoken(row.report.judgement.word)])
    head = [
        text("robustness.cleaning"),
        *(text("robustness.learned", arm=arm_title(arm)) for arm in TRAINED),
        text("robustness.effect"),
        text("robustness.kept"),
        text("robustness.verdict"),
    ]
    return table(head, rows, text("robustness.caption"))


def _share(interval: Interval | None) -> str:
    return spoken(text("interval.share", interval=interval)) if interval else "&ndash;"
