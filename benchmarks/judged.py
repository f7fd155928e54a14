"""What somebody sees who does not know which pictures are which: sheets to rate blind, and the record of the ratings.

    python -m benchmarks.judged sheets --photos SUBJECTS --pictures KEPT --out SHEETS
    python -m benchmarks.judged score --key SHEETS.key.json --ratings ONE.json OTHER.json --judge "who" --out docs/judged.json

KEPT is a folder that `benchmarks.subjects --keep` filled, or its record with the grids beside it, as docs/subjects.json (three pictures
an arm), or the OUT of `benchmarks.robustness` or `benchmarks.ablation` (of rows that
were made there, not taken by `--known`), or examples/kept. `sheets` writes a numbered picture for each row of pictures, real photos
above, generated ones below, shuffled and without their arm's name, `instructions.txt` for the judge, a person or a model, and beside
the folder the key, which the judge must not see. Each file of ratings is one judge's, or one pass of a judge. `score` writes
every rating with the figures of its row, and prints what each arm was given, and how well each figure follows what was seen.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import math
import random
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import spearmanr

from benchmarks.grids import SIDE
from benchmarks.pictures_kept import FIGURES, Row, reading, rows_of
from benchmarks.records import ended, spread
from benchmarks.trials import CLEAN
from udp.errors import InvalidInput
from udp.evaluation.metrics.quality import squares
from udp.files import write_whole
from udp.photos import list_photos, read_photos

SHOWN = 4  # photos and pictures of a row, at most
ENLARGED = 256  # pixels a side at least
GAP = 30  # pixels between the rows
CONTROLS = (CLEAN, "random")  # how the names of arms begin that are none of a protection
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
{"sheets": "SHEETS_ID", "00": {"subject": 3.5, "pattern": 0.5, "usable": "yes"}, "01": ...}
"""


def photos_of(name: str, places: Sequence[Path], side: int) -> list[np.ndarray]:
    """Real photos of a set as squares: from the folder of that name, or one inside a folder. Raises `InvalidInput`."""
    for place in places:
        inside = place / name
        folder = inside if inside.is_dir() else place
        if folder == inside or place.resolve().name == name:
            return squares([photo.pixels for photo in read_photos(list_photos(folder)[:SHOWN])], side)
    raise InvalidInput(f"expected the photos of {name!r} in one of {', '.join(map(str, places))}, got none")


def sheet(title: str, photos: Sequence[np.ndarray], pictures: Sequence[np.ndarray]) -> Image.Image:
    """Photos above, pictures below, all of one size, small ones enlarged."""
    side = max(ENLARGED, len(pictures[0]))
    canvas = Image.new("RGB", (SHOWN * side, 2 * side + GAP), "white")
    ImageDraw.Draw(canvas).text((4, side + 9), f"sheet {title}: rate the lower row", fill="black")
    for top, row in ((0, photos), (side + GAP, pictures)):
        for place, image in enumerate(row[:SHOWN]):
            canvas.paste(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS), (place * side, top))
    return canvas


def write_sheets(rows: Sequence[Row], photos: Sequence[Path], out: Path, seed: int) -> Path:
    """The sheets in an order drawn from `seed`, and the key beside their folder, whose path it gives.

    Raises `InvalidInput` where there are sheets or a key already: ratings of theirs would be worth nothing.
    """
    out = out.resolve()
    place = out.with_name(f"{out.name}.key.json")
    if place.exists() or (out.exists() and any(out.iterdir())):
        raise InvalidInput(f"expected {str(out)!r} to be new or empty, and no {place.name} beside it, got one of them")
    order = random.Random(seed).sample([*rows], len(rows))
    key, seen = {}, hashlib.sha256()
    drawn = {}
    for index, row in enumerate(order):
        title = f"{index:0{max(2, len(str(len(rows) - 1)))}}"
        drawn[title] = sheet(title, photos_of(row.set, photos, max(SIDE, len(row.pictures[0]))), row.pictures)
        seen.update(drawn[title].tobytes())
        key[title] = row.describe()
    out.mkdir(parents=True, exist_ok=True)
    for title, image in drawn.items():
        image.save(out / f"{title}.png")
    name = seen.hexdigest()[:16]
    (out / "instructions.txt").write_text(INSTRUCTIONS.replace("SHEETS_ID", name), encoding="utf-8")
    write_whole(place, json.dumps({"sheets": name, "seed": seed, "rows": key}, indent=1) + "\n")
    return place


