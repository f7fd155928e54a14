"""The benchmark of cleanings: the worst case comes first, and is one imitator for each set and seed."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from benchmarks import records, robustness, trials
from benchmarks.robustness import PROTECTED, RANDOM, least_effect, table
from benchmarks.trials import Plan
from udp.digests import photos_digest
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import CLEANINGS
from udp.imitation.cleaning.filters import JPEG, Crop
from udp.imitation.recipes import DreamBooth
from udp.models.latent import LatentDiffusionModel
from udp.photos import Photo
from udp.protection.methods import RandomNoise


def row(name: str, seed: int, cleaning: str, loss: float, clean: float = 0.5) -> dict:
    near = {"structure_similarity": 0.5}
    losses = {"base": 1.0, "clean": clean, RANDOM: clean + 0.05, PROTECTED: loss}
    arms = {arm: {"clean_loss": value, **near} for arm, value in losses.items()}
    return {"set": name, "seed": seed, "recipe": "lora", "cleaning": cleaning, "arms": arms}


def test_the_worst_case_comes_first_and_is_counted_for_each_set_and_seed() -> None:
    rows = [row("a", 0, "none", 0.95), row("a", 0, "half", 0.75), row("b", 0, "none", 0.65), row("b", 0, "half", 0.8)]
    _, _, half, none, worst = table(rows).splitlines()
    assert half.startswith("| lora, half | 100% (100% to 100%) | 90% (90% to 90%) | 45% (40% to 50%) | 0.50 / 0.50")
    assert none.startswith("| lora, none |") and "40% (10% to 70%)" in none
    assert "60% (50% to 70%)" in worst, "half for a, none for b"


def test_what_a_cleaning_costs_the_imitator_is_counted() -> None:
    rows = [row("a", 0, "none", 0.9), row("a", 0, "vae", 0.8, clean=0.75)]
    _, _, cleaned, none, _ = table(rows).splitlines()
    assert cleaned.startswith("| lora, vae | 50% | 40% | 40% |"), "of what clean photos teach without cleaning"
    assert none.startswith("| lora, none | 100% | 90% | 20% |")


def test_the_least_effect_is_where_noise_and_protection_differ_least_and_somebody_still_learns() -> None:
    rows = [
        row(name, 0, cleaning, loss, clean)
        for name in "ab"
        for cleaning, loss, clean in (
            ("none", 0.9, 0.5), ("crop", 0.8, 0.5), ("invert", 0.86, 0.8), ("gridpure", 1.0, 0.95),
        )
    ]  # fmt: skip
    cleaning, taught = least_effect(rows)
    assert cleaning == "invert" and taught == {
        "base": 0, "clean": pytest.approx(0.4), RANDOM: pytest.approx(0.3), PROTECTED: pytest.approx(0.28),
    }, "most is learned after the crop, but so it is from noise; after gridpure nobody learns"  # fmt: skip
    assert least_effect([one for one in rows if one["cleaning"] in ("none", "gridpure")]) is None


def test_an_imitator_who_cuts_photos_begins_elsewhere() -> None:
    crop = row("a", 0, "crop", 1.1, clean=0.7)
    crop["arms"]["base"]["clean_loss"] = 1.2  # of the cut photos
    cut = table([row("a", 0, "none", 0.9), crop]).splitlines()[3]
    assert cut.startswith("| lora, crop | 100% | 90% | 20% |"), "of the lesson that whole photos hold"


@pytest.mark.parametrize("clean", [1.0, 1.02])
def test_where_clean_photos_taught_nothing_there_is_a_dash(clean: float) -> None:
    nothing = row("a", 0, "none", 0.9, clean=clean)
    assert table([nothing]).splitlines()[2:] == [
        "| lora, none | – | – | – | 0.50 / 0.50 / 0.50 |", "| **the worst of these for each** | | | – | |"
    ]  # fmt: skip
    _, _, known, unknown, worst = table([nothing, {**row("b", 0, "half", 0.8), "recipe": "dreambooth"},
                                         {**row("b", 0, "none", 0.8), "recipe": "dreambooth"}]).splitlines()[:5]  # fmt: skip
    assert "dreambooth" in known and "dreambooth" in unknown and worst.startswith("| lora, none | – |")


@pytest.fixture
def command(photo_files: list[Path], tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos of a tiny model's imitator who takes few steps."""
    monkeypatch.setattr(robustness, "Trial", functools.partial(Trial, sampling_steps=1))
    line = ["--photos", str(photo_files[0].parent), "--model", str(tiny_model_folder), "--pictures", "1"]
    return [*line, "--recipes", "dreambooth:steps=10"]


