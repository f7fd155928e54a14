"""HTML tables of figures, with every name escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from udp.evaluation.arms import Arm, Report
from udp.evaluation.lab import LabReport
from udp.evaluation.metrics.table import METRICS
from udp.imitation.cleaning import parse_cleaning
from udp.ui.language.phrases import spoken
from udp.ui.parts.progress import ARM_TITLES
from udp.ui.state.results import SavedPhoto

FEW_COLUMNS = 5  # on a phone they fit below a row's name
LEARNED = (
    "One trial, one model, one recipe. Learned means: how far the loss on the clean photos fell, compared with "
    "fine-tuning on them."
)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
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
        f'<div class="figures{few}" tabindex="0" role="region" aria-label="{html.escape(caption)}"><table role="table" '
        f'style="--columns: {len(head) - 1}"><caption>{spoken(caption)}</caption><thead role="rowgroup"><tr role="row">{top}'
        f'</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def visibility_table(photos: Sequence[SavedPhoto]) -> str:
    """Per photo: how large and how visible its change is."""
    rows = [
        [
            f"{html.escape(p.name)}<small>{p.size[0]} &times; {p.size[1]}</small>",
            f"{p.figures['largest_difference_levels']:g}",
            f"{p.figures['psnr_db']:.1f}",
            f"{p.figures['ssim']:.3f}",
            html.escape("; ".join(p.notes)) or "&ndash;",
        ]
        for p in photos
    ]
    head = ["Photo", "Largest change, of 255", "PSNR, dB", "SSIM", "Notes"]
    return table(head, rows, "How visible the change is (higher PSNR and SSIM: less visible)")


def left_out(reasons: Sequence[str]) -> str:
    """What of a visitor's files could not be read, a line each."""
    return "".join(f'<p class="status warning">{spoken(f"Left out: {text}")}</p>' for text in reasons)


def attack_table(report: Report) -> str:
    """Figures by arm, each with a line that says what it means."""
    arms = [report.base, *report.arms]
    rows = [
        [f"{spoken(row.heading)}<small>{spoken(row.help)}</small>", *(_figure(arm, row.key) for arm in arms)]
        for row in METRICS.values()
        if any(row.key in arm.metrics for arm in arms)
    ]
    return table(["Figure", "Before", *(ARM_TITLES.get(arm.name, arm.name) for arm in report.arms)], rows, "Figures")


def verdict_panel(report: Report, warnings: Sequence[str] = ()) -> str:
    """The verdict, after what there is to warn of in the photos."""
    doubts = "".join(f'<p class="status warning">{spoken(text)}</p>' for text in warnings)
    return doubts + (
        f'<div class="verdict" role="status"><p>{spoken(report.verdict)}</p><small>{spoken(LEARNED)}</small></div>'
    )


def grounds(report: Report) -> str:
    """The verdict's rule, and what the figures rest on."""
    return "".join(f'<p class="rule">{spoken(text)}</p>' for text in (report.judgement.rule, report.basis) if text)


def _figure(arm: Arm, key: str) -> str:
    """A figure with its interval, if it has one."""
    if key not in arm.metrics:
        return "&ndash;"
    ends = [_short(end) for end in arm.intervals.get(key, ())]
    interval = f"<small>{spoken(' to '.join(ends))}</small>" if ends else ""
    return f"{_short(arm.metrics[key])}{interval}"


def _short(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def cleaning_title(name: str) -> str:
    """A cleaning, or a chain of them, as people call it."""
    title = parse_cleaning(name).title
    return title[:1].upper() + title[1:]


def robustness_table(report: LabReport) -> str:
    """A row a cleaning: what each arm learned, the effect, how much of it is kept, and the verdict's word."""
    arms = ("clean", "random", "protected")
    rows = []
    for row in report.rows:
        learned = row.report.judgement.learned
        values = [learned[arm].text() if arm in learned else "&ndash;" for arm in arms]
        measures = [interval.text() if interval else "&ndash;" for interval in (row.effect, row.kept)]
        word = html.escape(row.report.judgement.word)
        rows.append([html.escape(cleaning_title(row.cleaning)), *values, *measures, word])
    head = ["Cleaning", *(f"Learned: {ARM_TITLES[arm].lower()}" for arm in arms), "Effect", "Effect kept", "Verdict"]
    return table(head, rows, "What the imitator learned after each cleaning, of what the clean photos teach")
