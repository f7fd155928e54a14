"""Blind ratings: the judge sees no arm's name, every sheet must be rated, and the record holds what was said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks import judged, results
from benchmarks.grids import SIDE, draw, strip
from benchmarks.pictures_kept import beside_controls
from benchmarks.robustness import PROTECTED, RANDOM
from benchmarks.subjects import with_verdict
from tests.conftest import picture
from udp.digests import digest
from udp.errors import InvalidInput
from udp.evaluation.arms import Arm
from udp.evaluation.cells import FolderStore, base_name, cell_name
from udp.evaluation.verdict import judge

# Loss, structure and texture by arm; the second budget's random noise is worse than the first's.
ARMS = {
    "base": (1.0, 0.2, 6.0), "clean": (0.2, 0.8, 3.0), "random": (0.3, 0.75, 3.5), "protected": (0.9, 0.6, 4.0),
    "stronger random": (0.4, 0.6, 5.0), "stronger protected": (1.1, 0.4, 4.5),
}  # fmt: skip


def figures(arm: str) -> dict[str, float]:
    return dict(zip(("clean_loss", "structure_similarity", "texture_distance"), ARMS[arm], strict=True))


def square(shade: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), shade, np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("ball", "cup")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(2):
            Image.fromarray(picture(10 * number + index)).save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """What `benchmarks.subjects --keep` leaves: the ball at two budgets and with a patient imitator, the cup at one."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for name in ("ball", "cup"):
        arms = [arm for arm in ARMS if name == "ball" or not arm.startswith("stronger")]
        row = {"subject": name, "figures": {arm: figures(arm) for arm in arms}, "method": {"budget": 8 / 255}}
        row["recipe"] = {"name": "lora"}
        files = {f"{name}-{arm}": shade for shade, arm in enumerate(arms)}
        if name == "ball":
            row["stronger"] = {"budget_levels": 16.0}
            row["patient"] = {"figures": {arm: figures(arm) for arm in ("base", "clean", "random", "protected")}}
            files |= {f"ball-patient-{arm}": 10 + shade for shade, arm in enumerate(("clean", "random", "protected"))}
        for file, shade in files.items():
            strip([square(10 * shade), square(10 * shade + 5)]).save(folder / f"{file}.png")
        (folder / f"{name}.json").write_text(json.dumps({"row": row, "squares": "", "pictures": []}))
    (folder / "other.json").write_text("{}")
    return folder


def test_a_record_with_its_grids_will_do_for_who_has_not_the_pictures(tmp_path: Path, photos: Path) -> None:
    """The ball alone is in the grids of the second budget and of the patient imitator, below no cup."""
    rows, grids = [], {"": [], "stronger-": [], "patient-": []}
    for number, name in enumerate(("cup", "ball")):
        arms = [arm for arm in ARMS if name == "ball" or not arm.startswith("stronger")]
        row = {"subject": name, "figures": {arm: figures(arm) for arm in arms}, "method": {"budget": 8 / 255}}
        row |= {"recipe": {"name": "lora"}, "patient": None}
        if name == "ball":
            row["stronger"] = {"budget_levels": 16.0}
            row["patient"] = {"figures": {arm: figures(arm) for arm in ("base", "clean", "random", "protected")}}
        for shade, title in enumerate(grids if name == "ball" else [""]):
            pictures = {
                arm: [square(100 * number + 30 * shade + 10 * index + picture, SIDE) for picture in range(4)]
                for index, arm in enumerate(("clean", "random", "protected"))
            }
            grids[title].append((name, pictures, [square(0, SIDE)] * 2))
        rows.append(row)
    for title, grid in grids.items():
        draw(grid).save(tmp_path / f"{title}subjects.png")
    record = tmp_path / "subjects.json"
    record.write_text(json.dumps({"rows": rows}))
    found = judged.rows_of(record)
    assert [(row.set, row.arm, row.recipe) for row in found] == [
        ("cup", "clean", "lora"), ("cup", "random 8/255", "lora"), ("cup", "protected 8/255", "lora"),
        ("ball", "clean", "lora"), ("ball", "random 8/255", "lora"), ("ball", "protected 8/255", "lora"),
        ("ball", "random 16/255", "lora"), ("ball", "protected 16/255", "lora"),
        ("ball", "clean", "patient"), ("ball", "random 8/255", "patient"), ("ball", "protected 8/255", "patient"),
    ]  # fmt: skip
    shades = [[int(one[0, 0, 0]) for one in row.pictures] for row in found]
    first = (0, 10, 20, 100, 110, 120, 140, 150, 160, 170, 180)
    assert shades == [[shade, shade + 1, shade + 2] for shade in first]
    assert {one.shape for row in found for one in row.pictures} == {(SIDE, SIDE, 3)}
    assert found[6].figures["learned"] == pytest.approx(0.75), "of the second budget's arm"
    draw(grids[""][:1]).save(tmp_path / "subjects.png")
    with pytest.raises(InvalidInput, match=r"subjects.json.*expected a grid of 2 rows or more"):
        judged.rows_of(record)


