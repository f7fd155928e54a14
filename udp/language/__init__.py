"""What is said, in every language. To add one: a catalogue like `udp.language.chinese`, and a line in `LANGUAGES`."""

from __future__ import annotations

from udp.language.base import Language, Text, text
from udp.language.chinese import CHINESE
from udp.language.english import ENGLISH

# English first: it has every text, and what else is said where another language lacks one.
LANGUAGES: tuple[Language, ...] = (ENGLISH, CHINESE)


def language_of(accepted: str) -> Language:
    """The language that an Accept-Language header, or a browser's tag, names first; English if it is none of ours."""
    return next((language for language in LANGUAGES if accepted.lower().startswith(language.code)), ENGLISH)


__all__ = ["CHINESE", "ENGLISH", "LANGUAGES", "Language", "Text", "language_of", "text"]
