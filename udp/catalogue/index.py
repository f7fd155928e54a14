"""The end of a catalogue: the index of what is finished, the list of what failed, written by the process that ends last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from udp.catalogue.layout import Layout
from udp.catalogue.listing import METADATA, Listing
from udp.catalogue.notes import Notes
from udp.catalogue.shards import pack, write_parquet
from udp.files import replacing, write_json

FAILURES = "failures.json"


def write_index(notes: Notes, listing: Listing, layout: Layout, failed: dict[str, str]) -> tuple[bool, dict[str, Any]]:
    """Write metadata.jsonl, or pack shards, and failures.json, if every set is finished or failed; whether that is so, and
    what failed: `sets` with their errors, `photos` of finished sets that could not be read, those `missing` that metadata.jsonl
    names in vain, and sets that are `gone` from the source since they were made, which stay in the output and not in the index.

    Each process asks this at its end, one at a time, and the last finds all of them settled. `failed` are failures that are
    noted nowhere else. Rows are in the order of the list, so the files are the same whoever made which set.
    """
    with notes.locked():
        settled = notes.settled()
        known = {group.name: notes.mark(group.name).stem for group in listing.groups}
        if not all(short in settled["sets"] or short in settled["failed"] for short in known.values()):
            return False, {}
        finished = [name for name, short in known.items() if short in settled["sets"]]
        broken = {
            name: notes.read(notes.failure(name)).get("error", "")
            for name, short in known.items()
            if short in settled["failed"]
        }
        if layout.format == "webdataset":
            pack(notes.out, ((name, notes.read(notes.mark(name))["rows"]) for name in finished), layout.shard_megabytes)
            write_parquet(notes.out)
        else:
            with replacing(notes.out / METADATA) as part, part.open("w", encoding="utf-8") as file:
                for row in _rows(notes, finished):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
        left_out = {name: said for name in finished if (said := notes.read(notes.mark(name))["left_out"])}
        gone = sorted(settled["sets"] - set(known.values()))
        failures = {
            "sets": {**broken, **failed},
            "photos": left_out,
            "missing": list(listing.missing),
            "gone": [notes.read(notes.folder / "sets" / f"{short}.json")["set"] for short in gone],
        }
        if any(failures.values()):
            write_json(notes.out / FAILURES, failures)
        else:
            (notes.out / FAILURES).unlink(missing_ok=True)
        return True, failures


def _rows(notes: Notes, finished: list[str]) -> Iterator[dict[str, Any]]:
    for name in finished:
        yield from notes.read(notes.mark(name))["rows"]
