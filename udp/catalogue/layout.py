"""How a catalogue is divided into sets, and what its output looks like: `RECORDS` lie in it beside `SETTINGS`."""

from __future__ import annotations

from dataclasses import dataclass

from udp.protection.division import SET_PHOTOS
from udp.settings import setting

SETTINGS = "catalogue.json"
METADATA, FAILURES, INDEX, SHARDS = RECORDS = ("metadata.jsonl", "failures.json", "index.parquet", "shards")
GROUPS = ("size", "similar", "one")
FORMATS = ("imagefolder", "webdataset")


def set_title(name: str) -> str:
    """What people call the set `name`."""
    return name or "the photos of the source itself"


@dataclass(frozen=True)
class Layout:
    """Each folder of photos is a set, and one that holds at least one and a half times `group_size` is several.

    `size` takes photos in the order of their names, full groups first; a rest of less than half a group joins the last one,
    so that photos that are added at the end change no group but that. `similar` puts those together that look alike. `one`
    protects every photo for itself and still writes them by groups. The 200 megapixels of `udp.protection.division` hold too.
    """

    groups: str = setting(
        "size",
        "how a large folder, or a shard, is divided into sets: by number in the order of names, by visual similarity, or one photo a set",
        choices=GROUPS,
    )
    group_size: int = setting(SET_PHOTOS, "photos of a full group", 1, SET_PHOTOS, 1)
    column: str = setting("", "a column of metadata.jsonl: photos of a folder that have the same value there are a set")
    twins: bool = setting(False, "write the clean photo beside each protected one, as a PNG of the same pixels")
    format: str = setting(
        "imagefolder", "folders of PNGs with metadata.jsonl, or tar shards with an index", choices=FORMATS
    )
    shard_megabytes: int = setting(1000, "megabytes of a WebDataset shard, about", 1, 100_000, 1)
