"""What somebody sees who does not know which pictures are which: sheets to rate blind, and the record of the ratings.

    python -m benchmarks.judged sheets --photos SUBJECTS --pictures KEPT --out SHEETS
    python -m benchmarks.judged score --key SHEETS.key.json --ratings ONE.json OTHER.json --judge "who" --out docs/judged.json

KEPT is a folder that `benchmarks.subjects --keep` filled, or the OUT of `benchmarks.robustness` or `benchmarks.ablation`, or examples/kept. `sheets` writes a numbered picture
for each row of pictures, real photos above, generated ones below, shuffled and without their arm's name, `instructions.txt`
for the judge, a person or a model, and beside the folder the key, which the judge must not see. Each file of ratings is one judge's,
{"00": {"subject": 3.5, "pattern": 0.5, "usable": "yes"}, ...}. `score` writes every rating with the figures of its row, and prints
two tables: what each arm was given, and how well each figure follows what was seen.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import spearmanr

from benchmarks.robustness import RANDOM
from benchmarks.subjects import ARMS, SIDE, STRONGER, cut
from benchmarks.trials import CLEAN, ended, spread
from udp.digests import digest
from udp.errors import InvalidInput
from udp.evaluation.cells import FolderStore, base_name, cell_name
from udp.evaluation.metrics.quality import squares
from udp.evaluation.verdict import learned, likeness
from udp.files import write_whole
from udp.photos import list_photos, read_photos

SHOWN = 4  # photos and pictures of a row, at most
ENLARGED = 2
CONTROLS = (CLEAN, "random")  # how the names of arms begin that are none
TOP = 4.0  # of both scales
USABLE = {"yes": True, "no": False}
INSTRUCTIONS = """\
Each sheet shows real photos of a subject above and, below, pictures by a small image generator that was trained on such photos. It
is coarse: its best pictures lack fine faces, and some softness is normal. Rate the lower row as a whole, by an absolute standard:

subject  how intact the subject is: 4 as intact as so coarse a generator could make it, 3 lightly damaged, 2 clearly damaged but
         recognisable, 1 only a rough shape or colour of it left, 0 gone. Halves are allowed.
pattern  an artificial pattern, texture or noise over the picture: 0 none, 1 light, 2 clear, 3 strong, 4 over everything. Halves too.
usable   "yes" or "no": would somebody who wants a picture of this subject take these, at this size, as an imitation of it?

Look at every sheet, and go back to the first ones at the end. Write one JSON file, with an entry for every sheet:
{"00": {"subject": 3.5, "pattern": 0.5, "usable": "yes"}, "01": ...}
"""
# The figures that are held against the ratings: as a share of what the worse control gained, as a difference from it, or as they are.
FIGURES = ("likeness", "learned", "texture_excess", "structure_similarity", "shape_similarity", "similarity", "noise_level", "blur",
           "diversity", "recall", "fid", "kid")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Pictures of one arm, uint8 (S, S, 3) each, where they come from, and their figures."""

    set: str
    arm: str
    pictures: Sequence[np.ndarray] = field(repr=False)
    figures: Mapping[str, float]
    seed: int = 0
    cleaning: str = "none"
    recipe: str = ""

    def describe(self) -> dict:
        """As JSON values, without the pictures."""
        return {key: value for key, value in vars(self).items() if key != "pictures"}


def beside_controls(
    base: Mapping[str, float], clean: Mapping[str, float], noise: Mapping[str, float], arm: Mapping[str, float]
) -> dict[str, float]:
    """The figures of an arm, with what the verdict makes of them beside its controls."""
    found = {key: arm[key] for key in FIGURES if key in arm}
    share, _ = likeness([base], {"clean": [clean], "random": [noise], "protected": [arm]})
    if share is not None:
        found["likeness"] = round(share.mean, 3)
    worse = max(clean["texture_distance"], noise["texture_distance"])
    return found | {
        "learned": round(learned(base, arm, clean), 3),
        "texture_excess": round(arm["texture_distance"] - worse, 3),
    }


def of_subjects(folder: Path) -> Iterator[Row]:
    """What `benchmarks.subjects` kept, the arms of its second budget too."""
    for mark in sorted(folder.glob("*.json")):
        content = json.loads(mark.read_text(encoding="utf-8"))
        if not {"row", "squares", "pictures"} <= content.keys():
            continue
        row = content["row"]
        figures = row["figures"]
        levels = {"": 255 * row["method"]["budget"], STRONGER: row.get("stronger", {}).get("budget_levels")}
        for name in figures:
            prefix = STRONGER if name.startswith(STRONGER) else ""
            if name == "base":
                continue
            arm = name if name == CLEAN else f"{name.removeprefix(prefix)} {levels[prefix]:g}/255"
            controls = [figures[one] for one in ("base", CLEAN, "random")]
            pictures = cut(mark.with_name(f"{row['subject']}-{name}.png"))
            yield Row(row["subject"], arm, pictures, beside_controls(*controls, figures[name]))


