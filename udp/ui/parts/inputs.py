"""A tab's inputs in one list: what its handlers read, what its link carries, and what moves its estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import gradio as gr

from udp.ui.parts.fields import Choice
from udp.ui.parts.link import Controls

Component = TypeVar("Component", bound=gr.components.Component)


class Inputs:
    """Components by name, in the order they were added; a `Choice` comes last and is read as its settings object."""

    def __init__(self) -> None:
        self._named: dict[str, gr.components.Component] = {}
        self._private: set[str] = set()
        self._choice: tuple[str, Choice] | None = None

    def add(self, name: str, component: Component, linked: bool = True) -> Component:
        """Add one, and give it back. One that is not `linked`, such as a visitor's photos, is left out of the link."""
        self._named[name] = component
        if not linked:
            self._private.add(name)
        return component

    def choose(self, name: str, choice: Choice) -> None:
        """Add all of a choice's controls, once they are built."""
        self._choice = name, choice

    @property
    def components(self) -> list[gr.components.Component]:
        """All of them, as an event takes them."""
        return [*self._named.values(), *(self._choice[1].components if self._choice else [])]

    @property
    def linked(self) -> Controls:
        """Those that the link carries, with their names there."""
        own = [(name, component) for name, component in self._named.items() if name not in self._private]
        return [*own, *(self._choice[1].named(self._choice[0]) if self._choice else [])]

    def read(self, values: Sequence[Any]) -> dict[str, Any]:
        """The values that arrive with an event, by name. Raises `InvalidInput` if the choice's are out of range."""
        found = dict(zip(self._named, values, strict=False))
        if self._choice:
            name, choice = self._choice
            found[name] = choice.read(values[len(self._named) :])
        return found

    def changes(self) -> Iterator[Any]:
        """The events of every change."""
        return (component.change for component in self.components)
