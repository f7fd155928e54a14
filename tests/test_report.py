"""The lab's report and the evaluate command: self-contained, escaped, resumable, with figures that are in the cells."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from udp.cli import main
from udp.evaluation.arms import Arm, make_report
from udp.evaluation.lab import LabReport, _row
from udp.evaluation.trial import Trial
from udp.imitation.recipes import LoRA
from udp.language import ENGLISH, LANGUAGES, text
from udp.reports.html import curves, page, summary_rows
from udp.reports.lab import table, warnings
from udp.ui.parts.tables import grounds, robustness_table
from udp.ui.state.results import robustness_rows

QUICK = ["--rounds", "1", "--surrogate-steps", "1", "--pgd-steps", "2", "--recipe-steps", "10"]
QUICK += ["--pictures", "2", "--sampling-steps", "2", "--recipe-batch-size", "1"]


class Checker(HTMLParser):
    """Every tag is closed in order; collects addresses and images."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href"):
                self.addresses.append(value or "")
        if tag == "img":
            self.images.append(dict(attrs)["alt"] or "")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return checker


def planted(protected: float, seeds: int = 1, alike: str = "") -> LabReport:
    """A report with these losses; `alike` is a likeness that the controls gain and the protected arm does not."""

    def runs(name: str, loss: float) -> list[Arm]:
        figures = {"clean_loss": loss, "texture_distance": 9.0 if name == "protected" else 4.0}
        if alike:
            figures[alike] = 0.9 if name in ("clean", "random") else 0.1
        image = np.full((8, 8, 3), 99, np.uint8)
        losses = () if name == "base" else (1.0, 0.8, loss)
        return [Arm(name, (image,), losses, figures, (figures,), {"texture_distance": (3.0, 5.0)})] * seeds

    arms = [runs("clean", 0.5), runs("random", 0.5), runs("protected", protected)]
    report = make_report(runs("base", 1.0), arms, (text("", "basis <b>"),))
    return LabReport((_row("lora", "none", report, report),), "tiny", Trial(seeds=seeds), (LoRA(),))


def test_page_is_one_file_with_escaped_text_and_both_themes() -> None:
    photos = {"<script>alert(1)</script>": [np.zeros((4, 4, 3), np.uint8)]}
    text = page(planted(0.95), 'a "title" & <b>', {"folder": {"name": "<i>"}}, photos, ["<u>careful"])
    found = checked(text)
    assert "<script" not in text and "<u>" not in text and "<i>" not in text and "basis <b>" not in text
    assert "a &#34;title&#34; &amp; &lt;b&gt;" in text and "folder: name" in text
    assert "prefers-color-scheme: dark" in text
    assert found.addresses and all(address.startswith("data:image/png;base64,") for address in found.addresses)
    assert len(found.images) == 1 + 4 and "4 (3 to 5)" in text
    assert "Collapsed: the imitation failed" in text and "http" not in text


def test_a_report_and_the_page_say_which_likeness_decided_in_both_languages() -> None:
    for key, words in (("structure_similarity", "SSIM"), ("dinov2_image_similarity", "DINOv2"), ("", "had no say")):
        report = planted(0.95, alike=key)
        judgement = report.rows[0].report.judgement
        said = judgement.judge_of_likeness
        assert words in ENGLISH.say(said) and ENGLISH.say(said) in page(report, "", {}, {})
        assert all(language.say(said) in grounds(report.rows[0].report) for language in LANGUAGES)
        assert judgement.describe()["likeness_by"] == (key or None)


def test_curves_have_a_line_an_arm_inside_the_picture() -> None:
    drawn = curves(planted(0.95).rows[0].report, 640, 200)
    checked(drawn)
    lines = re.findall(r'points="([^"]+)"', drawn)
    assert len(lines) == 3 and ">Clean<" in drawn and ">Protected<" in drawn
    for point in " ".join(lines).split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= 640 and 0 <= y <= 200


