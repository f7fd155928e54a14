"""The lab: every cell once, resumable, and the share of the effect that a cleaning leaves."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from udp.digests import weights_digest
from udp.errors import InvalidInput, Stopped
from udp.evaluation.arms import Arm, make_report
from udp.evaluation.bench import run_trial
from udp.evaluation.cells import FolderStore, MemoryStore
from udp.evaluation.lab import Lab, LabReport, _row
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import CLEANINGS, parse_cleaning
from udp.imitation.cleaning.filters import Resize
from udp.imitation.cleaning.purify import DecoderProjection
from udp.imitation.recipes import CAT, DreamBooth, LoRA
from udp.models.latent import LatentDiffusionModel
from udp.photos import Photo
from udp.progress import Progress, TimeLeft
from udp.protection.folder import protect_once
from udp.protection.methods import METHODS, RandomNoise

SMALL = Trial(pictures=2, sampling_steps=2)


def small_lab(photos: list[Photo], model: LatentDiffusionModel, **changes: object) -> Lab:
    arms = {"clean": photos[:2], "random": RandomNoise()(photos[:2], model)}
    lab = Lab(arms, model, [LoRA(steps=10, batch_size=2)], ["half"], SMALL)
    return dataclasses.replace(lab, **changes)


class Counting(FolderStore):
    """Remembers which cells were computed."""

    def save(self, name: str, key: str, arm: Arm) -> None:
        saved.append(name)
        super().save(name, key, arm)


saved: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    saved.clear()


def same(a: LabReport, b: LabReport) -> bool:
    pairs = list(zip(a.rows, b.rows, strict=True))
    return all(
        x.report.base.metrics == y.report.base.metrics
        and [arm.intervals for arm in x.report.arms] == [arm.intervals for arm in y.report.arms]
        and [arm.metrics for arm in x.report.arms] == [arm.metrics for arm in y.report.arms]
        and [arm.losses for arm in x.report.arms] == [arm.losses for arm in y.report.arms]
        and all(
            np.array_equal(i, j)
            for p, q in zip(x.report.arms, y.report.arms, strict=True)
            for i, j in zip(p.images, q.images, strict=True)
        )
        for x, y in pairs
    )


def test_a_killed_run_continues_and_repeats_nothing(
    tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path, one_core: None
) -> None:
    lab = small_lab(photos, tiny_model)

    def kill(progress: Progress) -> None:
        if progress.stage == "lora, half: fine-tuning" and progress.done == 3:
            raise Stopped("killed")

    with pytest.raises(Stopped):
        lab.run(Counting(tmp_path), kill)
    assert saved == ["base-run0", "lora-none-clean-run0", "lora-none-random-run0"]
    (tmp_path / "lora-half-clean-run0.json.part").write_text("{")
    seen: list[Progress] = []
    resumed = lab.run(Counting(tmp_path), seen.append)
    assert saved[3:] == ["lora-half-clean-run0", "lora-half-random-run0"]
    assert [p.overall for p in seen] == sorted(p.overall for p in seen) and seen[-1].overall == 1
    again = lab.run(Counting(tmp_path))
    assert len(saved) == 5 and same(resumed, again)


def test_progress_goes_by_steps_and_not_by_cells(
    tiny_model: LatentDiffusionModel, photos: list[Photo], one_core: None
) -> None:
    """The base model's pictures take as many steps as one arm's pictures: 2 of 50 in all, and not one cell of five."""
    seen: list[Progress] = []
    small_lab(photos, tiny_model).run(on_progress=seen.append)
    ends = {p.stage.partition(":")[0]: p.overall for p in seen}
    assert ends == {"base model": pytest.approx(2 / 50), "lora, none": pytest.approx(26 / 50), "lora, half": 1.0}
    trained = [p for p in seen if p.stage == "lora, none: fine-tuning" and p.arm == "clean" and p.done == 5]
    assert [p.overall for p in trained] == [pytest.approx(7 / 50)]


def test_progress_of_an_imitator_with_more_to_train_never_goes_back(
    tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    seen: list[Progress] = []
    cat = CAT(steps=10, batch_size=2, autoencoder_steps=10, prior_preservation="yes", class_images=2)
    lab = small_lab(photos, tiny_model, recipes=[cat], cleanings=["none"])
    lab.run(Counting(tmp_path), seen.append)
    assert [p.overall for p in seen] == sorted(p.overall for p in seen) and seen[-1].overall == 1
    ends = {p.stage.partition(":")[0]: p.overall for p in seen}
    assert ends["base model"] == pytest.approx(2 / (2 + 2 * (cat.arm_steps + 2)))
    assert not any(p.kept for p in seen)
    again: list[Progress] = []
    lab.run(Counting(tmp_path), again.append)
    assert len(again) == 3 and all(p.kept for p in again)


def test_what_an_earlier_run_had_finished_tells_nothing_of_the_time_left() -> None:
    left = TimeLeft()
    for share, now, kept in ((0.1, 0.0, True), (0.8, 1.0, True), (0.82, 31.0, False), (0.85, 61.0, False)):
        left.note(Progress("x", 1, 1, fraction=share, kept=kept), now)
    assert left.seconds(0.85, 61.0) == pytest.approx(60 * 0.15 / 0.05)
    left.note(Progress("x", 1, 1, fraction=0.95, kept=True), 62.0)
    assert left.seconds(0.95, 62.0) == pytest.approx(60 * 0.05 / 0.05)


def test_more_seeds_keep_the_first_and_other_settings_do_not(
    tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    lab = small_lab(photos, tiny_model, arms={"clean": photos[:2]}, cleanings=["none"])
    lab.run(Counting(tmp_path))
    more = dataclasses.replace(lab, trial=dataclasses.replace(SMALL, seeds=2)).run(Counting(tmp_path))
    assert [name for name in saved if name.endswith("run0")] == ["base-run0", "lora-none-clean-run0"]
    assert len(more.row("lora").report.arm("clean").runs) == 2
    saved.clear()
    dataclasses.replace(lab, recipes=[LoRA(steps=10, batch_size=2, rank=4)]).run(Counting(tmp_path))
    assert saved == ["lora-none-clean-run0"]


def test_an_imitator_who_cuts_photos_is_compared_with_cut_ones(
    tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    cleanings = ["half", "crop", "crop+jpeg75"]
    lab, seen = small_lab(photos, tiny_model, arms={"clean": photos[:2]}, cleanings=cleanings), []
    report = lab.run(Counting(tmp_path), seen.append)
    bases = [name for name in saved if name.startswith("base")]
    assert bases == ["base-run0", "base-crop-run0", "base-crop+jpeg75-run0"], "half shares that of none"
    assert [p.overall for p in seen] == sorted(p.overall for p in seen) and seen[-1].overall == 1
    whole, half, crop, _ = report.rows
    assert whole.report.base.metrics == half.report.base.metrics != crop.report.base.metrics
    # The same as whole photos that were cut before anybody found them.
    before = parse_cleaning("crop")(photos[:2])
    cut = dataclasses.replace(lab, arms={"clean": before}, cleanings=["none"]).run()
    (alone,) = cut.rows
    assert crop.report.base.metrics == alone.report.base.metrics
    assert crop.report.arm("clean").metrics == alone.report.arm("clean").metrics
    saved.clear()
    assert same(lab.run(Counting(tmp_path)), report) and not saved


@pytest.mark.parametrize("cores", [1, 2])
def test_cleaning_is_a_part_of_each_arms_work_and_is_done_once(
    cores: int, tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setitem(CLEANINGS, "invert", DecoderProjection(steps=12))
    lab = small_lab(photos, tiny_model, cleanings=["invert"], trial=dataclasses.replace(SMALL, seeds=2))
    seen: list[Progress] = []
    runs: list[bool] = []
    run = DecoderProjection.run
    monkeypatch.setattr(DecoderProjection, "run", lambda *given: runs.append(True) or run(*given))
    lab.run(on_progress=seen.append)
    shares = [p.overall for p in seen]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    cleaned = [p for p in seen if p.stage == "lora, invert: cleaning the photos"]
    assert {p.arm for p in cleaned} == {"clean", "random"} and len(runs) == 4, "each photo of each arm once"
    # Of the whole it takes what it is expected to, beside the first arm's training; the arms without it take the rest.
    units = 2 * parse_cleaning("invert").units([photo.size for photo in photos[:2]])
    taken, whole = max(p.overall for p in cleaned) - min(p.overall for p in cleaned), units + 2 * (2 + 4 * (10 + 2))
    assert 0.9 * units / whole < taken <= (units + 2 * (10 + 2)) / whole
    assert not any("cleaning" in p.stage for p in seen if p.stage.startswith("lora, none"))

    def stop(progress: Progress) -> None:
        if "cleaning" in progress.stage:
            raise Stopped("as asked")

    with pytest.raises(Stopped, match="as asked"):
        lab.run(on_progress=stop)


def test_a_resumed_run_that_cleans_photos_ends_at_all_of_it(
    tiny_model: LatentDiffusionModel, photos: list[Photo], one_core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept is not cleaned; it counts once all the same, however many runs and recipes there are."""
    monkeypatch.setattr(Resize, "units", lambda self, sizes: 30.0 * len(sizes))
    recipes = [LoRA(steps=10, batch_size=1), DreamBooth(steps=10, batch_size=1)]
    trial = dataclasses.replace(SMALL, seeds=2, pictures=1)
    lab = small_lab(photos, tiny_model, arms={"clean": photos[:1]}, cleanings=["half"], trial=trial, recipes=recipes)
    whole = MemoryStore()

    def shares(kept: str | None) -> list[float]:
        cells = {name: cell for name, cell in whole.cells.items() if kept is not None and kept in name}
        seen: list[Progress] = []
        lab.run(whole if kept is None else MemoryStore(cells), seen.append)
        return [p.overall for p in seen]

    for kept in (None, "-run0", "lora", ""):
        found = shares(kept)
        assert found == sorted(found) and found[-1] == pytest.approx(1), kept


