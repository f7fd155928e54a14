"""The lab's report as one HTML file that needs nothing beside it: pictures as data URIs, curves as inline SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from udp.evaluation.arm_names import TRAINED, ArmName, arm_colour, arm_title
from udp.evaluation.arms import Arm, Report
from udp.evaluation.lab import LabReport
from udp.evaluation.metrics.table import METRICS
from udp.evaluation.verdict import RULE
from udp.language import ENGLISH

LIMITS = (
    (
        "A perturbation raises the cost of imitation and is no lock: its first author later found that models learn "
        "from purified images whatever the protection",
        "arXiv 2312.00084",
    ),
    ("Off-the-shelf noisy upscaling undoes published protections", "arXiv 2406.12027"),
    ("A few unprotected copies of the subject undo it", "arXiv 2511.01307"),
    ("It was tested on the base model named here, and on no other", "this report"),
    ("EUDP's timestep distribution is our reading: the authors published no code", "arXiv 2306.01902"),
)
SUMMARY_HEAD = (
    "recipe", "cleaning", "learned: clean", "learned: random", "learned: protected", "effect", "effect kept", "verdict"
)  # fmt: skip
NOTHING = "–"
LONGEST_SIDE = 256  # a report is to look at, the photos lie beside it


class FigureRow(NamedTuple):
    """One figure of all arms: text for a table."""

    title: str
    help: str
    cells: list[str]


def page(
    report: LabReport,
    title: str,
    settings: Mapping[str, Any],
    photos: Mapping[str, Sequence[np.ndarray]],
    warnings: Sequence[str] = (),
) -> str:
    """The whole file as text.

    `settings` are shown as they are, nested values included; `photos` maps a label to uint8 photos of the training
    sets; `warnings` are sentences. All text is escaped.
    """
    environment = Environment(
        loader=PackageLoader("udp.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "picture": picture,
        "curves": curves,
        "figures": figure_rows,
        "arm": called,
        "say": ENGLISH.say,
    }
    return environment.get_template("report.html.jinja").render(
        report=report,
        title=title,
        settings=list(_flat(settings)),
        photos=photos,
        warnings=warnings,
        summary_head=SUMMARY_HEAD,
        summary_rows=summary_rows(report),
        limits=LIMITS,
        rule=RULE,
        colour=ArmName.PROTECTED.colour,
    )


def summary_rows(report: LabReport) -> list[list[str]]:
    """Recipe, cleaning, what each arm learned, effect, kept, verdict: plain text cells."""
    rows = []
    for row in report.rows:
        rows.append(
            [
                row.recipe,
                row.cleaning,
                *(row.learned[arm].text() if arm in row.learned else NOTHING for arm in TRAINED),
                row.effect.text() if row.effect else NOTHING,
                row.kept.text() if row.kept else NOTHING,
                ENGLISH.say(row.report.judgement.word),
            ]
        )
    return rows


def figure_rows(report: Report) -> Iterator[FigureRow]:
    """Every figure that an arm has, in the order of the table of metrics."""
    arms = (report.base, *report.arms)
    for row in METRICS.values():
        if any(row.key in arm.metrics for arm in arms):
            seen_by = ENGLISH.say(report.extractors.get(row.key, row.extractor.value))
            better = f" A better imitation is {row.better.value}." if row.better else ""
            yield FigureRow(
                ENGLISH.say(row.heading),
                f"{row.help}{better} Measured by {seen_by}.",
                [_value(arm, row.key) for arm in arms],
            )


def called(arm: str) -> str:
    """An arm for people."""
    return ENGLISH.say(arm_title(arm))


def _value(arm: Arm, key: str) -> str:
    if key not in arm.metrics:
        return NOTHING
    low_high = arm.intervals.get(key)
    shown = f"{arm.metrics[key]:.3g}"
    return f"{shown} ({low_high[0]:.3g} to {low_high[1]:.3g})" if low_high else shown


def curves(report: Report, width: int = 640, height: int = 200) -> Markup:
    """Training losses of every arm, smoothed over a twentieth of the steps, as SVG."""
    lines = {arm.name: _smooth(np.array(arm.losses)) for arm in report.arms if len(arm.losses) > 1}
    if not lines:
        return Markup()
    low, high = min(v.min() for v in lines.values()), max(v.max() for v in lines.values())
    scale = (height - 40) / max(1e-9, high - low)
    drawn = []
    for index, (name, values) in enumerate(lines.items()):
        colour = arm_colour(name)
        x = np.linspace(60, width - 10, len(values))
        points = " ".join(f"{a:.1f},{20 + (high - b) * scale:.1f}" for a, b in zip(x, values, strict=True))
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        left = 60 + 140 * index
        drawn.append(f'<line x1="{left}" x2="{left + 18}" y1="10" y2="10" stroke="{colour}" stroke-width="3"/>')
        drawn.append(f'<text x="{left + 24}" y="14" fill="currentColor">{escape(called(name))}</text>')
    for value, y in ((high, 24), (low, height - 18)):
        drawn.append(f'<text x="0" y="{y}" fill="currentColor">{value:.3f}</text>')
    steps = max(len(values) for values in lines.values())
    drawn.append(f'<text x="{width - 90}" y="{height - 2}" fill="currentColor">{steps} steps</text>')
    return Markup(
        f'<svg role="img" aria-label="training loss by arm" viewBox="0 0 {width} {height}" '
        f'style="max-width:{width}px;width:100%;font:12px system-ui">{"".join(drawn)}</svg>'
    )


def _smooth(values: np.ndarray) -> np.ndarray:
    window = max(1, len(values) // 20)
    return np.convolve(values, np.ones(window) / window, "valid")


def picture(image: np.ndarray) -> str:
    """A PNG as a data URI, made smaller if need be."""
    small = Image.fromarray(image)
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as rows, their names joined."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}: ")
        else:
            yield f"{prefix}{key}", str(value)
