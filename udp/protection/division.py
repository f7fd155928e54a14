"""How a large folder is divided: into sets of neighbours that are protected one after the other.

Methods with a surrogate couple the photos of a set: what the surrogate learns from one moves the others. An imitator trains on
tens of photos, so a set of that size loses nothing, and memory and what a kill can lose stay bounded.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from udp.digests import digest
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.progress import Count, OnProgress, counting, ignore_progress
from udp.protection.base import ProtectionMethod

SET_PHOTOS = 50
SET_MEGAPIXELS = 200  # of all photos of a set; what that needs is measured by `benchmarks.folders`


def divide(sizes: Sequence[tuple[int, int]], most: int | None = None) -> list[range]:
    """The sets of photos of these sizes (width, height): as few as hold `most` and `SET_MEGAPIXELS` each, in order.

    They are as equal as can be, because a surrogate learns little from a set of one. `most` is `SET_PHOTOS` unless given.
    """
    most = most or SET_PHOTOS
    count = max(1, -(-len(sizes) // most))
    while True:
        ends = [round(len(sizes) * index / count) for index in range(count + 1)]
        sets = [range(start, end) for start, end in itertools.pairwise(ends)]
        areas = [sum(width * height for width, height in sizes[part.start : part.stop]) for part in sets]
        fits = max(map(len, sets)) <= most and max(areas) <= SET_MEGAPIXELS * 1_000_000
        if fits or count >= len(sizes):
            return sets
        count += 1


def set_seed(seed: int, index: int | str) -> int:
    """The seed of the set `index`, below 2**31; the first has the run's own, so one set is as if it had been given alone.

    In a catalogue the sets have names, and the one without any is the first.

    Another one for every set, or the noise of the control would repeat itself.
    """
    return int(digest([seed, index])[:8], 16) % 2**31 if index else seed


def by_sets(
    method: ProtectionMethod,
    photos: Sequence[Photo],
    model: DiffusionModel | None,
    prompt: str,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    masks: Sequence[np.ndarray | None] | None = None,
) -> list[Photo]:
    """`method` on one set after the other, as it is on a folder of the same photos. Raises what the method does."""
    sets = divide([photo.size for photo in photos])
    found: list[Photo] = []
    for index, part in enumerate(sets):
        own = masks if masks is None or len(sets) == 1 else masks[part.start : part.stop]
        listen = counting(on_progress, Count(part.start, len(photos), index, len(sets)), len(part))
        found += method(photos[part.start : part.stop], model, prompt, set_seed(seed, index), listen, own)
    return found
