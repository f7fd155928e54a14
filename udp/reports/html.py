"""The lab's report as one HTML file that needs nothing beside it: pictures as data URIs, curves as inline SVG."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from udp.evaluation.arms import Arm, Report
from udp.evaluation.lab import LabReport, Row

COLOURS = {"clean": "#3b7dd8", "random": "#b8860b", "protected": "#c2410c"}
FIGURES = {
    "clean_loss": "loss on the clean photos (lower: knows the subject better)",
    "similarity": "similarity to the clean photos (1: the same, 0: as before)",
    "texture_distance": "texture distance to the clean photos, dB",
    "pattern_excess": "periodic pattern (stripes) beyond the clean arm's pictures, dB",
    "noise_level": "noise, levels of 255",
    "blur": "blur (0 sharp, 1 no detail)",
    "fid": "FID, base-model features",
    "kid": "KID, base-model features",
    "precision": "precision (quality)",
    "recall": "recall (diversity)",
    "diversity": "diversity",
    "clip_image_similarity": "CLIP image similarity to the clean photos (CLIP-I)",
    "dinov2_image_similarity": "DINOv2 image similarity to the clean photos",
    "clip_prompt_agreement": "CLIP agreement with the prompt (CLIP-T)",
    "final_training_loss": "final training loss",
    "weight_change": "weight change",
}
LIMITS = (
    ("A perturbation raises the cost of imitation and is no lock: its first author later found that models learn "
     "from purified images whatever the protection", "arXiv 2312.00084"),
    ("Off-the-shelf noisy upscaling undoes published protections", "arXiv 2406.12027"),
    ("A few unprotected copies of the subject undo it", "arXiv 2511.01307"),
    ("It was tested on the base model named here, and on no other", "this report"),
    ("EUDP's timestep distribution is our reading: the authors published no code", "arXiv 2306.01902"),
)  # fmt: skip
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --soft: #5d5d66; --line: #d9d9e0; --card: #f5f5f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf1; --paper: #16161a; --soft: #a6a6b0; --line: #3a3a44; --card: #212127; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 0 auto; padding: 1.5rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
caption, small, .soft { color: var(--soft); text-align: left; font-size: .875rem; }
.verdict { border-left: 4px solid #c2410c; background: var(--card); padding: .6rem 1rem; font-weight: 600; }
.pictures { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; }
.pictures b { width: 6rem; } .pictures img { width: 96px; height: 96px; object-fit: cover; }
.warning { border-left: 4px solid #b8860b; padding-left: 1rem; } pre { overflow-x: auto; background: var(--card); padding: 1rem; }
"""


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
    parts = [
        f"<h1>{_text(title)}</h1>",
        *(f'<p class="warning">{_text(warning)}</p>' for warning in warnings),
        *_summary(report),
        "<h2>Photos</h2>",
        *(_pictures(label, images) for label, images in photos.items()),
        *(part for row in report.rows for part in _section(row)),
        "<h2>Limits</h2><ul>",
        *(f"<li>{_text(said)} <small>({_text(source)})</small></li>" for said, source in LIMITS),
        f"</ul><h2>Rule of the verdicts</h2><p>{_text(report.rows[0].report.judgement.rule)}</p>",
        f"<h2>What the figures rest on</h2><p>{_text(report.rows[0].report.basis)}</p>",
        "<h2>Settings and versions</h2>",
        *_settings(settings),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n' + "\n".join(parts) + (
        "\n</body></html>\n"
    )  # fmt: skip


def summary_rows(report: LabReport) -> list[list[str]]:
    """Recipe, cleaning, what each control and the protected arm learned, effect, kept, verdict: plain text cells."""
    rows = []
    for row in report.rows:
        learned = row.report.judgement.learned
        rows.append([
            row.recipe, row.cleaning,
            *(learned[arm].text() if arm in learned else "–" for arm in ("random", "protected")),
            row.effect.text() if row.effect else "–", row.kept.text() if row.kept else "–",
            row.report.judgement.word,
        ])  # fmt: skip
    return rows


SUMMARY_HEAD = ("recipe", "cleaning", "learned: random", "learned: protected", "effect", "effect kept", "verdict")


