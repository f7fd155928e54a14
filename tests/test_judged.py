"""Blind ratings: the judge sees no arm's name, every sheet must be rated, and the record holds what was said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import judged, results
from benchmarks.robustness import PROTECTED, RANDOM
from benchmarks.subjects import strip
from tests.conftest import picture
from udp.digests import digest
from udp.errors import InvalidInput
from udp.evaluation.arms import Arm
from udp.evaluation.cells import FolderStore, base_name, cell_name

LOSSES = {"base": 1.0, "clean": 0.2, "random": 0.3, "protected": 0.9, "stronger random": 0.4, "stronger protected": 1.1}
NEAR = {"base": 0.2, "clean": 0.8, "random": 0.8, "protected": 0.6, "stronger random": 0.8, "stronger protected": 0.4}


def figures(arm: str) -> dict[str, float]:
    return {"clean_loss": LOSSES[arm], "structure_similarity": NEAR[arm], "texture_distance": 3.0}


def square(shade: int) -> np.ndarray:
    return np.full((16, 16, 3), shade, np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("ball", "cup")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(picture(number)).save(tmp_path / "photos" / name / "one.png")
    return tmp_path / "photos"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """What `benchmarks.subjects --keep` leaves: the ball at two budgets, the cup at one."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for name in ("ball", "cup"):
        arms = [arm for arm in LOSSES if name == "ball" or not arm.startswith("stronger")]
        row = {"subject": name, "figures": {arm: figures(arm) for arm in arms}, "method": {"budget": 8 / 255}}
        if name == "ball":
            row["stronger"] = {"budget_levels": 16.0}
        for shade, arm in enumerate(arms):
            strip([square(10 * shade), square(10 * shade + 5)]).save(folder / f"{name}-{arm}.png")
        (folder / f"{name}.json").write_text(json.dumps({"row": row, "squares": "", "pictures": []}))
    return folder


def rate(key: Mapping[str, dict], subject: Mapping[str, float], path: Path) -> Path:
    given = {
        title: {"subject": subject[row["arm"].split()[0]], "pattern": 1, "usable": "no" if "prot" in row["arm"] else "yes"}
        for title, row in key.items()
    }  # fmt: skip
    path.write_text(json.dumps(given))
    return path


def test_from_kept_pictures_to_a_record(
    photos: Path, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheets"
    line = ["sheets", "--photos", str(photos), "--pictures", str(kept), "--out", str(out)]
    assert judged.main(line) == 0
    key = json.loads((tmp_path / "sheets.key.json").read_text())
    arms = [row["arm"] for row in key.values()]
    assert sorted(arms) == sorted(
        ["clean", "random 8/255", "protected 8/255"] * 2 + ["random 16/255", "protected 16/255"]
    )
    order = [(row["set"], row["arm"]) for row in key.values()]
    made = [(row.set, row.arm) for row in judged.rows_of(kept)]
    assert order != made and sorted(order) == sorted(made), "shuffled"
    assert judged.main([*line, "--seed", "1"]) == 0
    other = json.loads((tmp_path / "sheets.key.json").read_text())
    assert [(row["set"], row["arm"]) for row in other.values()] != order
    judged.main(line)

    # The judge's folder holds sheets and instructions, and nothing in it names an arm.
    names = {path.name for path in out.iterdir()}
    assert names == {"instructions.txt", *(f"{title}.png" for title in key)}
    told = (out / "instructions.txt").read_text().lower()
    assert not any(word in told for word in ("protected", "clean", "random", "noise of"))
    for title, row in key.items():
        seen = np.asarray(Image.open(out / f"{title}.png"))
        (own,) = (one.pictures[0] for one in judged.rows_of(kept) if (one.set, one.arm) == (row["set"], row["arm"]))
        assert (seen[-5, 5] == own[0, 0]).all(), "the picture below is the row's"

    one = rate(key, {"clean": 4, "random": 3, "protected": 1}, tmp_path / "one.json")
    two = rate(key, {"clean": 3, "random": 3, "protected": 2}, tmp_path / "two.json")
    record = tmp_path / "judged.json"
    scoring = ["score", "--key", str(tmp_path / "sheets.key.json"), "--judge", "two friends", "--out", str(record)]
    capsys.readouterr()
    assert judged.main([*scoring, "--ratings", str(one), str(two)]) == 0
    said = capsys.readouterr().out
    assert "| clean | 2 | 4 of 4 | 3.5 (3.5 to 3.5) | 1 (1 to 1) |" in said
    assert "| protected 16/255 | 1 | 0 of 2 | 1.5 | 1 |" in said
    assert "| structure similarity | 0." in said and "agree on usable in 8 of 8" in said
    content = json.loads(record.read_text())
    assert (content["judge"], content["judges"], len(content["rows"])) == ("two friends", 2, 8)
    (row,) = (row for row in content["rows"] if row["arm"] == "protected 16/255")
    assert row["ratings"][0] == {"subject": 1.0, "pattern": 1.0, "usable": False}
    assert row["figures"]["likeness"] == pytest.approx(1 / 3, abs=1e-3)
    assert row["figures"]["learned"] == pytest.approx(-0.125, abs=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given.pop("03"),
        lambda given: given["03"].pop("pattern"),
        lambda given: given["03"].update(subject=5),
        lambda given: given["03"].update(pattern=-1),
        lambda given: given["03"].update(usable="perhaps"),
    ],
)
def test_a_rating_that_is_missing_or_out_of_scale_is_named(change, photos: Path, kept: Path, tmp_path: Path) -> None:
    key = judged.write_sheets(judged.rows_of(kept), [photos], tmp_path / "sheets", 0)
    titles = [*json.loads(key.read_text())]
    given = {title: {"subject": 2, "pattern": 1, "usable": "yes"} for title in titles}
    path = tmp_path / "one.json"
    path.write_text(json.dumps(given))
    assert judged.read_ratings(path, titles)["03"] == {"subject": 2.0, "pattern": 1.0, "usable": True}
    change(given)
    path.write_text(json.dumps(given))
    with pytest.raises(InvalidInput, match="8 sheets"):
        judged.read_ratings(path, titles)