def test_from_photos_to_the_table(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    line = [*command, "--out", str(tmp_path), "--method", "photoguard:pgd_steps=1"]
    assert robustness.main([*line, "--cleanings", "none", "half+jpeg75"]) == 0
    rows = json.loads((tmp_path / "robustness.json").read_text())["rows"]
    assert [row["cleaning"] for row in rows] == ["none", "half+jpeg75"]
    assert rows[0]["changes"] == rows[1]["changes"] and rows[0]["arms"] != rows[1]["arms"]
    drawn = [path.name for path in (tmp_path / "robustness").rglob("*.png") if path.parent.name == "seed0"]
    assert len(drawn) == 2 and sum(name.endswith("-half+jpeg75.png") for name in drawn) == 1
    line[line.index("--out") + 1] = str(tmp_path / "two")
    assert robustness.main([*line, "--cleanings", "half+jpeg75", "--workers", "2"]) == 0
    _, again = json.loads((tmp_path / "two" / "robustness.json").read_text())["rows"]
    assert again["arms"] == rows[1]["arms"], "two processes give what one gives"
    assert "| dreambooth:steps=10, half+jpeg75 |" in capsys.readouterr().out
    assert robustness.main([*line, "--cleanings", "soap"]) == 2 and "expected cleanings" in capsys.readouterr().out


def test_each_arm_trains_on_its_own_photos_cleaned_once(
    command: list[str], photo_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    cleaned: list[str] = []
    fit, clean = DreamBooth.fit, JPEG.run

    def fitted(self, photos, *given, **named):
        trained.append(photos_digest(photos))
        return fit(self, photos, *given, **named)

    monkeypatch.setattr(DreamBooth, "fit", fitted)
    monkeypatch.setattr(JPEG, "run", lambda self, *given: cleaned.append(self.name) or clean(self, *given))
    line = [*command, "--seeds", "2", "--out", str(tmp_path), "--method", "photoguard:pgd_steps=1"]
    assert robustness.main([*line, "--cleanings", "jpeg75"]) == 0
    assert len(trained) == 12 and len(set(trained)) == 10, "the clean photos are those of both seeds"
    assert len(cleaned) == 2 * 3 * len(photo_files), "each arm once, in each of two seeds"
    before = len(cleaned)
    (tmp_path / "robustness.json").unlink()
    assert robustness.main([*line, "--cleanings", "jpeg75"]) == 0
    assert (len(trained), len(cleaned)) == (12, before), "what is kept is neither cleaned nor made again"


def test_rows_of_earlier_records_are_taken_where_nothing_differs(
    command: list[str], photo_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    line = [*command, "--cleanings", "half", "--method"]
    first = [*line, "photoguard:pgd_steps=1", "--out", str(tmp_path / "first")]
    assert robustness.main(first) == 0
    record = tmp_path / "first" / "robustness.json"
    content = json.loads(record.read_text())
    for one in content["rows"]:
        one |= {"date": "2020-01-01", "machine": "another"}
    record.write_text(json.dumps(content))
    rows = content["rows"]
    fits, call = [], trials.Part.__call__
    monkeypatch.setattr(trials.Part, "__call__", lambda part: fits.append(part.title) or call(part))
    elsewhere = ["--out", str(tmp_path / "second"), "--known", str(record)]
    assert robustness.main([*line, "photoguard:pgd_steps=1", *elsewhere]) == 0 and not fits
    again = json.loads((tmp_path / "second" / "robustness.json").read_text())
    assert again["rows"] == rows and (again["date"], again["machine"]) == ("2020-01-01", "another")
    # Another cleaning is made and the known ones are not; another method, and all are.
    assert robustness.main([*line[:-3], "--cleanings", "jpeg75", "--method", "photoguard:pgd_steps=1", *elsewhere]) == 0
    assert [title for title in fits if "on" in title.split()] == [
        f"dreambooth on {arm}, cleaned by jpeg75, seed 0" for arm in ("clean", RANDOM, PROTECTED)
    ]
    fits.clear()
    assert robustness.main([*line, "photoguard:pgd_steps=2", *elsewhere]) == 0 and len(fits) == 2 + 6
    fits.clear()
    other = tmp_path / "other"
    other.mkdir()
    for index, file in enumerate(photo_files):
        (other / file.name).write_bytes(photo_files[index - 1].read_bytes())
    assert robustness.main([*line, "photoguard:pgd_steps=1", *elsewhere, "--photos", str(other)]) == 0
    assert len(fits) == 2 + 6, "other photos"
    (tmp_path / "broken.json").write_text("[]")
    assert robustness.main([*first, "--known", str(tmp_path / "broken.json")]) == 2
    assert "to be a record of a benchmark" in capsys.readouterr().out


def test_sets_of_one_name_are_refused(
    photo_files: list[Path], tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    line = ["--photos", str(photo_files[0].parent), str(photo_files[0].parent), "--model", str(tiny_model_folder)]
    assert robustness.main([*line, "--out", str(tmp_path)]) == 2
    assert "expected sets in folders of different names" in capsys.readouterr().out


class Killed:
    """A part whose process is killed, as one is that takes too much memory."""

    title = "nobody's"

    def __call__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_workers_import_once() -> None:
    with trials.workers(2) as pool:
        assert pool.submit(eval, "'benchmarks.trials' in __import__('sys').modules").result()


def test_a_killed_process_ends_the_run() -> None:
    with pytest.raises(BrokenProcessPool), trials.workers(2) as pool:
        trials.together([Killed()], pool)


def test_a_run_that_is_broken_off_loses_no_row_of_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, plan = tmp_path / "robustness.json", Plan("mini", {}, {}, Trial())
    options = argparse.Namespace(known=[], photos=[], out=tmp_path, workers=1)
    kept = [{**row(name, 0, "none", 0.9), "key": name, "date": "2026-01-01", "machine": "one"} for name in "abc"]
    record.write_text(json.dumps({"rows": kept}))

    def broken(plan, sets, out, workers, known):
        yield known["a"]
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "run", broken)
    with pytest.raises(KeyboardInterrupt):
        records.run_and_record(plan, options, record, {})
    assert json.loads(record.read_text())["rows"] == kept
    monkeypatch.setattr(records, "run", lambda plan, sets, out, workers, known: [known["c"]])
    records.run_and_record(plan, options, record, {})
    assert json.loads(record.read_text())["rows"] == kept[2:], "what is not asked for goes at the end"


def test_what_decides_a_row_decides_its_key(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny_model.with_network(tiny_model.copy_network())
    next(other.network.parameters()).data += 1
    monkeypatch.setattr(trials, "loaded", lambda name, as_embedded=False: other if name == "other" else tiny_model)
    plan = Plan("tiny", {PROTECTED: RandomNoise()}, {}, Trial())
    one = trials.Imitator("a", DreamBooth(steps=10), "crop", "tiny")

    def key(imitator=one, plan=plan, name="set", photos=photos, trial=plan.trial) -> str:
        return imitator.key(plan, name, photos, trial)

    transparent = [dataclasses.replace(photo, alpha=np.zeros(photo.pixels.shape[:2], np.uint8)) for photo in photos]
    others = [
        key(dataclasses.replace(one, title="b")), key(dataclasses.replace(one, recipe=DreamBooth(steps=11))),
        key(dataclasses.replace(one, cleaning="none")), key(name="other"), key(photos=photos[:1]),
        key(photos=transparent), key(trial=Trial(seed=1)), key(dataclasses.replace(one, model_name="other", as_embedded=True)),
        key(plan=dataclasses.replace(plan, methods={PROTECTED: RandomNoise(budget=16 / 255)})),
    ]  # fmt: skip
    assert key() == key() and len({key(), *others}) == len(others) + 1


def test_another_strength_of_a_cleaning_is_another_row(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "loaded", lambda name, as_embedded=False: tiny_model)
    plan, one = Plan("tiny", {}, {}, Trial()), trials.Imitator("a", DreamBooth(steps=10), "crop", "tiny")
    before = one.key(plan, "set", photos, plan.trial)
    monkeypatch.setitem(CLEANINGS, "crop", Crop(margin=0.1))
    assert one.key(plan, "set", photos, plan.trial) != before