def _summary(report: LabReport) -> list[str]:
    first = report.rows[0].report
    return [
        f'<p class="verdict">{_text(first.verdict)}</p>',
        "<h2>Does it survive cleaning?</h2>",
        _table(SUMMARY_HEAD, summary_rows(report),
               "Learned: share of the clean arm's lesson, same cleaning. Effect: what the protection takes away beyond "
               "random noise of the same budget, in shares of what the uncleaned clean photos teach. Effect kept: "
               "relative to no cleaning; a dash where there was no effect to keep. Brackets: 95% over seeds."),
    ]  # fmt: skip


def _section(row: Row) -> list[str]:
    report = row.report
    return [
        f"<h2>{_text(row.recipe)}, cleaning: {_text(row.cleaning)}</h2>",
        f"<p>{_text(report.verdict)}</p>",
        *(_pictures(arm.name, arm.images) for arm in (report.base, *report.arms)),
        curves(report),
        _figures(report),
    ]


def _figures(report: Report) -> str:
    arms = (report.base, *report.arms)
    keys = [key for key in FIGURES if any(key in arm.metrics for arm in arms)]
    rows = [[_named(report, key), *(_value(arm, key) for arm in arms)] for key in keys]
    return _table(("figure", "before", *(arm.name for arm in report.arms)), rows, "Brackets: 95% intervals, see below.")


def _named(report: Report, key: str) -> str:
    return f"{FIGURES[key]}: {report.extractors[key]}" if key in report.extractors else FIGURES[key]


def _value(arm: Arm, key: str) -> str:
    if key not in arm.metrics:
        return "–"
    low_high = arm.intervals.get(key)
    shown = f"{arm.metrics[key]:.3g}"
    return f"{shown} ({low_high[0]:.3g} to {low_high[1]:.3g})" if low_high else shown


def curves(report: Report, width: int = 640, height: int = 200) -> str:
    """Training losses of every arm, smoothed over a twentieth of the steps, as SVG."""
    lines = {arm.name: _smooth(np.array(arm.losses)) for arm in report.arms if len(arm.losses) > 1}
    if not lines:
        return ""
    low, high = min(v.min() for v in lines.values()), max(v.max() for v in lines.values())
    scale = (height - 40) / max(1e-9, high - low)
    drawn = []
    for index, (name, values) in enumerate(lines.items()):
        colour = COLOURS.get(name, "#6b7280")
        x = np.linspace(60, width - 10, len(values))
        points = " ".join(f"{a:.1f},{20 + (high - b) * scale:.1f}" for a, b in zip(x, values, strict=True))
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        left = 60 + 120 * index
        drawn.append(f'<line x1="{left}" x2="{left + 18}" y1="10" y2="10" stroke="{colour}" stroke-width="3"/>')
        drawn.append(f'<text x="{left + 24}" y="14" fill="currentColor">{_text(name)}</text>')
    for value, y in ((high, 24), (low, height - 18)):
        drawn.append(f'<text x="0" y="{y}" fill="currentColor">{value:.3f}</text>')
    steps = max(len(values) for values in lines.values())
    drawn.append(f'<text x="{width - 90}" y="{height - 2}" fill="currentColor">{steps} steps</text>')
    return (
        f'<svg role="img" aria-label="training loss by arm" viewBox="0 0 {width} {height}" '
        f'style="max-width:{width}px;width:100%;font:12px system-ui">{"".join(drawn)}</svg>'
    )


def _smooth(values: np.ndarray) -> np.ndarray:
    window = max(1, len(values) // 20)
    return np.convolve(values, np.ones(window) / window, "valid")


def _pictures(label: str, images: Sequence[np.ndarray]) -> str:
    shown = "".join(f'<img alt="{_text(label)} {i + 1}" src="{_data(image)}">' for i, image in enumerate(images))
    return f'<div class="pictures"><b>{_text(label)}</b>{shown}</div>'


def _data(image: np.ndarray, side: int = 256) -> str:
    """A PNG as a data URI, made smaller if need be: a report is to look at, the photos lie beside it."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _settings(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    rows: list[list[str]] = []

    def walk(content: Mapping[str, Any], prefix: str) -> None:
        for key, value in content.items():
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}: ")
            else:
                rows.append([f"{prefix}{key}", str(value)])

    walk(settings, prefix)
    return [_table(("setting", "value"), rows, "")]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{_text(row[0])}</th>' + "".join(f"<td>{_text(c)}</td>" for c in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><caption>{_text(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
