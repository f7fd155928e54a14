"""Which changed photo belongs to which clean one, and whether the two sets belong together at all: an error for what
cannot be, words of warning for the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from udp.digests import photos_digest
from udp.errors import InvalidInput
from udp.evaluation.arm_names import ArmName
from udp.files import MANIFEST
from udp.language import ENGLISH, Text, text
from udp.photos import Photo, same_name
from udp.protection.budget import largest_difference

MOST_LEVELS = 32  # no method here changes a pixel by more
MOST_NAMED = 3
SKETCH_SIDE = 16
NEAR = 12.0  # levels of 255 between two sketches, above which two photos are not compared pixel by pixel
# What a pair costs less, in levels of 255, the stronger what speaks for it: its manifest, its pixels, its name.
RECORDED, SAME_PIXELS, SAME_NAME = 1e6, 1e3, 0.25


def pair_up(
    clean: Sequence[Photo],
    changed: Sequence[Photo],
    arm: ArmName = ArmName.PROTECTED,
    recorded: Mapping[str, str] | None = None,
) -> list[Photo]:
    """`changed` in the order of the clean photos that they come from.

    Names say little: a browser or a phone renames what it saves twice, and their order changes. So what counts is, first,
    `recorded`, the digests (`udp.digests.photos_digest`) of originals by the changed photos' names, as a manifest holds
    them; then the pixels; then equal names; the order last. Raises `InvalidInput` if there are not as many.
    """
    _check_count(clean, changed, arm)
    if not clean:
        return []
    sketches = [[_sketch(photo) for photo in photos] for photos in (clean, changed)]
    cost = np.stack([np.abs(sketch - np.stack(sketches[1])).mean((1, 2)) for sketch in sketches[0]])
    originals = {photos_digest([photo]): row for row, photo in enumerate(clean)} if recorded else {}
    for row, before in enumerate(clean):
        for column, after in enumerate(changed):
            if before.size == after.size and cost[row, column] < NEAR:
                difference = np.abs(before.pixels.astype(np.int16) - after.pixels)
                if difference.max(initial=0) <= MOST_LEVELS:
                    cost[row, column] = float(difference.mean()) - SAME_PIXELS
            if same_name(before.name) == same_name(after.name):
                cost[row, column] -= SAME_NAME
            cost[row, column] += 1e-6 * abs(row - column)
    for column, after in enumerate(changed):
        row = originals.get((recorded or {}).get(after.name, ""))
        if row is not None:
            cost[row, column] -= RECORDED
    return [changed[column] for column in linear_sum_assignment(cost)[1]]


def recorded_originals(folder: Path) -> dict[str, str]:
    """The digests of the originals by the names of the protected photos, as the manifest in `folder` has them.

    Empty where there is none, or one that says nothing of it: it may be older, of something else, or cut short.
    """
    try:
        rows = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["photos"]
        return {Path(row["file"]).stem: row["original"]["sha256"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sketch(photo: Photo) -> np.ndarray:
    """A few numbers, (SKETCH_SIDE ** 2, 3), that a small change leaves nearly as they are, whatever the size."""
    image = Image.fromarray(photo.pixels).resize((SKETCH_SIDE, SKETCH_SIDE), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32).reshape(-1, 3)


def _kind(arm: ArmName) -> Text:
    return text(f"pairs.kind.{arm}")


def _check_count(clean: Sequence[Photo], changed: Sequence[Photo], arm: ArmName) -> None:
    if len(clean) != len(changed):
        kind = ENGLISH.say(_kind(arm))
        raise InvalidInput(f"expected as many {kind} as clean photos, got {len(changed)} and {len(clean)}")


def differences(clean: Sequence[Photo], changed: Sequence[Photo]) -> list[int | None]:
    """The largest difference of every pair in levels of 255, None for a pair of two sizes."""
    pairs = zip(clean, changed, strict=True)
    return [largest_difference(a.pixels, b.pixels) if a.size == b.size else None for a, b in pairs]


def pair_warnings(
    clean: Sequence[Photo], changed: Sequence[Photo], arm: ArmName = ArmName.PROTECTED
) -> tuple[Text, ...]:
    """What is odd about photos that should be the clean ones with a small change, a sentence for each oddity.

    They pair up in their order; `arm` is what the changed ones are for. Raises `InvalidInput` if there are not as many.
    """
    _check_count(clean, changed, arm)
    odd: dict[str, list[Text | str]] = {"pairs.size": [], "pairs.far": [], "pairs.same": []}
    for before, after, levels in zip(clean, changed, differences(clean, changed), strict=True):
        if levels is None:
            now, then = (f"{photo.size[0]} x {photo.size[1]}" for photo in (after, before))
            odd["pairs.size"].append(text("pairs.sizes", name=after.name, now=now, before=then))
        elif levels > MOST_LEVELS:
            odd["pairs.far"].append(f"{after.name} {levels}/255")
        elif levels == 0:
            odd["pairs.same"].append(after.name)
    kind = _kind(arm)
    return tuple(
        text(id, count=len(names), total=len(changed), kind=kind, names=_some(names), most=MOST_LEVELS)
        for id, names in odd.items()
        if names
    )


def _some(names: Sequence[Text | str]) -> tuple[Text | str, ...]:
    return (*names[:MOST_NAMED], *(["..."] if len(names) > MOST_NAMED else []))
