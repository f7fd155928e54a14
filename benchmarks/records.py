"""What the benchmarks of `benchmarks.trials` keep and say: their options, their records, and figures over several rows."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.trials import Plan, run
from udp.errors import InvalidInput, UDPError
from udp.files import write_whole


def spread(values: Sequence[float], percent: bool = False) -> str:
    """The mean, and in brackets the smallest and the largest of several; as "72% (61% to 80%)" or "0.81 (0.8 to 0.83)".

    A dash if any is NaN.
    """
    if any(map(math.isnan, values)):
        return "–"

    def shown(value: float) -> str:
        return f"{value:.0%}" if percent else f"{value:.3g}"

    mean = shown(float(np.mean(values)))
    return mean if len(values) == 1 else f"{mean} ({shown(min(values))} to {shown(max(values))})"


def values_of(rows: Sequence[dict], arm: str, key: str) -> list[float]:
    """A figure of an arm in every row that has it."""
    return [row["arms"][arm][key] for row in rows if key in row["arms"].get(arm, {})]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all of these benchmarks have."""
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, a set each")
    parser.add_argument("--out", type=Path, required=True, help="folder for the record and all that is kept")
    parser.add_argument("--model", help="a name or a folder, instead of the usual one")
    parser.add_argument("--pictures", type=int, help="an arm")
    parser.add_argument("--seeds", type=int, default=1, help="runs, each with its own perturbations and fine-tunes")
    parser.add_argument("--workers", type=int, default=1, help="arms at a time")
    parser.add_argument(
        "--known", type=Path, nargs="+", default=[], help="records whose rows are taken, not made again"
    )


def ended(work: Callable[[], str]) -> int:
    """A command's exit code: 0 after printing what `work` gives, 2 after its message for bad input."""
    try:
        print(work())
    except UDPError as error:
        print(f"error: {error}")
        return 2
    return 0


def known_rows(records: Sequence[Path]) -> dict[str, dict]:
    """The rows of earlier records by their key. Raises `InvalidInput` where one cannot be read."""
    found = {}
    for path in records:
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            found |= {row["key"]: row for row in rows if {"key", "date", "machine"} <= row.keys()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"expected {str(path)!r} to be a record of a benchmark, got {error!r}") from error
    return found


def run_and_record(plan: Plan, options: argparse.Namespace, record: Path, facts: Mapping[str, Any]) -> list[dict]:
    """All rows; `record`, JSON, is written anew after each.

    Rows that `options.known` or `record` itself has already are taken from there, and keep their day and machine. Those of `record` that
    have not had their turn stay in it until the end.
    """
    before = known_rows([record] if record.exists() else [])
    known = known_rows(options.known) | before
    rows: list[dict] = []
    record.parent.mkdir(parents=True, exist_ok=True)

    here = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores, {options.workers} arms at a time, torch {torch.__version__}",
    }

    def write(found: Sequence[dict]) -> None:
        head = {
            "date": max(row["date"] for row in found),
            "machine": "; ".join(dict.fromkeys(row["machine"] for row in found)),
            "model": plan.model, "pictures": plan.trial.pictures, **facts,
        }  # fmt: skip
        write_whole(record, json.dumps({**head, "rows": found}, indent=1) + "\n")

    for row in run(plan, options.photos, options.out / record.stem, options.workers, known):
        rows.append({**row, **{key: row.get(key, value) for key, value in here.items()}})
        before.pop(row["key"], None)
        write([*rows, *before.values()])
        print(f"{row['set']}, seed {row['seed']}, {row['recipe']}, {row['cleaning']}: done", flush=True)
    write(rows)
    return rows
