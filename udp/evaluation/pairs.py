"""Whether a set of changed photos belongs to a set of clean ones: an error for what cannot be, words of warning for the
rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from udp.errors import InvalidInput
from udp.photos import Photo
from udp.protection.budget import largest_difference

MOST_LEVELS = 32  # no method here changes a pixel by more
MOST_NAMED = 3


def differences(clean: Sequence[Photo], changed: Sequence[Photo]) -> list[int | None]:
    """The largest difference of every pair in levels of 255, None for a pair of two sizes."""
    pairs = zip(clean, changed, strict=True)
    return [largest_difference(a.pixels, b.pixels) if a.size == b.size else None for a, b in pairs]


def pair_warnings(clean: Sequence[Photo], changed: Sequence[Photo], kind: str = "protected") -> tuple[str, ...]:
    """What is odd about photos that should be the clean ones with a small change, a sentence for each oddity.

    They pair up in their order; `kind` is what to call the changed ones. Raises `InvalidInput` if there are not as many.
    """
    if len(clean) != len(changed):
        raise InvalidInput(f"expected as many {kind} as clean photos, got {len(changed)} and {len(clean)}")
    found = differences(clean, changed)
    odd = {
        "not the size of their clean photos: resized, or of another set?": [
            f"{b.name} {b.size[0]} x {b.size[1]}, clean {a.size[0]} x {a.size[1]}"
            for a, b, levels in zip(clean, changed, found, strict=True)
            if levels is None
        ],
        f"further than {MOST_LEVELS}/255 from their clean photos: saved again as JPEG, or of another set?": [
            f"{b.name} {levels}/255"
            for b, levels in zip(changed, found, strict=True)
            if levels is not None and levels > MOST_LEVELS
        ],
        "the same as their clean photos, pixel by pixel: nothing protects them.": [
            b.name for b, levels in zip(changed, found, strict=True) if levels == 0
        ],
    }
    return tuple(
        f"{len(names)} of {len(changed)} {kind} photos ({_some(names)}) are {what}"
        for what, names in odd.items()
        if names
    )


def _some(names: Sequence[str]) -> str:
    return "; ".join(names[:MOST_NAMED]) + ("; ..." if len(names) > MOST_NAMED else "")