def read_ratings(path: Path, key: Mapping) -> dict[str, dict]:
    """One judge's ratings by sheet. Raises `InvalidInput` where one is missing, of other sheets, or out of its scale."""
    titles = [*key["rows"]]
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if given.pop("sheets") != key["sheets"] or not given.keys() <= key["rows"].keys():
            raise ValueError("ratings of other sheets")
        found = {}
        for title in titles:
            scales = {name: float(given[title][name]) for name in ("subject", "pattern")}
            if not all(0 <= value <= TOP for value in scales.values()):
                raise ValueError(f"sheet {title}: {scales}")
            found[title] = {**scales, "usable": USABLE[given[title]["usable"]]}
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"expected {str(path)!r} to rate each of the {len(titles)} sheets {key['sheets']}: subject and pattern from 0 to "
            f"{TOP:g}, usable yes or no; got {error!r}"
        ) from error


def read_key(path: Path) -> dict:
    """What `write_sheets` wrote. Raises `InvalidInput`."""
    with reading(path):
        key = json.loads(path.read_text(encoding="utf-8"))
        if not (
            key["rows"]
            and all(
                {"set", "arm", "figures", "seed", "cleaning", "recipe"} <= row.keys() for row in key["rows"].values()
            )
        ):
            raise ValueError("no rows")
        return {"sheets": key["sheets"], "rows": key["rows"]}


def scored(key: Mapping, judges: Sequence[Mapping[str, dict]]) -> list[dict]:
    """The key's rows, each with its `ratings`, one a judge; in an order that does not give away that of the sheets."""
    rows = [{**row, "ratings": [judge[title] for judge in judges]} for title, row in key["rows"].items()]
    return sorted(rows, key=lambda row: (row["set"], row["recipe"], row["seed"], row["cleaning"], row["arm"]))


def mean_of(row: Mapping, scale: str) -> float:
    """A row's rating, the judges' mean."""
    return float(np.mean([rating[scale] for rating in row["ratings"]]))


def table(rows: Sequence[Mapping]) -> str:
    """Markdown: a row for each arm, cleaning and, where there are several, recipe, the most intact first."""
    several = len({row["recipe"] for row in rows}) > 1
    groups: dict[str, list[Mapping]] = {}
    for row in rows:
        parts = (
            row["arm"],
            *([row["cleaning"]] if row["cleaning"] != "none" else []),
            *([row["recipe"]] if several else []),
        )
        groups.setdefault(", ".join(filter(None, parts)), []).append(row)
    lines = [
        "| arm | rows | taken for usable | subject, 4 is intact | pattern, 4 is strongest |",
        "|---|---|---|---|---|",
    ]
    for title, of in sorted(groups.items(), key=lambda item: -np.mean([mean_of(row, "subject") for row in item[1]])):
        taken = [rating["usable"] for row in of for rating in row["ratings"]]
        scales = " | ".join(spread([mean_of(row, scale) for row in of]) for scale in ("subject", "pattern"))
        lines.append(f"| {title} | {len(of)} | {sum(taken)} of {len(taken)} | {scales} |")
    return "\n".join(lines)


