"""Texts by id with values, and languages that render them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# A text with {names} for its values, or a function of them where a language needs to count or to choose words.
Entry = str | Callable[..., str]


@dataclass(frozen=True)
class Text:
    """Something to say, in no language yet: an id of the catalogues, and what to fill in.

    A value may be a text itself; a tuple is its items. `english` is for titles that stand in English beside what they
    name (a method, a metric, a cleaning), so that the English catalogue need not repeat them.
    """

    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    english: str = ""


def text(id: str, english: str = "", **values: Any) -> Text:
    """A `Text` with its values by name."""
    return Text(id, values, english)


@dataclass(frozen=True)
class Language:
    """A catalogue: `texts` by id. What it lacks is said in `otherwise`, English for every other language.

    `code` is the language's part of a browser's tag, such as "en" in "en-GB".
    """

    code: str
    texts: Mapping[str, Entry]
    otherwise: Language | None = None

    def say(self, said: Text | str) -> str:
        """The text in this language. What is a string already, a name or an error, is the same in all of them."""
        if isinstance(said, str):
            return said
        entry = self.texts.get(said.id)
        if entry is None:
            if self.otherwise is None and not said.english:
                raise KeyError(f"no text {said.id!r} in the language {self.code!r}")
            return self.otherwise.say(said) if self.otherwise else said.english
        values = {name: self._value(value) for name, value in said.values.items()}
        return entry(**values) if callable(entry) else entry.format(**values)

    def _value(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return "; ".join(self.say(item) for item in value)
        return self.say(value) if isinstance(value, Text) else value