def rate(key: Mapping, subject: Callable[[Mapping], float], path: Path) -> Path:
    given = {
        title: {"subject": subject(row), "pattern": 1, "usable": "no" if "prot" in row["arm"] else "yes"}
        for title, row in key["rows"].items()
    }
    path.write_text(json.dumps({"sheets": key["sheets"], **given}))
    return path


def made_key(photos: Path, kept: Path, out: Path, seed: int = 0) -> dict:
    return json.loads(judged.write_sheets(judged.rows_of(kept), [photos], out, seed).read_text())


def test_the_rows_of_kept_subjects(kept: Path) -> None:
    found = judged.rows_of(kept)
    assert [(row.set, row.arm, row.recipe) for row in found] == [
        ("ball", "clean", "lora"), ("ball", "random 8/255", "lora"), ("ball", "protected 8/255", "lora"),
        ("ball", "random 16/255", "lora"), ("ball", "protected 16/255", "lora"), ("ball", "clean", "patient"),
        ("ball", "random 8/255", "patient"), ("ball", "protected 8/255", "patient"), ("cup", "clean", "lora"),
        ("cup", "random 8/255", "lora"), ("cup", "protected 8/255", "lora"),
    ]  # fmt: skip
    by = {(row.arm, row.recipe): row for row in found if row.set == "ball"}
    assert (
        by["protected 16/255", "lora"].pictures[1][0, 0, 0] == 55
        and by["random 8/255", "patient"].pictures[0][0, 0, 0] == 110
    )
    # Beside the controls of its own budget, as the verdict has it.
    small, large = (by[f"protected {budget}/255", "lora"].figures for budget in (8, 16))
    assert (small["likeness"], small["texture_excess"], small["learned"]) == (0.727, 0.5, 0.125)
    assert (large["likeness"], large["texture_excess"], large["learned"]) == (0.5, -0.5, -0.125)
    assert small["likeness_by"] == "structure_similarity"


def test_figures_that_are_not_there_are_none() -> None:
    ignorant = {"clean_loss": 1.2, "structure_similarity": 0.21, "texture_distance": 3.0}
    found = beside_controls(figures("base"), ignorant, figures("random"), figures("protected"))
    assert found["learned"] is None and found["likeness"] is None and found["likeness_by"] is None
    json.dumps(found, allow_nan=False)


