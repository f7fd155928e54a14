"""UI controls from a settings dataclass, and a settings object back from the controls' values.

The metadata written by `udp.settings.setting` decides everything: adding a field to a method adds a control here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import gradio as gr

from udp.errors import InvalidInput
from udp.language import Text, text
from udp.settings import blank, by_size, explain
from udp.ui.say import REGISTRIES, entry_title, word
from udp.ui.state.values import build_settings

# Above this ratio of high to low, a slider cannot reach the small values: a number box it is.
WIDEST_SLIDER = 1000
MOST_RADIO = 4  # more entries make a menu


def settings_of(kind: type, advanced: bool) -> list[dataclasses.Field]:
    """The fields of a dataclass made by `setting`, either the everyday or the advanced ones."""
    return [item for item in dataclasses.fields(kind) if item.metadata.get("advanced") is advanced]


def texts_of(item: dataclasses.Field) -> tuple[Text, Text]:
    """A field's label and its line of explanation, in English as its dataclass says it."""
    label = item.name.replace("_", " ").capitalize().replace("Pgd", "PGD")
    help = explain(item)
    help = help[:1].upper() + help[1:]
    if item.metadata["levels"]:
        help = f"{help}, in levels of 255"
    return text(f"setting.{item.name}", label), text(f"setting.{item.name}.help", help)


def everyday_texts() -> list[Text]:
    """The labels and explanations of every field that is no advanced one."""
    kinds = [kind for registry in REGISTRIES.values() for kind in registry.values()]
    found = {item.name: item for kind in kinds for item in settings_of(kind, advanced=False)}
    return [said for item in found.values() for said in texts_of(item)]


def control(item: dataclasses.Field, high: float | None = None) -> gr.components.Component:
    """A slider, number box, choice or checkbox for one field, at the field's default; `high` lowers its upper end."""
    meta, value = item.metadata, blank(item)
    name, meaning = texts_of(item)
    label, help = word(name), meaning.english
    if meta["choices"]:
        choices = [value, *meta["choices"]] if by_size(item) else list(meta["choices"])
        return gr.Dropdown(choices, value=value, label=label, info=help, interactive=True)
    if isinstance(value, bool):
        return gr.Checkbox(value, label=label, info=help, interactive=True)
    if meta["low"] is None:
        kind = gr.Textbox if isinstance(value, str) else gr.Number
        return kind(value, label=label, info=help, interactive=True)
    scale = 255 if meta["levels"] else 1
    low, high = meta["low"] * scale, (meta["high"] if high is None else high) * scale
    if low > 0 and high / low > WIDEST_SLIDER:
        return gr.Number(value * scale, label=label, info=f"{help}, {low:g} to {high:g}", interactive=True)
    step = round(meta["step"] * scale, 9) if meta["step"] else None
    return gr.Slider(
        round(min(low, value * scale), 9),  # what stands for the model's own lies below
        round(high, 9),
        round(value * scale, 9),
        step=step,
        label=label,
        info=word(meaning),
        interactive=True,
    )


class Choice:
    """A radio (or a menu) over `REGISTRIES[what]`, the everyday controls its entries share, and each one's advanced ones.

    Call `choose` and `advanced` inside the layout, then pass `components` as the last inputs of an event and give the
    values that arrive to `read`.
    """

    def __init__(self, what: str, highs: dict[str, float] | None = None, first: str | None = None) -> None:
        self.what, self.registry, self.highs = what, REGISTRIES[what], highs or {}
        self.first = first or next(iter(self.registry))  # what is chosen before anybody chooses
        self.everyday = settings_of(next(iter(self.registry.values())), advanced=False)
        self._groups: list[gr.Column] = []
        self._advanced: dict[str, list[gr.components.Component]] = {}

    def choose(self, label: str, info: str) -> None:
        """The radio and the everyday controls."""
        names = [(f"{word(entry_title(self.what, name))}", name) for name in self.registry]
        kind = gr.Radio if len(names) <= MOST_RADIO else gr.Dropdown
        self.radio = kind(names, value=self.first, label=word(label), info=word(info))
        self._shared = [control(item, self.highs.get(item.name)) for item in self.everyday]

    def advanced(self) -> None:
        """The advanced controls, a column for each entry of the registry, of which one shows."""
        for name, kind in self.registry.items():
            with gr.Column(visible=name == self.first, elem_classes="fields") as column:
                self._advanced[name] = [control(item) for item in settings_of(kind, advanced=True)]
            self._groups.append(column)
        self.radio.change(self._show, self.radio, self._groups, queue=False, api_visibility="private")

    def _show(self, name: str) -> list[gr.Column]:
        return [gr.Column(visible=name == other) for other in self.registry]

    def everyday_control(self, name: str) -> gr.components.Component:
        """The control of one of the fields that all entries share."""
        return next(c for item, c in zip(self.everyday, self._shared, strict=True) if item.name == name)

    def controls_of(self, name: str) -> list[tuple[dataclasses.Field, gr.components.Component]]:
        """Each field of an entry with its control, the shared ones first."""
        items = [*self.everyday, *settings_of(self.registry[name], advanced=True)]
        return list(zip(items, [*self._shared, *self._advanced[name]], strict=True))

    @property
    def components(self) -> list[gr.components.Component]:
        """Every control, in the order that `read` expects."""
        return [self.radio, *self._shared, *(c for group in self._advanced.values() for c in group)]

    def named(self, name: str) -> list[tuple[str, gr.components.Component]]:
        """The same with names for a link: `name` for the radio, field names for the rest."""
        shared = zip(self.everyday, self._shared, strict=True)
        groups = [
            (item.name, control)
            for entry, controls in self._advanced.items()
            for item, control in zip(settings_of(self.registry[entry], advanced=True), controls, strict=True)
        ]
        return [(name, self.radio), *((item.name, control) for item, control in shared), *groups]

    def read(self, values: Sequence[Any]) -> Any:
        """The chosen entry's settings object. Raises `InvalidInput` if a value is outside its range."""
        name, rest = values[0], list(values[1:])
        if name not in self.registry:
            raise InvalidInput(f"expected one of {', '.join(self.registry)}, got {name!r}")
        shared, rest = rest[: len(self.everyday)], rest[len(self.everyday) :]
        for other, group in self._advanced.items():
            mine, rest = rest[: len(group)], rest[len(group) :]
            if other == name:
                items = [*self.everyday, *settings_of(self.registry[name], advanced=True)]
                return build_settings(self.registry[name], items, [*shared, *mine])
        raise AssertionError("every registry entry has a group")