def correlation(rows: Sequence[Mapping], figure: str) -> float | None:
    """Spearman's rank correlation of a figure with how intact the subject is; None for fewer than three rows, or where all are alike."""
    pairs = [(row["figures"].get(figure), mean_of(row, "subject")) for row in rows]
    pairs = [pair for pair in pairs if pair[0] is not None]
    if len(pairs) < 3 or any(len(set(side)) < 2 for side in zip(*pairs, strict=True)):
        return None
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def agreement(rows: Sequence[Mapping]) -> str:
    """Markdown: how well each figure orders the rows as the eye does: all; those of protections, of the commonest of these arms, of each set.

    The first column is mostly what tells arms apart; the others say what a figure knows beyond that. The last is the mean over
    sets with at least three such rows, in which the subject is the same.
    """
    protected = [row for row in rows if not row["arm"].startswith(CONTROLS)]
    ((commonest, _),) = Counter(row["arm"] for row in protected).most_common(1) or [("none", 0)]
    groups = (rows, protected, [row for row in protected if row["arm"] == commonest])
    sets = [[row for row in protected if row["set"] == name] for name in dict.fromkeys(row["set"] for row in protected)]
    lines = [
        f"| figure | all {len(rows)} rows | the {len(protected)} of protections | {commonest} alone | within a set |",
        "|---|---|---|---|---|",
    ]
    found = {}
    for name in FIGURES:
        values = [correlation(of, name) for of in groups]
        within = [value for value in (correlation(of, name) for of in sets) if value is not None]
        if values[0] is not None:
            found[name.replace("_", " ")] = [*values, float(np.mean(within)) if within else None]
    for title, values in sorted(found.items(), key=lambda item: -abs(item[1][0])):
        lines.append(f"| {title} | {' | '.join('–' if value is None else f'{value:.2f}' for value in values)} |")
    return "\n".join(lines)


def passes_agree(rows: Sequence[Mapping]) -> str:
    """In how many rows all ratings say the same of usable, and how alike the first two order the rows; "" with one."""
    if len(rows[0]["ratings"]) < 2:
        return ""
    same = sum(len({rating["usable"] for rating in row["ratings"]}) == 1 for row in rows)
    first, second = ([row["ratings"][judge]["subject"] for row in rows] for judge in (0, 1))
    alike = spearmanr(first, second).statistic if min(len(set(first)), len(set(second))) > 1 else math.nan
    return f"The ratings agree on usable in {same} of {len(rows)} rows; rank correlation of the first two {alike:.2f}."


def main(arguments: list[str] | None = None) -> int:
    """Run; bad input ends with a message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("sheets")
    making.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos, or folders of such")
    making.add_argument("--pictures", type=Path, nargs="+", required=True, help="what benchmarks kept")
    making.add_argument("--out", type=Path, required=True, help="a new folder for the sheets")
    making.add_argument(
        "--only", nargs="+", metavar="TEXT", help="of the arms, those whose name begins so (default: all)"
    )
    making.add_argument("--seed", type=int, help="of their order (default: drawn)")
    scoring = commands.add_parser("score")
    scoring.add_argument("--key", type=Path, required=True)
    scoring.add_argument("--ratings", type=Path, nargs="+", required=True, help="one file a judge")
    scoring.add_argument("--judge", required=True, help="who rated, for the record")
    scoring.add_argument("--out", type=Path, required=True, help="the record, JSON")
    options = parser.parse_args(arguments)

    def sheets() -> str:
        rows = [row for folder in options.pictures for row in rows_of(folder)]
        rows = [row for row in rows if row.arm.startswith(tuple(options.only or [""]))]
        if not rows:
            raise InvalidInput(f"expected arms whose names begin with {' or '.join(options.only)}, got none")
        seed = secrets.randbelow(2**31) if options.seed is None else options.seed
        place = write_sheets(rows, options.photos, options.out, seed)
        return f"{len(rows)} sheets in {options.out}; the key, not for the judge: {place}"

    def score() -> str:
        key = read_key(options.key)
        rows = scored(key, [read_ratings(path, key) for path in options.ratings])
        facts = {"date": datetime.date.today().isoformat(), "judge": options.judge, "ratings": len(options.ratings)}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.out, json.dumps({**facts, "rows": rows}, indent=1) + "\n")
        return "\n\n".join(filter(None, (table(rows), agreement(rows), passes_agree(rows))))

    return ended({"sheets": sheets, "score": score}[options.command])


if __name__ == "__main__":
    raise SystemExit(main())
