"""Pictures of a running attack, a row an arm: those of finished arms, and what an arm has learned so far."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from udp.evaluation.arm_names import TRAINED, ArmName, arm_title
from udp.ui.parts.layout import photo_gallery
from udp.ui.say import word
from udp.ui.state.jobs import Job
from udp.ui.state.sessions import Session

Rows = dict[str, tuple[gr.Column, gr.Gallery]]


def arm_rows(arms: Iterable[ArmName]) -> Rows:
    """A hidden heading and gallery for each arm."""
    rows = {}
    for name in map(str, arms):
        title = word(arm_title(name))
        with gr.Column(visible=False, elem_classes="arm") as column:
            gr.HTML(f'<h3 class="arm-{name}">{title}</h3>', padding=False)
            rows[name] = column, photo_gallery(title, show_label=False, allow_preview=True)
    return rows


def live_picture(session: Session, job: Job, name: str, image: np.ndarray) -> Path:
    """A picture of a running job as a PNG in the session's folder, written when it is first asked for."""
    folder = session.folder / f"live-{job.id}"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.png"
    if not path.exists():
        Image.fromarray(image).save(path)
    return path


class Filmstrip:
    """What each arm makes of the first seed: before its training, in the middle of it, and at its end."""

    def __init__(self) -> None:
        with gr.Accordion(word("film.title"), visible=False, elem_classes="film") as self.box:
            gr.HTML(f"<p>{word('film.help')}</p>", padding=False, elem_classes="section")
            self.rows = arm_rows(TRAINED)

    @property
    def shown(self) -> list[Any]:
        """What `show` updates."""
        return [self.box, *(part for row in self.rows.values() for part in row)]

    def show(self, session: Session, job: Job, open: bool) -> dict[Any, Any]:
        """The rows of the arms that were seen learning; one whose part is kept from an earlier run learned unseen."""
        updates: dict[Any, Any] = {}
        steps = job.about.recipe.steps
        for name, (column, gallery) in self.rows.items():
            made = job.glimpses.get(name, [])
            if made:
                before, after = (job.images.get(arm, ())[:1] for arm in ("base", name))
                made = [*((0, image) for image in before), *made, *((steps, image) for image in after)]
            captioned = [
                (str(live_picture(session, job, f"film-{name}-{step}", image)), f"{step} / {steps}")
                for step, image in made
            ]
            updates |= {column: gr.Column(visible=bool(made)), gallery: gr.Gallery(captioned)}
        return {self.box: gr.Accordion(visible=any(job.glimpses.values()), open=open), **updates}
