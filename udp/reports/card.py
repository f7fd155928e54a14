"""The outcome of a trial as one picture to keep: what the imitator got, the verdict, and the settings it holds for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw, ImageFont

from udp.evaluation.arms import Report
from udp.protection.base import ProtectionMethod
from udp.reports.html import called
from udp.reports.pictures import grid

MOST_COLUMNS = 4
MARGIN, LINE = 24, 1.4
INK, QUIET = "#1c1917", "#57534e"


def card(report: Report, model: str, protection: ProtectionMethod | None) -> Image.Image:
    """A white picture, in English; of many pictures an arm the first `MOST_COLUMNS` are on it.

    `protection` is how the photos were protected, None where that is not known.
    """
    arms = (report.base, *report.arms)
    pictures = grid({called(arm.name): arm.images[:MOST_COLUMNS] for arm in arms})
    width = pictures.width + 2 * MARGIN
    blocks = [
        ("What an imitator gets", 26, INK),
        (report.verdict, 19, INK),
        (" ".join(_settings(report, model, protection)), 15, QUIET),
        ("Pictures in one column start from the same seed.", 15, QUIET),
    ]
    drawn = [
        (line, font, colour, block)
        for block, (text, size, colour) in enumerate(blocks)
        for font in [ImageFont.load_default(size)]
        for line in _wrapped(text, font, width - 2 * MARGIN)
    ]
    gaps = 12 * len(blocks)
    height = 2 * MARGIN + pictures.height + gaps + round(sum(font.size * LINE for _, font, _, _ in drawn))
    canvas = Image.new("RGB", (width, height), "white")
    pen, top, before = ImageDraw.Draw(canvas), MARGIN, 0
    for line, font, colour, block in drawn:
        if block != before:
            top, before = top + 12, block
            if block == 1:  # the pictures come right after the title
                canvas.paste(pictures, (MARGIN, round(top)))
                top += pictures.height + 12
        pen.text((MARGIN, round(top)), line, colour, font)
        top += font.size * LINE
    return canvas


def _settings(report: Report, model: str, protection: ProtectionMethod | None) -> Iterator[str]:
    if protection:
        yield f"Protection: {protection.title}, budget {protection.budget * 255:g}/255."
    trial, recipe = report.trial, report.recipe
    yield f"Imitator: {recipe.title}, {recipe.steps} steps, seed {trial.seed}, guidance {trial.guidance}."
    yield f"Asked for: {trial.prompt!r}. Model: {model}."


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> Sequence[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