def test_rows_cover_recipes_and_cleanings_with_none_first(
    tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    recipes = [LoRA(steps=10, batch_size=1), DreamBooth(steps=10, batch_size=1)]
    lab = small_lab(photos, tiny_model, arms={"clean": photos[:1]}, recipes=recipes, cleanings=["jpeg75+half", "none"])
    report = lab.run()
    assert [(r.recipe, r.cleaning) for r in report.rows] == [
        (recipe, cleaning) for recipe in ("lora", "dreambooth") for cleaning in ("none", "jpeg75+half")
    ]
    assert report.row("lora", "half") is None and report.rows[0].effect is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms": {}}, "expected a clean arm"),
        ({"recipes": []}, "0 recipes"),
        ({"cleanings": ["soap"]}, "got 'soap'"),
        ({"recipes": [LoRA(), LoRA(rank=2)]}, "every recipe once"),
    ],
)
def test_bad_labs_are_refused(
    changes: dict[str, object], words: str, tiny_model: LatentDiffusionModel, photos: list[Photo]
) -> None:
    with pytest.raises(InvalidInput, match=words):
        small_lab(photos, tiny_model, **changes).run()


def planted(**losses: list[float]) -> list[list[Arm]]:
    return [
        [Arm(name, (), (), f, (f,)) for f in ({"clean_loss": v, "texture_distance": 4.0} for v in values)]
        for name, values in losses.items()
    ]


