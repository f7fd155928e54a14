"""A menu of public trainers: LoRA with their published defaults, filled in where they can be changed."""

from __future__ import annotations

from typing import Any

import gradio as gr

from udp.imitation.recipes.lora import LoRA
from udp.imitation.recipes.trainers import TRAINERS
from udp.settings import blank
from udp.ui.parts.fields import Choice
from udp.ui.parts.layout import QUICK

OURS = ""
TITLES = {"diffusers": "diffusers (train_dreambooth_lora)", "kohya": "kohya (sd-scripts)", "ai-toolkit": "AI-Toolkit"}


class TrainerMenu:
    """The menu, built inside the current layout. It does not travel in the link: the boxes that it fills in do."""

    def __init__(self) -> None:
        rows = [("this app's own", OURS), *((TITLES[name], name) for name in TRAINERS)]
        self.menu = gr.Dropdown(
            rows,
            value=OURS,
            label="LoRA as a trainer does it",
            info="Chooses LoRA and fills in that trainer's published steps, rate, batch, rank, alpha and layers, which are meant for "
            "Stable Diffusion's size and larger",
            interactive=True,
        )

    def connect(self, recipes: Choice) -> None:
        """Fill in the controls of `recipes` once a trainer is chosen."""
        fields = recipes.controls_of(LoRA.name)

        def fill(name: str) -> list[Any]:
            chosen = TRAINERS.get(name, LoRA())
            values = [getattr(chosen, item.name) for item, _ in fields]
            filled = [blank(item) if value is None else value for (item, _), value in zip(fields, values, strict=True)]
            return [LoRA.name if name else gr.skip(), *filled]

        self.menu.input(fill, self.menu, [recipes.radio, *(control for _, control in fields)], **QUICK)