def test_pictures_of_trials_keep_their_cleaning(photos: Path, tmp_path: Path) -> None:
    settings, arms = {"steps": 3}, {"base": {}, "clean": {}, RANDOM: {}, PROTECTED: {}}
    rows = [
        {"set": "cup", "seed": 1, "recipe": "patient", "settings": settings, "cleaning": cleaning, "arms": arms}
        for cleaning in ("none", "crop")
    ]
    (tmp_path / "robustness.json").write_text(json.dumps({"rows": rows}))
    store = FolderStore(tmp_path / "robustness" / "cup" / "seed1" / f"lora-{digest(settings)[:8]}")
    for cleaning in ("none", "crop"):
        for name, arm in {"clean": "clean", RANDOM: "random", PROTECTED: "protected"}.items():
            images = (square(7), square(8))
            store.save(cell_name("lora", cleaning, name, 0), "key", Arm(name, images, (), figures(arm), (), {}))
        store.save(base_name(0, cleaning), "key", Arm("base", (square(1),), (), figures("base"), (), {}))
    found = judged.rows_of(tmp_path)
    assert [(row.arm, row.cleaning, row.seed, row.recipe) for row in found[3:]] == [
        (arm, "crop", 1, "patient") for arm in ("clean", RANDOM, PROTECTED)
    ]
    assert found[5].figures["likeness"] == pytest.approx(2 / 3, abs=1e-3) and (found[5].pictures[1] == 8).all()
    described = [{**row.describe(), "ratings": [{"subject": 2, "pattern": 0, "usable": True}]} for row in found]
    assert "| protected, crop | 1 | 1 of 1 | 2 | 0 |" in judged.table(described)
    assert "| learned | – | – |" in judged.agreement(described), "all rows alike: nothing to order"
    (tmp_path / "robustness" / "cup" / "seed1" / store.folder.name / "lora-crop-clean-run0.json").unlink()
    with pytest.raises(InvalidInput, match="finished cell"):
        judged.rows_of(tmp_path)


def test_the_examples_of_the_page_can_be_judged() -> None:
    found = judged.rows_of(results.ROOT / "examples" / "kept")
    assert {(row.set, row.arm) for row in found} == {
        (name, arm) for name in ("subject", "style") for arm in ("clean", "random 8/255", "protected 8/255")
    }
    assert all(len(row.pictures) == 3 for row in found)
    assert len(judged.photos_of("style", [results.ROOT / "examples"])) == judged.SHOWN


def test_bad_places_are_named(photos: Path, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    line = ["--photos", str(photos), "--out", str(tmp_path / "sheets")]
    assert judged.main(["sheets", "--pictures", str(tmp_path / "empty"), *line]) == 2
    assert "no pictures" in capsys.readouterr().out
    (photos / "cup" / "one.png").unlink()
    (photos / "cup").rmdir()
    assert judged.main(["sheets", "--pictures", str(kept), *line]) == 2
    assert "the photos of 'cup'" in capsys.readouterr().out