def test_effect_kept_is_measured_against_the_uncleaned_effect() -> None:
    base = planted(base=[1.0, 1.0])[0]
    uncleaned = make_report(base, planted(clean=[0.5, 0.5], random=[0.5, 0.5], protected=[0.9, 0.9]))
    cleaned = make_report(base, planted(clean=[0.6, 0.6], random=[0.6, 0.6], protected=[0.8, 0.7]))
    row = _row("lora", "half", cleaned, uncleaned)
    assert row.effect.mean == pytest.approx(0.3) and row.kept.mean == pytest.approx(0.375)
    assert row.kept.low < 0.25 and row.kept.count == 2
    shares = {arm: share.mean for arm, share in row.learned.items()}
    assert shares == pytest.approx({"clean": 0.8, "random": 0.8, "protected": 0.5}), "of the uncleaned lesson"
    assert _row("lora", "none", uncleaned, uncleaned).kept.mean == pytest.approx(1)


def test_nothing_is_kept_where_nothing_was() -> None:
    base = planted(base=[1.0])[0]
    useless = make_report(base, planted(clean=[0.5], random=[0.5], protected=[0.52]))
    assert _row("lora", "half", useless, useless).kept is None
    untaught = make_report(base, planted(clean=[0.99], random=[0.99], protected=[1.2]))
    assert (
        _row("lora", "half", untaught, untaught).effect is None and not _row("lora", "half", useless, untaught).learned
    )


