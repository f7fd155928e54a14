"""Which photos an attack uses: the session's protected ones, the example, or a visitor's own two sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from udp.errors import InvalidInput
from udp.evaluation.pairs import MOST_LEVELS, differences, pair_up, pair_warnings
from udp.language import Text, text
from udp.photos import Photo
from udp.protection.base import ProtectionMethod
from udp.protection.methods import EUDP
from udp.ui.say import spoken
from udp.ui.state.results import SavedProtection, take_photos
from udp.ui.state.sessions import Session
from udp.ui.state.work import PROMPT

NO_PHOTOS = (
    "expected protected photos to attack, got none: protect some first, try the example, or upload a clean and a "
    "protected set"
)


@dataclass(frozen=True)
class Source:
    """The photos of a trial, and how they were protected.

    `protected` None means that they are still to be protected with `method`; `known` is False for uploaded sets, of
    which only the budget is known, so that nothing else of `method` counts, and `warnings` are about those.
    """

    clean: list[Photo]
    protected: list[Photo] | None
    method: ProtectionMethod
    known: bool = True
    prompt: str = PROMPT
    seed: int = 0
    warnings: tuple[Text, ...] = ()


def saved_source(saved: SavedProtection) -> Source:
    """A protection made in this session."""
    clean, protected = saved.load()
    return Source(clean, protected, saved.method, True, saved.prompt, saved.seed)


def uploaded_source(clean: Sequence[Path], protected: Sequence[Path], arms: Sequence[str]) -> Source:
    """A visitor's own sets, paired by what they show (`pair_up`); the budget is their largest difference.

    `Source.warnings` say what speaks against their belonging together. Raises `InvalidInput` unless there is a protected
    photo for every clean one, or if either set is missing.
    """
    if "protected" not in arms:
        return Source(take_photos(clean), None, EUDP(), False)
    if not clean or not protected:
        raise InvalidInput(
            f"expected clean photos and the same photos protected, got {len(clean)} clean and {len(protected)} protected"
        )
    originals, changed = (take_photos(sorted(paths, key=lambda path: path.name)) for paths in (clean, protected))
    changed = pair_up(originals, changed)
    warnings = pair_warnings(originals, changed)
    known = [levels for levels in differences(originals, changed) if levels is not None]
    budget = min(MOST_LEVELS, max(2, *known)) / 255 if known else EUDP().budget
    return Source(originals, changed, EUDP(budget=budget), False, warnings=warnings)


def session_source(session: Session, otherwise: str = NO_PHOTOS) -> Source:
    """The photos protected in this session, else the example attacked in it.

    Raises `InvalidInput` if there are none, with what to do `otherwise`.
    """
    saved = session.protection or session.example
    if saved is None:
        raise InvalidInput(otherwise)
    return saved_source(saved)


def saved_example(session: Session, name: str) -> SavedProtection | None:
    """The example `name`, if it is protected already."""
    return next((made for made in (session.protection, session.example) if made and made.example == name), None)


def describe(session: Session, clean: Sequence[Path], protected: Sequence[Path]) -> tuple[str, list[tuple[str, str]]]:
    """What an attack would use now, as HTML, with thumbnails."""
    if clean or protected:
        return _paragraph(text("source.own", clean=len(clean), protected=len(protected))), []
    saved = session.protection or session.example
    if saved is None:
        return _paragraph(text("source.nothing")), []
    made = {"method": saved.method.title.split(" (")[0], "budget": f"{saved.method.budget * 255:g}"}
    said = text("source.session", count=len(saved.photos), **made)
    if saved.example:
        said = text("source.example", name=text(f"source.example.{saved.example}"), **made)
    return _paragraph(said), [(str(photo.thumbnail), photo.name) for photo in saved.photos]


def _paragraph(said: Text) -> str:
    return f"<p>{spoken(said)}</p>"
