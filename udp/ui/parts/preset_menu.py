"""A menu of what photos show, an object, a person or a style, that fills in prompts and words which belong together."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence

import gradio as gr

from udp.imitation.prompts import PRESETS, Preset
from udp.ui.parts.layout import QUICK

FIELDS = {item.name for item in dataclasses.fields(Preset)}
# In the browser, the preset that calls the photos by a prompt, if there is one.
NAMED = f"prompt => new Map({json.dumps([(row.instance_prompt, name) for name, row in PRESETS.items()])}).get(prompt) ?? null"


class PresetMenu:
    """The menu, built inside the current layout. It does not travel in the link: the boxes that it fills in do."""

    def __init__(self) -> None:
        rows = [(row.title, name) for name, row in PRESETS.items()]
        self.menu = gr.Dropdown(
            rows, value=rows[0][1], label="What the photos show", info="Fills in the prompts", interactive=True
        )

    def connect(self, prompt: gr.Textbox, boxes: Sequence[tuple[str, gr.components.Component]]) -> None:
        """Fill in those `boxes` that are named after a field of the presets; show none when `prompt` is no preset's."""
        self.filled = [(name, box) for name, box in boxes if name in FIELDS]
        self.menu.input(self.fill, self.menu, [box for _, box in self.filled], **QUICK)
        prompt.change(None, prompt, self.menu, js=NAMED, **QUICK)

    def fill(self, name: str) -> dict[gr.components.Component, str]:
        """The text of every box."""
        return {box: getattr(PRESETS[name], field) for field, box in self.filled}

    @property
    def parts(self) -> list[gr.components.Component]:
        """The menu and its boxes, which `choose` updates."""
        return [self.menu, *(box for _, box in self.filled)]

    def choose(self, name: str) -> dict[gr.components.Component, str]:
        """The menu at `name`, and the text of every box."""
        return {self.menu: name, **self.fill(name)}

    def lead(self, followers: Sequence[PresetMenu], examples: Mapping[gr.Button, str]) -> None:
        """The `followers` are about the same photos: they go where a visitor or a button of `examples` moves this menu.

        A link is no visitor: it sets each tab by itself. Call it once all of them are connected.
        """

        def choose(name: str) -> dict[gr.components.Component, str]:
            return {part: text for menu in followers for part, text in menu.choose(name).items()}

        parts = [part for menu in followers for part in menu.parts]
        self.menu.input(choose, self.menu, parts, **QUICK)
        for button, name in examples.items():
            button.click(functools.partial(choose, name), None, parts, **QUICK)
