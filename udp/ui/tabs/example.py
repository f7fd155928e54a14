"""The tab Example: what came out of a finished run, seen before anybody has clicked anything."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from udp.evaluation.arm_names import TRAINED, ArmName
from udp.language import ENGLISH, Text, text
from udp.ui.parts.compare import Compare, Pictures
from udp.ui.parts.layout import QUICK, picture_slider
from udp.ui.parts.link import Values
from udp.ui.parts.progress import message
from udp.ui.say import speech, spoken, word
from udp.ui.state.context import Context
from udp.ui.state.kept import EXAMPLE_PRESETS, FINISHED, KeptRun, example_units, read_kept
from udp.ui.tabs.base import Page, Tab

# The large picture lies in a dialog beside the small ones: the browser brings the focus back, and Escape closes it.
OPEN = """const large = this.closest('.kept-arms').querySelector('dialog'), small = this.firstElementChild;
large.firstElementChild.src = small.src; large.firstElementChild.alt = small.alt; large.showModal();"""


class ExampleTab(Tab):
    """A photo and its protected copy, what the imitator got from each set, the verdict, and where to go from there."""

    kind = "example"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.runs = kept_runs()
        self.boxes = [self._run(run, visible=run is self.runs[0]) for run in self.runs]
        names = [run.name for run in self.runs]
        with gr.Row(elem_classes="kept-go"):
            self.live = gr.Button(word("kept.live"), variant="primary", size="lg", min_width=220)
            self.own = gr.Button(word("kept.own"), size="lg", min_width=220)
        self.estimate = gr.HTML(padding=False)
        self.choice = gr.Radio(
            [(f"{word(f'kept.{name}')}", name) for name in names],
            value=names[0],
            label=word("kept.choice"),
            visible=len(names) > 1,
            elem_classes="kept-choice",
        )
        self.compare = Compare()

    @classmethod
    def offered(cls) -> bool:
        """See `Tab.offered`: an installation has no kept runs."""
        return bool(kept_runs())

    @staticmethod
    def _run(run: KeptRun, visible: bool) -> gr.Column:
        with gr.Column(visible=visible, elem_classes="kept") as box, gr.Row():
            with gr.Column(scale=6, min_width=280):
                pair = str(run.photo), str(run.protected)
                picture_slider(word("kept.slider"), pair, max_height=380, elem_classes="kept-slider")
            with gr.Column(scale=11, min_width=320):
                gr.HTML(f"<h2>{word('kept.arms')}</h2>", padding=False)
                gr.HTML(outcome(run), padding=False)
        return box

    def _expected(self, request: gr.Request, name: str) -> tuple[gr.Button, str]:
        """How long it would take, on the button in short and below it with what that rests on."""
        said = self.context.pace.estimate(self.context.owner.model, example_units(name))
        time = f" ({speech(request).say(said.values['time'])})" if "time" in said.values else ""
        return gr.Button(f"{word('kept.live')}{time}"), message(said)

    def connect(self, page: Page, item: gr.Tab) -> None:
        """See `Tab.connect`."""

        def show(name: str) -> dict[Any, Any]:
            boxes = {box: gr.Column(visible=run.name == name) for run, box in zip(self.runs, self.boxes, strict=True)}
            return {**boxes, **self.compare.show(self._pictures(name))}

        self.choice.change(show, self.choice, [*self.boxes, *self.compare.shown], **QUICK)
        self.compare.connect(lambda request, name: self._pictures(name), [self.choice])
        self.own.click(lambda: gr.Tabs(selected="protect"), None, page.tabs, **QUICK)
        page.examples.append((self.live, self.choice))

    def arriving(self) -> list[Any]:
        """See `Tab.arriving`."""
        return [self.live, self.estimate, *self.compare.shown]

    def arrived(self, request: gr.Request, values: Values) -> dict[Any, Any]:
        """See `Tab.arrived`: by now it may be known how fast runs are here."""
        name = self.runs[0].name
        expected = dict(zip((self.live, self.estimate), self._expected(request, name), strict=True))
        return {**expected, **self.compare.show(self._pictures(name))}

    def _pictures(self, name: str) -> Pictures:
        """Those of the run called `name`; opened, because gradio serves no file of a folder that the app was not started in."""
        run = next((run for run in self.runs if run.name == name), self.runs[0])
        return {arm: [Image.open(path).convert("RGB") for path in paths] for arm, paths in run.pictures.items()}


def kept_runs() -> list[KeptRun]:
    """The runs at hand, the subject first."""
    return [run for run in map(read_kept, FINISHED) if run]


def outcome(run: KeptRun) -> str:
    """The pictures of each set side by side, and what they amount to, as HTML."""
    arms = "".join(_arm(run, arm) for arm in TRAINED)
    learned = run.verdict.learned
    grounds = text("kept.made", made=run.made)
    if learned:
        shares = {"protected": learned[ArmName.PROTECTED], "random": learned[ArmName.RANDOM]}
        grounds = text("kept.learned", made=run.made, **shares)
    # What the figures of a style do not say.
    looked = [text("kept.style_stays")] if EXAMPLE_PRESETS[run.name] == "style" else []
    said = " ".join(map(spoken, [grounds, *looked]))
    return (
        f'<div class="kept-arms">{arms}<dialog onclick="this.close()"><img alt=""><button type="button" autofocus>'
        f"{spoken(text('kept.close'))}</button></dialog></div>"
        f'<div class="kept-verdict"><p>{spoken(run.verdict.claim)}</p>'
        f"<small>{said}</small></div>"
    )


def _arm(run: KeptRun, arm: ArmName) -> str:
    caption = text(f"kept.{arm}")
    pictures = [
        _picture(path, text("kept.alt", caption=caption, seed=seed))
        for seed, path in zip(run.seeds, run.pictures[str(arm)], strict=True)
    ]
    return (
        f'<figure class="kept-{arm}"><figcaption>{spoken(caption)}</figcaption>{pictures[0]}'
        f'<div class="kept-more">{"".join(pictures[1:])}</div></figure>'
    )


def _picture(path: Path, alt: Text) -> str:
    """A picture that opens large when it is pressed."""
    said = html.escape(ENGLISH.say(alt))
    return (
        f'<button type="button" class="kept-picture" onclick="{html.escape(OPEN)}" '
        f'aria-label="{html.escape(ENGLISH.say(text("kept.enlarge", alt=alt)))}">'
        f'<img src="{_inline(path)}" width="128" height="128" alt="{said}"></button>'
    )


def _inline(path: Path) -> str:
    # In the page itself, so that they are there with its first words; a few kilobytes each.
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
