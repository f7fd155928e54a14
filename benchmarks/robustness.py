"""The README's robustness table: `python -m udp evaluate` on several subjects, and the mean over them.

    python -m benchmarks.robustness --photos SUBJECTS --subjects duck_toy red_cartoon can --out OUT -- --cleaning none,jpeg75,half

What follows `--` goes to `evaluate` (see `python -m udp evaluate --help`). Every subject gets a folder in OUT with its
report; a killed run continues where it stopped. Prints a Markdown table a subject and one over all, in which brackets
are 95% Student-t intervals over the subjects, and writes `robustness.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from udp.cli import main as udp
from udp.evaluation.interval import Interval


def mean_rows(reports: dict[str, dict]) -> list[dict]:
    """One row a recipe and cleaning: intervals over the subjects' means, and how often each verdict was given.

    `reports` are report.json contents by subject, all of the same recipes and cleanings.
    """
    rows = []
    for cells in zip(*(report["rows"] for report in reports.values()), strict=True):
        taught = [cell["verdict"]["learned"] for cell in cells if cell["verdict"]["learned"]]
        words = [cell["verdict"]["word"] for cell in cells]
        rows.append(
            {
                "recipe": cells[0]["recipe"],
                "cleaning": cells[0]["cleaning"],
                "random": _over([learned["random"]["mean"] for learned in taught]),
                "protected": _over([learned["protected"]["mean"] for learned in taught]),
                "effect": _over([cell["effect"]["mean"] for cell in cells if cell["effect"]]),
                "kept": _over([cell["kept"]["mean"] for cell in cells if cell["kept"]]),
                "verdicts": {word: words.count(word) for word in dict.fromkeys(words)},
            }
        )
    return rows


def _over(values: list[float]) -> Interval | None:
    return Interval.over(values) if values else None


def table(rows: list[dict]) -> str:
    """The rows as Markdown, with the number of subjects that each mean rests on."""
    lines = [
        "| recipe | cleaning | learned: random | learned: protected | effect | effect kept | verdicts |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [_cell(row[key]) for key in ("random", "protected", "effect", "kept")]
        verdicts = ", ".join(f"{count} x {word}" for word, count in row["verdicts"].items())
        lines.append("| " + " | ".join([row["recipe"], row["cleaning"], *cells, verdicts]) + " |")
    return "\n".join(lines)


def _cell(interval: Interval | None) -> str:
    return f"{interval.text()}, n = {interval.count}" if interval else "–"


def main() -> int:
    """Run and write; ends with the exit code of the first subject that failed."""
    given = sys.argv[1:]
    split = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--subjects", nargs="+", required=True, help="folder names in PHOTOS")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(given[:split])
    reports = {}
    for name in options.subjects:
        print(f"\n### {name}\n", flush=True)
        folder = options.out / name
        if code := udp(["evaluate", str(options.photos / name), "--out", str(folder), *given[split + 1 :]]):
            return code
        reports[name] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows = mean_rows(reports)
    print(f"\n### Mean over {len(reports)} subjects\n\n{table(rows)}")
    kept = {
        key: value
        for key, value in next(iter(reports.values())).items()
        if key in ("method", "attacked_with", "trial", "recipes", "versions", "rule")
    }
    content = {
        "threads": torch.get_num_threads(),
        **kept,
        "subjects": {
            name: {"photos": report["photos"], "visibility": report["visibility"], "rows": report["rows"]}
            for name, report in reports.items()
        },
    }
    (options.out / "robustness.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
