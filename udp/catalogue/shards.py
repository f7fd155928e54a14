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
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from udp.catalogue.layout import INDEX, SHARDS, Layout
from udp.errors import InvalidInput
from udp.files import replacing, write_json

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
    """Of the shards that are there, with their `number`: one that was lost or emptied is as good as none, and its sets are made
    again. Raises `InvalidInput` for a shard that is damaged with its record.
    """
    for path in sorted((out / SHARDS).glob("shard-*.json")):
        tar = path.with_suffix(".tar")
        if tar.is_file() and tar.stat().st_size and (number := path.stem.removeprefix("shard-")).isdigit():
            yield {"number": int(number), **_record(path, tar)}


def _record(path: Path, tar: Path) -> dict[str, Any]:
    """The sets and rows of a shard: what its record says, and if that is damaged, what the shard itself does."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"sets": record["sets"], "rows": record["rows"]}
    except (ValueError, KeyError, TypeError):
        pass
    try:
        with tarfile.open(tar) as found:
            rows = [json.load(found.extractfile(member)) for member in found if member.name.endswith(".json")]
        return {"sets": list(dict.fromkeys(row["set"] for row in rows)), "rows": rows}
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"expected {path.name!r} or {tar.name!r} to be whole, got both damaged: delete the two in {str(tar.parent)!r}, and run the "
            "same command again, which makes their sets again"
        ) from error


def _next_number(out: Path) -> int:
    """Of a new shard: above all that were finished, lost ones too; a tar without its record is written again."""
    found = [path.stem.removeprefix("shard-") for path in (out / SHARDS).glob("shard-*.json")]
    return 1 + max((int(number) for number in found if number.isdigit()), default=-1)


def pack(out: Path, finished: Iterator[tuple[str, list[dict[str, Any]]]], megabytes: int) -> None:
    """Pack sets, of each its name and rows, that are in no shard yet; a set lies in one shard, which may be larger for it.

    A shard whose sets have other rows by now is written again with its pictures and those rows.
    """
    records = {record["number"]: record for record in _records(out)}
    packed = {name: number for number, record in records.items() for name in record["sets"]}
    for record in records.values():
        _clear(out, record["rows"])
    number, sets, rows, size = _next_number(out), list[str](), list[dict[str, Any]](), 0
    for name, found in finished:
        if name in packed:
            told = records[packed[name]].setdefault("now", {})
            told |= {row["file_name"]: row for row in found}
            continue
        own = sum((out / file).stat().st_size for row in found for file in _files(row))
        if sets and size + own > megabytes * SIZE_UNIT:
            _write(out, number, sets, rows)
            number, sets, rows, size = number + 1, [], [], 0
        sets, rows, size = [*sets, name], rows + found, size + own
    if sets:
        _write(out, number, sets, rows)
    for number, record in records.items():
        now = [record.get("now", {}).get(row["file_name"], row) for row in record["rows"]]
        if now != record["rows"]:
            _tell(out, number, record["sets"], now)


def _files(row: dict[str, Any]) -> list[str]:
    return [row[key] for key in ("file_name", "clean_file_name") if key in row]


def _write(out: Path, number: int, sets: list[str], rows: list[dict[str, Any]]) -> None:
    _place(out, number).parent.mkdir(exist_ok=True)
    with replacing(_place(out, number)) as part, tarfile.open(part, "w") as tar:
        for index, row in enumerate(rows):
            key = _key(number, index)
            _add(tar, f"{key}.png", (out / row["file_name"]).read_bytes())
            if "clean_file_name" in row:
                _add(tar, f"{key}.clean.png", (out / row["clean_file_name"]).read_bytes())
            _add(tar, f"{key}.json", _written(row))
    write_json(_place(out, number).with_suffix(".json"), {"sets": sets, "rows": rows})
    _clear(out, rows)


def _tell(out: Path, number: int, sets: list[str], rows: list[dict[str, Any]]) -> None:
    """Write a shard again with these rows; a run that dies before the record is written does it once more."""
    place = _place(out, number)
    told = {f"{_key(number, index)}.json": _written(row) for index, row in enumerate(rows)}
    with replacing(place) as part, tarfile.open(place) as old, tarfile.open(part, "w") as new:
        for member in old:
            _add(new, member.name, told.get(member.name) or old.extractfile(member).read())
    write_json(place.with_suffix(".json"), {"sets": sets, "rows": rows})


def _place(out: Path, number: int) -> Path:
    return out / SHARDS / f"shard-{number:06}.tar"


def _key(number: int, index: int) -> str:
    return f"{number:06}-{index:06}"  # no dot: a sample's key ends at the first


def _written(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


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


def write_parquet(out: Path, sets: Set[str]) -> None:
    """The rows of these `sets` in all shards, with shard and key, as a Parquet file; columns that the source had are JSON in one of
    them. A shard may hold other sets too, which left the source.
    """
    import pyarrow as pa  # here, because it is an extra
    import pyarrow.parquet as pq  # here, because it is an extra

    fields = (
        [(name, pa.string()) for name in TEXTS] + [(name, pa.float64()) for name in NUMBERS] + [("seed", pa.int64())]
    )
    schema = pa.schema(fields)
    with replacing(out / INDEX) as part, pq.ParquetWriter(part, schema) as writer:
        for record in _records(out):
            here = [(index, row) for index, row in enumerate(record["rows"]) if row["set"] in sets]
            rows = [_flat(row, record["number"], index) for index, row in here]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _flat(row: dict[str, Any], number: int, index: int) -> dict[str, Any]:
    known = {key: row[key] for key in (*TEXTS, *NUMBERS, "seed") if key in row}
    more = {key: value for key, value in row.items() if key not in known and key != "clean_file_name"}
    place = {"shard": _place(Path(), number).as_posix(), "key": _key(number, index)}
    return {**known, **place, "columns": json.dumps(more, ensure_ascii=False)}
