"""A slider between two sets' pictures of the same seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from udp.evaluation.arm_names import ArmName, arm_title
from udp.ui.parts.layout import QUICK, picture_slider, section
from udp.ui.say import word

# What is shown, as paths or pictures, by arm and in the order of the seeds.
Pictures = Mapping[str, Sequence[Path | Image.Image]]
FIRST = (ArmName.CLEAN, ArmName.PROTECTED)  # what is compared before anybody chooses


class Compare:
    """Two menus of arms, a row of seeds and the slider; hidden until `show` finds two arms to compare.

    The slider has no keyboard handling of its own; with the menus, one picture after the other can be looked at by keyboard.
    """

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_classes="compare") as self.box, gr.Row():
            with gr.Column(scale=4, min_width=280):
                section("compare.title", "compare.help")
                self.left = gr.Dropdown([], label=word("compare.left"), interactive=True)
                self.right = gr.Dropdown([], label=word("compare.right"), interactive=True)
                self.picture = gr.Radio([], label=word("compare.picture"), interactive=True)
            with gr.Column(scale=5, min_width=320):
                self.slider = picture_slider(word("compare.slider"))

    @property
    def shown(self) -> list[Any]:
        """What `show` updates."""
        return [self.box, self.left, self.right, self.picture, self.slider]

    def show(self, pictures: Pictures) -> dict[Any, Any]:
        """The update for new pictures, or for none."""
        arms = [str(arm) for arm in ArmName if pictures.get(arm)]
        if len(arms) < 2:
            return {self.box: gr.Column(visible=False)}
        left, right = (arm if arm in arms else other for arm, other in zip(FIRST, (arms[0], arms[-1]), strict=True))
        left = left if left != right else arms[0]
        names = [(f"{word(arm_title(arm))}", arm) for arm in arms]
        count = min(len(pictures[arm]) for arm in arms)
        return {
            self.box: gr.Column(visible=True),
            self.left: gr.Dropdown(names, value=str(left)),
            self.right: gr.Dropdown(names, value=str(right)),
            self.picture: gr.Radio([(str(index + 1), index) for index in range(count)], value=0),
            self.slider: pair(pictures, left, right, 0),
        }

    def connect(self, find: Callable[..., Pictures], inputs: Sequence[gr.components.Component] = ()) -> None:
        """Follow the menus; `find` gives the visitor's pictures by the request and the values of `inputs`."""

        def chosen(request: gr.Request, left: str, right: str, picture: int, *values: Any) -> Any:
            return pair(find(request, *values), left, right, picture)

        changes = [part.input for part in (self.left, self.right, self.picture)]
        gr.on(changes, chosen, [self.left, self.right, self.picture, *inputs], self.slider, **QUICK)


def pair(pictures: Pictures, left: str, right: str, picture: int) -> tuple[str | Image.Image, str | Image.Image] | None:
    """What the slider shows; None where a run that came in between has no such pictures."""
    rows = [pictures.get(arm, ()) for arm in (left, right)]
    if not isinstance(picture, int) or not all(0 <= picture < len(row) for row in rows):
        return None
    return tuple(str(row[picture]) if isinstance(row[picture], Path) else row[picture] for row in rows)
