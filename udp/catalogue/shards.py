"""WebDataset shards written: finished sets packed into tars of about one size, with an index of their rows in Parquet.

A shard is a tar and, after it, a record of the sets in it; only what a record names counts, and only then do the loose PNGs go.
A run that dies between the two packs the same sets into the same shard again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from udp.catalogue.layout import Layout
from udp.errors import InvalidInput
from udp.files import replacing, write_json

SHARDS = "shards"
INDEX = "index.parquet"
SIZE_UNIT = 1_000_000
TEXTS = ("shard", "key", "file_name", "original", "original_sha256", "set", "method", "model", "version", "columns")
NUMBERS = ("budget_levels", "largest_difference_levels", "psnr_db", "ssim")


def check_parquet(layout: Layout) -> None:
    """Raise `InvalidInput` if the index cannot be written at the end."""
    if layout.format == "webdataset" and importlib.util.find_spec("pyarrow") is None:
        raise InvalidInput("expected the package pyarrow for --format webdataset, got none: pip install pyarrow")


def packed_sets(out: Path) -> frozenset[str]:
    """The names of the sets that lie in shards."""
    return frozenset(name for record in _records(out) for name in record["sets"])


def _records(out: Path) -> Iterator[dict[str, Any]]:
    """Of the shards that are there: one that was lost or emptied is as good as none, and its sets are made again."""
    for path in sorted((out / SHARDS).glob("shard-*.json")):
        tar = path.with_suffix(".tar")
        if tar.is_file() and tar.stat().st_size:
            yield json.loads(path.read_text(encoding="utf-8"))


def _next_number(out: Path) -> int:
    """Of a new shard: above all that were finished, lost ones too; a tar without its record is written again."""
    found = [path.stem.removeprefix("shard-") for path in (out / SHARDS).glob("shard-*.json")]
    return 1 + max((int(number) for number in found if number.isdigit()), default=-1)


def pack(out: Path, finished: Iterator[tuple[str, list[dict[str, Any]]]], megabytes: int) -> None:
    """Pack sets, of each its name and rows, that are in no shard yet; a set lies in one shard, which may be larger for it."""
    records = list(_records(out))
    packed = {name for record in records for name in record["sets"]}
    for record in records:
        _clear(out, record["rows"])
    number, sets, rows, size = _next_number(out), list[str](), list[dict[str, Any]](), 0
    for name, found in finished:
        if name in packed:
            continue
        own = sum((out / file).stat().st_size for row in found for file in _files(row))
        if sets and size + own > megabytes * SIZE_UNIT:
            _write(out, number, sets, rows)
            number, sets, rows, size = number + 1, [], [], 0
        sets, rows, size = [*sets, name], rows + found, size + own
    if sets:
        _write(out, number, sets, rows)


def _files(row: dict[str, Any]) -> list[str]:
    return [row[key] for key in ("file_name", "clean_file_name") if key in row]


def _write(out: Path, number: int, sets: list[str], rows: list[dict[str, Any]]) -> None:
    place = out / SHARDS / f"shard-{number:06}.tar"
    place.parent.mkdir(exist_ok=True)
    with replacing(place) as part, tarfile.open(part, "w") as tar:
        for index, row in enumerate(rows):
            key = f"{number:06}-{index:06}"  # no dot: a sample's key ends at the first
            _add(tar, f"{key}.png", (out / row["file_name"]).read_bytes())
            if "clean_file_name" in row:
                _add(tar, f"{key}.clean.png", (out / row["clean_file_name"]).read_bytes())
            _add(tar, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
    write_json(place.with_suffix(".json"), {"sets": sets, "rows": rows})
    _clear(out, rows)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # of no time and nobody, so that equal photos make equal shards
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _clear(out: Path, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for file in _files(row):
            (out / file).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a folder that holds something else stays
                (out / file).parent.rmdir()


def write_parquet(out: Path) -> None:
    """The rows of all shards, with shard and key, as a Parquet file; columns that the source had are JSON in one of them."""
    import pyarrow as pa  # here, because it is an extra
    import pyarrow.parquet as pq  # here, because it is an extra

    fields = (
        [(name, pa.string()) for name in TEXTS] + [(name, pa.float64()) for name in NUMBERS] + [("seed", pa.int64())]
    )
    schema = pa.schema(fields)
    with replacing(out / INDEX) as part, pq.ParquetWriter(part, schema) as writer:
        for number, record in enumerate(_records(out)):
            rows = [_flat(row, number, index) for index, row in enumerate(record["rows"])]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _flat(row: dict[str, Any], number: int, index: int) -> dict[str, Any]:
    known = {key: row[key] for key in (*TEXTS, *NUMBERS, "seed") if key in row}
    more = {key: value for key, value in row.items() if key not in known and key != "clean_file_name"}
    place = {"shard": f"{SHARDS}/shard-{number:06}.tar", "key": f"{number:06}-{index:06}"}
    return {**known, **place, "columns": json.dumps(more, ensure_ascii=False)}