def of_trials(folder: Path) -> Iterator[Row]:
    """What a benchmark of `benchmarks.trials` kept: every arm of every row of its records."""
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for row in record.get("rows", ()):
            (place,) = (folder / path.stem / row["set"] / f"seed{row['seed']}").glob(f"*-{digest(row['settings'])[:8]}")
            recipe, store = place.name.rpartition("-")[0], FolderStore(place)
            arms = [arm for arm in row["arms"] if arm != "base"]
            cells = {arm: store.read(cell_name(recipe, row["cleaning"], arm, 0)) for arm in arms}
            controls = [one.metrics for one in (store.read(base_name(0, row["cleaning"])), cells[CLEAN], cells[RANDOM])]
            for arm, cell in cells.items():
                found = beside_controls(*controls, cell.metrics)
                yield Row(row["set"], arm, cell.images, found, row["seed"], row["cleaning"], row["recipe"])


def of_kept(folder: Path) -> Iterator[Row]:
    """The page's examples, as `benchmarks.kept` leaves them: a folder each, or one of them."""
    for path in sorted(folder.glob("**/run.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        controls = [run["figures"][one] for one in ("base", CLEAN, "random")]
        for arm in ARMS:
            pictures = [
                np.asarray(Image.open(file).convert("RGB")) for file in sorted(path.parent.glob(f"{arm}-*.jpg"))
            ]
            title = arm if arm == CLEAN else f"{arm} {255 * run['settings']['protection']['budget']:g}/255"
            yield Row(path.parent.name, title, pictures, beside_controls(*controls, run["figures"][arm]))


def rows_of(folder: Path) -> list[Row]:
    """Every row of pictures in a folder of such a benchmark. Raises `InvalidInput` where there is none."""
    found = [*of_subjects(folder), *of_trials(folder), *of_kept(folder)]
    if not found:
        raise InvalidInput(f"expected {str(folder)!r} to hold what a benchmark kept, got no pictures")
    return found


def photos_of(name: str, places: Sequence[Path]) -> list[np.ndarray]:
    """Real photos of a set, as a fine-tune sees them: from the folder of that name, or one inside a folder. Raises `InvalidInput`."""
    for place in places:
        for folder in (place, place / name):
            if folder.resolve().name == name and folder.is_dir():
                return squares([photo.pixels for photo in read_photos(list_photos(folder)[:SHOWN])], SIDE)
    raise InvalidInput(f"expected the photos of {name!r} in one of {', '.join(map(str, places))}, got none")


def sheet(title: str, photos: Sequence[np.ndarray], pictures: Sequence[np.ndarray]) -> Image.Image:
    """Photos above, pictures below."""
    side, gap = SIDE * ENLARGED, 30
    canvas = Image.new("RGB", (SHOWN * side, 2 * side + gap), "white")
    ImageDraw.Draw(canvas).text((4, side + 9), f"sheet {title}: rate the lower row", fill="black")
    for top, row in ((0, photos), (side + gap, pictures)):
        for place, image in enumerate(row[:SHOWN]):
            canvas.paste(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS), (place * side, top))
    return canvas


def write_sheets(rows: Sequence[Row], photos: Sequence[Path], out: Path, seed: int) -> Path:
    """The sheets in an order drawn from `seed`, and the key beside their folder, whose path it gives."""
    order = random.Random(seed).sample([*rows], len(rows))
    out.mkdir(parents=True, exist_ok=True)
    key = {}
    for index, row in enumerate(order):
        title = f"{index:0{max(2, len(str(len(rows) - 1)))}}"
        sheet(title, photos_of(row.set, photos), row.pictures).save(out / f"{title}.png")
        key[title] = row.describe()
    (out / "instructions.txt").write_text(INSTRUCTIONS, encoding="utf-8")
    place = out.with_name(f"{out.name}.key.json")
    write_whole(place, json.dumps(key, indent=1) + "\n")
    return place


def read_ratings(path: Path, titles: Sequence[str]) -> dict[str, dict]:
    """One judge's ratings by sheet. Raises `InvalidInput` where one is missing or out of its scale."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        found = {}
        for title in titles:
            scales = {name: float(given[title][name]) for name in ("subject", "pattern")}
            if not all(0 <= value <= TOP for value in scales.values()):
                raise ValueError(f"sheet {title}: {scales}")
            found[title] = {**scales, "usable": USABLE[given[title]["usable"]]}
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"expected {str(path)!r} to rate each of {len(titles)} sheets: subject and pattern from 0 to {TOP:g}, usable yes or no; "
            f"got {error!r}"
        ) from error


def scored(key: Mapping[str, dict], judges: Sequence[Mapping[str, dict]]) -> list[dict]:
    """The key's rows, each with its `ratings`, one a judge."""
    return [{**row, "ratings": [judge[title] for judge in judges]} for title, row in key.items()]


def mean_of(row: Mapping, scale: str) -> float:
    """A row's rating, the judges' mean."""
    return float(np.mean([rating[scale] for rating in row["ratings"]]))


def group_of(row: Mapping) -> str:
    """What a row of the table is called: the arm, and how the photos were cleaned."""
    return row["arm"] if row["cleaning"] == "none" else f"{row['arm']}, {row['cleaning']}"


def table(rows: Sequence[Mapping]) -> str:
    """Markdown: a row an arm, the most intact first."""
    groups: dict[str, list[Mapping]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row)
    lines = [
        "| arm | rows | taken for usable | subject, 4 is intact | pattern, 4 is strongest |",
        "|---|---|---|---|---|",
    ]
    for title, of in sorted(groups.items(), key=lambda item: -np.mean([mean_of(row, "subject") for row in item[1]])):
        taken = [rating["usable"] for row in of for rating in row["ratings"]]
        scales = " | ".join(spread([mean_of(row, scale) for row in of]) for scale in ("subject", "pattern"))
        lines.append(f"| {title} | {len(of)} | {sum(taken)} of {len(taken)} | {scales} |")
    return "\n".join(lines)


def agreement(rows: Sequence[Mapping]) -> str:
    """Markdown: how well each figure orders the rows as the eye does, Spearman's rank correlation with how intact the subject is."""
    lines = ["| figure | rank correlation with the subject's rating | protected rows alone |", "|---|---|---|"]
    protected = [row for row in rows if not row["arm"].startswith(CONTROLS)]

    def correlated(of: Sequence[Mapping], value: Callable[[Mapping], float | None]) -> str:
        pairs = [(value(row), mean_of(row, "subject")) for row in of]
        pairs = [pair for pair in pairs if pair[0] is not None]
        if len(pairs) < 3 or any(len(set(side)) < 2 for side in zip(*pairs, strict=True)):
            return "–"
        return f"{spearmanr(*zip(*pairs, strict=True)).statistic:.2f}"

    def by(name: str) -> Callable[[Mapping], float | None]:
        return lambda row: row["figures"].get(name)

    named = {name.replace("_", " "): by(name) for name in FIGURES if any(name in row["figures"] for row in rows)}
    ranked = sorted(named.items(), key=lambda item: correlated(rows, item[1]).lstrip("-"), reverse=True)
    for title, value in ranked:
        lines.append(f"| {title} | {correlated(rows, value)} | {correlated(protected, value)} |")
    return "\n".join(lines)


def judges_agree(rows: Sequence[Mapping]) -> str:
    """In how many rows the judges say the same of usable, and how alike they order the rows; "" with one judge."""
    if len(rows[0]["ratings"]) < 2:
        return ""
    same = sum(len({rating["usable"] for rating in row["ratings"]}) == 1 for row in rows)
    first, second = ([row["ratings"][judge]["subject"] for row in rows] for judge in (0, 1))
    return f"The judges agree on usable in {same} of {len(rows)} rows; rank correlation {spearmanr(first, second).statistic:.2f}."


def main(arguments: list[str] | None = None) -> int:
    """Run; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("sheets")
    making.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos, or folders of such")
    making.add_argument("--pictures", type=Path, nargs="+", required=True, help="what benchmarks kept")
    making.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    making.add_argument("--seed", type=int, default=0, help="of their order")
    scoring = commands.add_parser("score")
    scoring.add_argument("--key", type=Path, required=True)
    scoring.add_argument("--ratings", type=Path, nargs="+", required=True, help="one file a judge")
    scoring.add_argument("--judge", required=True, help="who rated, for the record")
    scoring.add_argument("--out", type=Path, required=True, help="the record, JSON")
    options = parser.parse_args(arguments)

    def sheets() -> str:
        rows = [row for folder in options.pictures for row in rows_of(folder)]
        place = write_sheets(rows, options.photos, options.out, options.seed)
        return f"{len(rows)} sheets in {options.out}; the key, not for the judge: {place}"

    def score() -> str:
        key = json.loads(options.key.read_text(encoding="utf-8"))
        rows = scored(key, [read_ratings(path, [*key]) for path in options.ratings])
        facts = {"date": datetime.date.today().isoformat(), "judge": options.judge, "judges": len(options.ratings)}
        write_whole(options.out, json.dumps({**facts, "rows": rows}, indent=1) + "\n")
        return "\n\n".join(filter(None, (table(rows), agreement(rows), judges_agree(rows))))

    return ended({"sheets": sheets, "score": score}[options.command])


if __name__ == "__main__":
    raise SystemExit(main())
