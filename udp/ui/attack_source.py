"""Which photos an attack uses: the session's protected ones, the example, or a visitor's own two sets."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from udp.errors import InvalidInput
from udp.projection import largest_difference
from udp.protect import EUDP, ProtectionMethod
from udp.types import Photo
from udp.ui.results import SavedProtection, take_photos
from udp.ui.sessions import Session
from udp.ui.work import PROMPT

NO_PHOTOS = (
    "expected protected photos to attack, got none: protect some first, try the example, or upload a clean and a "
    "protected set"
)


@dataclass(frozen=True)
class Source:
    """The photos of a trial, and how they were protected.

    `protected` None means that they are still to be protected with `method`; `known` is False for uploaded sets, of
    which only the budget is known, so that nothing else of `method` counts.
    """

    clean: list[Photo]
    protected: list[Photo] | None
    method: ProtectionMethod
    known: bool = True
    prompt: str = PROMPT
    seed: int = 0


def saved_source(saved: SavedProtection) -> Source:
    """A protection made in this session."""
    clean, protected = saved.load()
    return Source(clean, protected, saved.method, True, saved.prompt, saved.seed)


def uploaded_source(clean: Sequence[Path], protected: Sequence[Path], arms: Sequence[str]) -> Source:
    """A visitor's own sets, paired in the order of their file names; the budget is their largest difference.

    Raises `InvalidInput` unless they pair up, photo by photo and size by size, or if either set is missing.
    """
    if "protected" not in arms:
        return Source(take_photos(clean), None, EUDP(), False)
    if not clean or not protected:
        raise InvalidInput(
            f"expected clean photos and the same photos protected, got {len(clean)} clean and {len(protected)} protected"
        )
    originals, changed = (take_photos(sorted(paths, key=lambda path: path.name)) for paths in (clean, protected))
    if len(originals) != len(changed):
        raise InvalidInput(f"expected as many protected as clean photos, got {len(changed)} and {len(originals)}")
    for a, b in zip(originals, changed, strict=True):
        if a.size != b.size:
            raise InvalidInput(
                f"expected {b.name!r} to have the size of {a.name!r}, {a.size[0]} x {a.size[1]}, got {b.size[0]} x "
                f"{b.size[1]}: the two sets pair up in the order of their file names"
            )
    levels = max(largest_difference(a.pixels, b.pixels) for a, b in zip(originals, changed, strict=True))
    return Source(originals, changed, EUDP(budget=min(32, max(2, levels)) / 255), False)


def session_source(session: Session, otherwise: str = NO_PHOTOS) -> Source:
    """The photos protected in this session, else the example attacked in it.

    Raises `InvalidInput` if there are none, with what to do `otherwise`.
    """
    saved = session.protection or session.example
    if saved is None:
        raise InvalidInput(otherwise)
    return saved_source(saved)


def saved_example(session: Session) -> SavedProtection | None:
    """The example subject, if it is protected already."""
    made = session.protection
    return made if made and made.example == "subject" else session.example


def describe(session: Session, clean: Sequence[Path], protected: Sequence[Path]) -> tuple[str, list[tuple[str, str]]]:
    """What an attack would use now, as HTML, with thumbnails."""
    if clean or protected:
        return f"<p>Using your own sets: {len(clean)} clean and {len(protected)} protected.</p>", []
    saved = session.protection or session.example
    if saved is None:
        return (
            "<p>Nothing is protected in this session yet. Start on the tab Protect, with your photos or an example.</p>",
            [],
        )
    what = f"the example {saved.example}" if saved.example else f"the {len(saved.photos)} photos"
    if not saved.example and len(saved.photos) == 1:
        what = "the photo"
    title = html.escape(saved.method.title.split(" (")[0])
    text = f"<p>Using {what} protected in this session: {title}, budget {saved.method.budget * 255:g}/255.</p>"
    return text, [(str(photo.thumbnail), photo.name) for photo in saved.photos]