def test_a_sheet_is_photos_above_and_pictures_below_and_nothing_else(photos: Path, kept: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets"
    key = made_key(photos, kept, out)
    rows = judged.rows_of(kept)
    order = [(row["set"], row["arm"], row["recipe"]) for row in key["rows"].values()]
    drawn = [(row.set, row.arm, row.recipe) for row in rows]
    assert order != drawn and sorted(order) == sorted(drawn), "shuffled"
    assert {path.name for path in out.iterdir()} == {"instructions.txt", *(f"{title}.png" for title in key["rows"])}
    for title, (name, arm, recipe) in zip(key["rows"], order, strict=True):
        (own,) = (row for row in rows if (row.set, row.arm, row.recipe) == (name, arm, recipe))
        expected = Image.new("RGB", (4 * 256, 2 * 256 + 30), "white")
        ImageDraw.Draw(expected).text((4, 265), f"sheet {title}: rate the lower row", fill="black")
        above = judged.photos_of(name, [photos], 128)
        assert len(above) == len(own.pictures) == 2 and not np.array_equal(*above)
        for top, images in ((0, above), (286, own.pictures)):
            for place, image in enumerate(images):
                large = Image.fromarray(image).resize((256, 256), Image.Resampling.LANCZOS)
                expected.paste(large, (256 * place, top))
        shown = Image.open(out / f"{title}.png")
        assert np.array_equal(np.asarray(shown), np.asarray(expected)) and not shown.info
    told = (out / "instructions.txt").read_text().lower()
    assert key["sheets"] in told and not any(word in told for word in ("protect", "clean", "random", "budget"))


def test_pictures_of_larger_models_are_shown_as_they_are(photos: Path) -> None:
    large = [square(9, 512)]
    shown = judged.sheet("00", judged.photos_of("cup", [photos / "cup"], 512), large)
    assert shown.size == (2048, 1054) and np.asarray(shown)[600, 5, 0] == 9


def test_the_order_is_drawn_anew_and_no_sheets_are_overwritten(
    photos: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(name: str, *more: str) -> list[str]:
        return ["sheets", "--photos", str(photos), "--pictures", str(kept), "--out", str(tmp_path / name), *more]

    monkeypatch.setattr(judged.secrets, "randbelow", lambda limit: 7)
    assert judged.main(line("one")) == judged.main(line("two", "--seed", "8", "--only", "protected", "clean")) == 0
    one, two = (json.loads((tmp_path / f"{name}.key.json").read_text()) for name in ("one", "two"))
    assert (one["seed"], two["seed"]) == (7, 8) and one["sheets"] != two["sheets"]
    assert len(one["rows"]) == 11 and len(two["rows"]) == 7
    assert not any(row["arm"].startswith("random") for row in two["rows"].values())
    capsys.readouterr()
    assert judged.main(line("one")) == 2 and "new or empty" in capsys.readouterr().out
    for file in (tmp_path / "one").iterdir():
        file.unlink()
    assert judged.main(line("one")) == 2, "its key is still there"
    assert judged.main(line("three", "--only", "nobody")) == 2 and "begin with nobody" in capsys.readouterr().out


def test_from_ratings_to_a_record(photos: Path, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = made_key(photos, kept, tmp_path / "sheets")

    def kind(row: Mapping) -> float:
        return {"clean": 4, "random": 3, "protected": 1}[row["arm"].split()[0]]

    one = rate(key, kind, tmp_path / "one.json")
    two = rate(key, lambda row: 4.0 - kind(row) / 2 if "16" in row["arm"] else kind(row), tmp_path / "two.json")
    record = tmp_path / "docs" / "judged.json"
    scoring = ["score", "--key", str(tmp_path / "sheets.key.json"), "--judge", "two friends", "--out", str(record)]
    assert judged.main([*scoring, "--ratings", str(one), str(two)]) == 0
    said = capsys.readouterr().out
    assert "| clean, lora | 2 | 4 of 4 | 4 (4 to 4) | 1 (1 to 1) |" in said
    assert "| clean, patient | 1 | 2 of 2 | 4 | 1 |" in said
    assert "| protected 16/255, lora | 1 | 0 of 2 | 2.25 | 1 |" in said
    lines = said.splitlines()
    assert lines.index("| clean, lora | 2 | 4 of 4 | 4 (4 to 4) | 1 (1 to 1) |") < lines.index(
        "| protected 16/255, lora | 1 | 0 of 2 | 2.25 | 1 |"
    )
    assert "| figure | all 11 rows | the 4 of protections | protected 8/255 alone | within a set |" in said
    assert "agree on usable in 11 of 11" in said and "first two 1.00" not in said
    content = json.loads(record.read_text())
    assert (content["judge"], content["ratings"], len(content["rows"])) == ("two friends", 2, 11)
    order = [(row["set"], row["recipe"], row["arm"]) for row in content["rows"]]
    assert order == sorted(order), "the record must not give away the order of the sheets"
    (row,) = (row for row in content["rows"] if row["arm"] == "protected 16/255")
    assert (
        row["ratings"][0] == {"subject": 1.0, "pattern": 1.0, "usable": False} and row["ratings"][1]["subject"] == 3.5
    )


def test_figures_are_ordered_by_how_well_they_follow_the_eye() -> None:
    def row(arm: str, eye: float, **values: float) -> dict:
        rating = {"subject": eye, "pattern": 0, "usable": True}
        return {
            "arm": arm,
            "set": "cup" if eye > 1 else "ball",
            "recipe": "",
            "cleaning": "none",
            "figures": values,
            "ratings": [rating],
        }

    arms = ["clean", "random 8/255", "protected 8/255", "protected 8/255", "protected 8/255", "protected 16/255"]
    rows = [
        row(arm, eye, likeness=like, blur=10 - eye, fid=5.0, **({"kid": eye} if eye < 3 else {}))
        for arm, eye, like in zip(arms, (4, 3, 2.5, 2, 1.5, 1), (0.9, 0.8, 0.1, 0.2, 0.3, 0), strict=True)
    ]
    assert judged.agreement(rows).splitlines()[2:] == [
        "| blur | -1.00 | -1.00 | -1.00 | -1.00 |",
        "| kid | 1.00 | 1.00 | 1.00 | 1.00 |",
        "| likeness | 0.77 | 0.20 | -1.00 | -1.00 |",
    ], "a figure that is the same everywhere orders nothing"
    assert judged.passes_agree(rows) == ""


def change(given: dict, title: str = "03", **values) -> None:
    given[title].update(values)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda given: given.pop("03"),
        lambda given: given["03"].pop("pattern"),
        lambda given: change(given, subject=4.5),
        lambda given: change(given, pattern=-0.5),
        lambda given: change(given, usable="perhaps"),
        lambda given: given.update(sheets="others"),
        lambda given: given.pop("sheets"),
        lambda given: given.update({"77": given["03"]}),
    ],
)
def test_ratings_that_are_missing_out_of_scale_or_of_other_sheets(
    spoil, photos: Path, kept: Path, tmp_path: Path
) -> None:
    key = made_key(photos, kept, tmp_path / "sheets")
    path = rate(key, lambda row: 2, tmp_path / "one.json")
    rating = judged.read_ratings(path, key)["03"]
    assert rating["subject"] == 2.0 and rating["usable"] in (True, False)
    given = json.loads(path.read_text())
    spoil(given)
    path.write_text(json.dumps(given))
    with pytest.raises(InvalidInput, match="each of the 11 sheets"):
        judged.read_ratings(path, key)


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
        base = figures("base") | ({"structure_similarity": 0.0} if cleaning == "crop" else {})
        store.save(base_name(0, cleaning), "key", Arm("base", (square(1),), (), base, (), {}))
    found = judged.rows_of(tmp_path)
    assert [(row.arm, row.cleaning, row.seed, row.recipe) for row in found[3:]] == [
        (arm, "crop", 1, "patient") for arm in ("clean", RANDOM, PROTECTED)
    ]
    assert (found[2].figures["likeness"], found[5].figures["likeness"]) == (0.727, 0.8), "each beside its own base"
    assert (found[5].pictures[1] == 8).all()
    described = [{**row.describe(), "ratings": [{"subject": 2, "pattern": 0, "usable": True}]} for row in found]
    assert "| protected, crop | 1 | 1 of 1 | 2 | 0 |" in judged.table(described)
    cell = store.folder / "lora-crop-clean-run0.json"
    cell.write_text(cell.read_text().replace('"clean_loss": 0.2', '"clean_loss": 0.1'))
    with pytest.raises(InvalidInput, match=r"finished cell.*damaged"):
        judged.rows_of(tmp_path)
    cell.unlink()
    with pytest.raises(InvalidInput, match="finished cell"):
        judged.rows_of(tmp_path)


def test_the_examples_of_the_page_can_be_judged() -> None:
    found = judged.rows_of(results.ROOT / "examples" / "kept")
    assert {(row.set, row.arm) for row in found} == {
        (name, arm) for name in ("subject", "style") for arm in ("clean", "random 8/255", "protected 8/255")
    }
    assert all(len(row.pictures) == 3 for row in found)
    assert len(judged.photos_of("style", [results.ROOT / "examples"], 128)) == judged.SHOWN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "what a benchmark kept"),
        ('{"row": {}, "squares": "", "pictures": []}', "what a benchmark kept"),
        ('{"rows": [{"set": "cup"}]}', "what a benchmark kept"),
        ("{}", "no pictures"),
    ],
)
def test_pictures_of_something_else(
    content: str, message: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "some.json").write_text(content)
    line = ["--photos", str(photos), "--out", str(tmp_path / "sheets"), "--pictures", str(tmp_path / "kept")]
    assert judged.main(["sheets", *line]) == 2 and message in capsys.readouterr().out


