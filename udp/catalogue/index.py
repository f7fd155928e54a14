"""The end of a catalogue: the index of what is finished, the list of what failed, written by the process that ends last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from udp.catalogue.layout import FAILURES, METADATA, Layout
from udp.catalogue.listing import Listing, PhotoGroup
from udp.catalogue.notes import Notes
from udp.catalogue.rows import rows_now
from udp.catalogue.shards import pack, write_parquet
from udp.catalogue.shares import Share
from udp.errors import InvalidInput
from udp.files import replacing, write_json


def write_index(
    notes: Notes,
    listing: Listing,
    layout: Layout,
    is_finished: Callable[[PhotoGroup], bool],
    share: Share = Share(),  # noqa: B008, it is frozen
) -> tuple[bool, dict[str, Any]]:
    """Write metadata.jsonl, or pack shards, and failures.json, if every set is finished or failed; whether that is so, and
    what failed: `sets` with their errors, `photos` of finished sets that could not be read, their `captions` that could not, those
    `missing` that metadata.jsonl names in vain, sets that are `gone` from the source since they were made, which stay in the output
    and not in the index, and the `notices` of the list.

    Each process asks this at its end, one at a time, and the last finds all of them settled. `is_finished` looks whether what is noted
    of a set is true still, and raises `InvalidInput` for one that cannot be made again. A failure of an earlier launch is no word on
    the sets of this one, which `share` is of: they are tried again, and one that is finished did not fail. Rows are in the order of
    the list, so the files are the same whoever made which set. What they have from the source is what it says now. Raises
    `InvalidInput` if a metadata.jsonl is none any more.
    """
    with notes.locked():
        found = _settled(notes, listing, is_finished, share)
        if found is None:
            return False, {}
        finished, failures = found
        rows = ((group.name, rows_now(notes.read(notes.mark(group.name)), group)) for group in finished)
        if layout.format == "webdataset":
            pack(notes.out, rows, layout.shard_megabytes)
            write_parquet(notes.out, {group.name for group in finished})
        else:
            with replacing(notes.out / METADATA) as part, part.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for _, of_set in rows for row in of_set)
        if any(failures.values()):
            write_json(notes.out / FAILURES, failures)
        else:
            (notes.out / FAILURES).unlink(missing_ok=True)
        return True, failures


def _settled(
    notes: Notes, listing: Listing, is_finished: Callable[[PhotoGroup], bool], share: Share
) -> tuple[list[PhotoGroup], dict[str, Any]] | None:
    """The finished sets, and what failed; None if a set is neither finished nor failed, or its note is damaged."""
    settled = notes.settled()
    finished: list[PhotoGroup] = []
    broken, left_out, captions = dict[str, str](), dict[str, list[str]](), dict[str, list[str]]()
    known = {group.name: notes.mark(group.name).stem for group in listing.groups}
    if not set(known.values()) <= settled["sets"] | settled["failed"]:
        return None  # most processes learn this by names alone; the last one looks
    for number, group in enumerate(listing.groups):
        name, short = group.name, known[group.name]
        note = notes.finished_set(name) if short in settled["sets"] else None
        try:
            found = note is not None and is_finished(group)
        except InvalidInput as error:
            found, broken[name] = True, str(error)
        if found:
            finished.append(group)
            left_out |= {name: note["left_out"]} if note["left_out"] else {}
            captions |= {name: note["captions"]} if note.get("captions") else {}
            continue
        if short not in settled["failed"]:
            return None
        failure = notes.read(notes.failure(name))
        if share.launch and share.beside(number) and failure.get("launch") != share.launch:
            return None
        broken[name] = failure.get("error", "the note of why is damaged")
    gone = [notes.folder / "sets" / f"{short}.json" for short in settled["sets"] - set(known.values())]
    return finished, {
        "sets": broken,
        "photos": left_out,
        "captions": captions,
        "missing": list(listing.missing),
        "gone": sorted(notes.read(path).get("set", f"the set of the damaged note {path.name}") for path in gone),
        "notices": list(listing.notices),
    }