@pytest.mark.parametrize("clean", [1.0, 1.02])
def test_a_seed_that_taught_nothing_leaves_nothing_to_compare_with(clean: float) -> None:
    base = planted(base=[1.0, 1.0])[0]
    report = make_report(base, planted(clean=[0.3, clean], random=[0.5, 0.6], protected=[0.9, 0.9]))
    row = _row("lora", "none", report, report)
    assert not row.learned and row.effect is None and row.kept is None


def test_pictures_of_cut_photos_are_seen_beside_cut_photos_by_every_model(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def references(pretrained, faces, model, photos, framed, prompt):
        seen.append((photos[0].size, framed[0].size))
        return []

    monkeypatch.setattr("udp.evaluation.lab.references", references)
    monkeypatch.setattr("udp.evaluation.bench.references", references)
    lab = small_lab(photos, tiny_model, arms={"clean": photos[:1]}, cleanings=["half", "crop"])
    lab.run()
    whole, (cut,) = photos[0].size, parse_cleaning("crop")(photos[:1])
    assert seen == [(whole, whole), (whole, cut.size)] and cut.size != whole
    run_trial(lab.arms, tiny_model, lab.recipes[0], dataclasses.replace(SMALL, cleaning="crop"))
    assert seen[2:] == [(whole, cut.size)]


def test_an_imitator_who_cuts_photos_begins_at_another_loss() -> None:
    uncleaned = make_report(planted(base=[1.0])[0], planted(clean=[0.5], random=[0.5], protected=[0.9]))
    cut = make_report(planted(base=[1.2])[0], planted(clean=[0.7], random=[0.75], protected=[1.0]))
    row = _row("lora", "crop", cut, uncleaned)
    assert [row.learned[arm].mean for arm in ("clean", "random", "protected")] == pytest.approx([1, 0.9, 0.4])
    assert row.effect.mean == pytest.approx(0.5) and row.kept.mean == pytest.approx(0.625)


def test_a_set_is_protected_once(tiny_model: LatentDiffusionModel, photos: list[Photo], tmp_path: Path) -> None:
    stages: list[str] = []

    def listen(progress: Progress) -> None:
        stages.append(progress.stage)

    method = METHODS["udp"](rounds=1, surrogate_steps=1, pgd_steps=2)
    first = protect_once(tmp_path, photos, method, tiny_model, "a photo of sks", 0, listen)
    assert "protected earlier" not in stages
    stages.clear()
    second = protect_once(tmp_path, photos, method, tiny_model, "a photo of sks", 0, listen)
    assert stages == ["protected earlier"]
    for name in ("clean", "random", "protected"):
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first[name], second[name], strict=True))
    stages.clear()
    protect_once(tmp_path, photos, method, tiny_model, "a photo of sks", 1, listen)
    assert "protected earlier" not in stages


def test_weights_have_a_digest(tiny_model: LatentDiffusionModel) -> None:
    other = copy.copy(tiny_model)
    other.modules = (tiny_model.copy_network(), *(m for m in tiny_model.modules if m is not tiny_model.network))
    before = weights_digest(other.modules)
    assert before == weights_digest(other.modules) and len(before) == 16
    assert tiny_model.fingerprint == weights_digest(tiny_model.modules)
    layer = torch.nn.Linear(1000, 1000)
    threads, names = torch.get_num_threads(), set()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        names.add(weights_digest([layer]))
    torch.set_num_threads(threads)
    assert len(names) == 1, "a sum would differ"
    next(other.modules[0].parameters()).data.add_(1e-3)
    assert weights_digest(other.modules) != before