def test_table_and_warnings_say_what_the_trial_can_carry() -> None:
    one, three = planted(0.95), planted(0.95, seeds=3)
    assert "| lora | none | 100% | 100% | 10% | 90% | 100% | collapsed |" in table(one)
    assert text("lab.one_seed") in warnings(one) and text("lab.one_seed") not in warnings(three)
    assert "One seed: an example, not evidence. Repeat with --seeds 3 or more." in map(ENGLISH.say, warnings(one))
    assert "(90% to 90%)" in table(three)


def test_evaluate_writes_a_report_and_resumes(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["evaluate", str(photo_files[0].parent), "--out", str(tmp_path), "--model", str(tiny_model_folder)]
    # At its own rate ten steps leave the tiny model's arms the same to the last bit, and nothing would tell them apart.
    command += [*QUICK, "--budget", "6/255", "--method", "udp", "--recipe-learning-rate", "0.01"]
    assert main([*command, "--cleaning", "none"]) == 0
    printed = capsys.readouterr().out
    assert "| lora | none |" in printed and "One seed: an example, not evidence." in printed
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("*.json")}
    assert len(cells) == 4
    assert main([*command, "--cleaning", "none,half"]) == 0
    assert all(path.stat().st_mtime_ns == before for path, before in cells.items())
    assert len(list((tmp_path / "cells").glob("*.json"))) == 7

    report = json.loads((tmp_path / "report.json").read_text())
    assert [(row["recipe"], row["cleaning"]) for row in report["rows"]] == [("lora", "none"), ("lora", "half")]
    assert report["method"]["name"] == "udp" and report["recipes"]["lora"]["steps"] == 10
    assert report["visibility"]["largest_difference_levels"] <= 6
    cell = json.loads((tmp_path / "cells" / "lora-half-protected-run0.json").read_text())
    figures = report["rows"][1]["figures"]
    assert cell["figures"].items() < figures["protected"].items()
    assert figures["clean"]["pattern_excess"] == 0 < figures["protected"]["pattern_excess"]
    assert "Stripes or other pattern, dB" in (tmp_path / "report.html").read_text()
    text = (tmp_path / "report.html").read_text()
    checked(text)
    assert str(tmp_path) not in text and str(tmp_path) not in (tmp_path / "report.json").read_text()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--recipes", "lora,magic"], "got 'magic'"),
        (["--cleaning", "soap"], "got 'soap'"),
    ],
)
def test_bad_flags_end_with_a_message(
    more: list[str], words: str, photo_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["evaluate", str(photo_files[0].parent), "--out", str(tmp_path), *more]) == 2
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_shares_are_of_what_untouched_photos_teach_in_every_table() -> None:
    def arms(losses: dict[str, float]) -> list[list[Arm]]:
        figures = {name: {"clean_loss": loss, "texture_distance": 4.0} for name, loss in losses.items()}
        return [[Arm(name, (), (), found, (found,))] for name, found in figures.items()]

    base = arms({"base": 1.0})[0]
    untouched = make_report(base, arms({"clean": 0.5, "random": 0.55, "protected": 0.9}))
    cleaned = make_report(base, arms({"clean": 0.75, "random": 0.8, "protected": 0.85}))
    row = _row("lora", "vae", cleaned, untouched)
    assert cleaned.judgement.learned["protected"].mean == pytest.approx(0.6), "the verdict's, of photos cleaned alike"
    report = LabReport((row,), "mini", Trial(), (LoRA(),))
    assert summary_rows(report)[0][2:6] == ["50%", "40%", "30%", "10%"]
    shown = re.findall(r'<td role="cell">(\d+)%', robustness_table(report))
    assert shown[:4] == ["50", "40", "30", "10"]
    assert {arm: share["mean"] for arm, share in robustness_rows(report)[0]["learned"].items()} == pytest.approx(
        {"clean": 0.5, "random": 0.4, "protected": 0.3}
    )