def test_bad_places_are_named(photos: Path, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score = ["score", "--ratings", "none.json", "--judge", "me", "--out", str(tmp_path / "out.json"), "--key"]
    assert judged.main([*score, str(tmp_path / "no.key.json")]) == 2
    (tmp_path / "no.key.json").write_text("{}")
    assert judged.main([*score, str(tmp_path / "no.key.json")]) == 2
    assert capsys.readouterr().out.count("what a benchmark kept") == 2
    (photos / "cup").rename(photos.parent / "real")
    line = ["sheets", "--photos", str(photos), "--pictures", str(kept), "--out", str(tmp_path / "sheets")]
    assert judged.main(line) == 2 and "the photos of 'cup'" in capsys.readouterr().out
    (photos / "cup").symlink_to(photos.parent / "real")
    assert judged.main(line) == 0


@pytest.mark.parametrize("name", ["subjects", "subjects-whole", "patient", "reach-off", "reach-fifth"])
def test_the_words_of_records_are_those_of_todays_rule(name: str) -> None:
    rows = results.record(f"docs/{name}.json")["rows"]
    assert [with_verdict(row) for row in rows] == rows


@pytest.mark.parametrize("name", results.EXAMPLES)
def test_the_page_shows_verdicts_of_todays_rule(name: str) -> None:
    run = results.record(f"examples/kept/{name}/run.json")
    arms = {arm: [values] for arm, values in run["figures"].items() if arm != "base"}
    assert judge([run["figures"]["base"]], arms).id == run["verdict"]["id"]
