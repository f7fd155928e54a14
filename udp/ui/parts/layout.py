"""Small pieces of layout that both tabs use."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ListFiles
from pydantic import ValidationError

from udp.language import ENGLISH, Language, Text, text
from udp.ui.parts.progress import LossLog, Series
from udp.ui.say import speech, word
from udp.ui.state.owner import Owner, title

# Not in the public API, and their progress shown on no component: even where it is hidden, the browser would note it on each
# output of every event, and look through the whole page for each of them. Half of a page load went into that.
_PRIVATE = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
# Handlers that submit or watch jobs cost next to nothing: the model's own line (udp.ui.state.jobs.JobLine) does the queueing.
WATCH = {"concurrency_limit": None, **_PRIVATE}
# Events that only move things on the screen: no queue.
QUICK = {"queue": False, **_PRIVATE}
MOST_PICTURES = 8


def section(title: Text | str, help: Text | str = "") -> None:
    """A heading with a line of explanation: two pieces, because the browser translates one text a piece."""
    with gr.Column(elem_classes="section"):
        gr.HTML(f"<h2>{word(title)}</h2>", padding=False)
        if help:
            gr.HTML(f"<p>{word(help)}</p>", padding=False)


def loss_plot(series: Mapping[str, Series], label: str, legend: str) -> gr.LinePlot:
    """A live plot of losses, hidden until `plot_of` fills it. No fixed height: gradio would cut off the legend."""
    start = _plot(LossLog(series), legend, ENGLISH)
    return gr.LinePlot(x="step", y="loss", color="series", label=word(label), buttons=[], visible=False, **start)


def plot_of(log: LossLog, legend: str, request: gr.Request) -> gr.LinePlot:
    """The update that shows a loss log; the step axis spans the whole run from the start.

    In the visitor's language: the browser translates a plot's label and nothing in it.
    """
    return gr.LinePlot(x_lim=[0, log.total], visible=not log.empty, **_plot(log, legend, speech(request)))


def _plot(log: LossLog, legend: str, language: Language) -> dict[str, Any]:
    titles = {name: language.say(series.title) for name, series in log.series.items()}
    return {
        "value": log.frame().assign(series=lambda frame: frame["series"].map(titles)),
        "color_map": {titles[name]: series.colour for name, series in log.series.items()},
        "color_title": language.say(text(legend)),
        "x_title": language.say(text("plot.step")),
        "y_title": language.say(text("plot.loss")),
    }


def picture_slider(label: str, pair: tuple[str, str] | None = None, **options: object) -> gr.ImageSlider:
    """Two pictures under one handle, as PNG: what lossy formats leave out is what there is to compare."""
    settings = {"format": "png", "interactive": False, "buttons": ["fullscreen"], "max_height": 460, **options}
    return gr.ImageSlider(pair, label=label, **settings)


def photo_gallery(label: str, **options: object) -> gr.Gallery:
    """A static PNG gallery for a handful of pictures."""
    settings = {
        "columns": 4,
        "height": "auto",
        "object_fit": "contain",
        "allow_preview": False,
        "buttons": [],
        **options,
    }
    return gr.Gallery(label=label, format="png", interactive=False, **settings)


def file_box(label: str, height: int = 190) -> gr.File:
    """Where photos are dropped; the bytes arrive as they are."""
    return upload_box(
        label, file_types=["image", ".heic", ".heif", ".mpo", ".jfif", ".jpe"], height=height, interactive=True
    )


class Uploads(ListFiles):
    """What arrives for a box of files: a list of them, or one by itself, as programs send it."""

    @classmethod
    def model_validate(cls, given: Any, **options: Any) -> Uploads:
        """Check. Raises `gr.Error` for what is no files: gradio would say that some app has raised an exception."""
        try:
            return super().model_validate([given] if isinstance(given, dict) else given, **options)
        except ValidationError:
            kinds = {type(item).__name__ for item in given} if isinstance(given, list) else {type(given).__name__}
            raise gr.Error(
                f"expected a list of uploaded files (`handle_file` of gradio_client makes them), got {', '.join(sorted(kinds))}",
                print_exception=False,
            ) from None


def upload_box(label: str, **options: object) -> gr.File:
    """A box for several files, which arrive as paths."""
    box = UploadBox(label=label, file_count="multiple", type="filepath", **options)
    box.data_model = Uploads
    return box


def paths_of(box: gr.File, payload: ListFiles | FileData | None) -> list[str] | None:
    """What `gr.File` hands over, unchecked: `take_photos` looks at the contents, not at the names."""
    if payload is None:
        return None
    return [file.path for file in (payload if isinstance(payload, ListFiles) else [payload])]


# gradio's own `preprocess` leaves an empty temporary file behind for every path of every event. Its metaclass would write
# a stub beside this file for a subclass, so this one is made past it; `is_template` keeps the browser's part.
UploadBox = ABCMeta.__new__(
    type(gr.File), "UploadBox", (gr.File,), {"preprocess": paths_of, "is_template": True, "__module__": __name__}
)


def seed_box(label: str = "Seed", info: str = "The same seed and settings give the same result") -> gr.Number:
    """A whole number of 0 or more."""
    return gr.Number(0, label=label, info=info, precision=0, minimum=0, maximum=2**31 - 1, interactive=True)


def model_box(owner: Owner) -> gr.Dropdown:
    """The models on offer, the owner's choice first; free text where any is allowed."""
    help = (
        "A name from the list, a local diffusers folder or a Hub id"
        if owner.any_model
        else "What protects, and what the imitator fine-tunes"
    )
    return gr.Dropdown(
        [(title(name), name) for name in owner.names],
        value=next(iter(owner.names)),
        label="Model",
        info=help,
        allow_custom_value=owner.any_model,
        interactive=owner.any_model or len(owner.offered) > 1,
    )
