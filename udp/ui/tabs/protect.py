"""The tab Protect: photos in, protected photos out."""

from __future__ import annotations

import functools
import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from udp.language import ENGLISH, Text, text
from udp.protection.folder import Protection
from udp.ui.parts import progress as show
from udp.ui.parts.errors import friendly
from udp.ui.parts.fields import Choice
from udp.ui.parts.hub_box import HubBox
from udp.ui.parts.layout import QUICK, WATCH, file_box, model_box, photo_gallery, picture_slider, section, seed_box
from udp.ui.parts.preset_menu import PresetMenu
from udp.ui.parts.reached import reached
from udp.ui.parts.tables import left_out, visibility_table
from udp.ui.say import word
from udp.ui.state.context import Context, clean_prompt, example_files, example_name, note_uploads, whole_seed
from udp.ui.state.kept import EXAMPLE_PRESETS
from udp.ui.state.results import (
    MOST_PHOTOS,
    SavedPhoto,
    SavedProtection,
    save_protection,
    save_thumbnails,
    take_readable,
)
from udp.ui.state.sessions import Session
from udp.ui.state.work import PROMPT, ProtectWork, protection_units
from udp.ui.tabs.base import Page
from udp.ui.tabs.job_tab import JobTab, Prepared, Updates

EXAMPLE_PHOTOS = 6
STRENGTHS = {"light": 4, "medium": 8, "strong": 16}  # budgets in levels of 255
PHOTOS_HELP = text("protect.photos.help", most=MOST_PHOTOS)


class ProtectTab(JobTab):
    """Builds the tab inside the current layout; `connect` adds the events."""

    kind = "protect"
    starts = "protect.start"
    series = show.STAGE_SERIES

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.methods = Choice("method")
        with gr.Row(elem_classes="columns"):
            with gr.Column(min_width=320):
                self._photos()
            with gr.Column(min_width=320):
                self._settings()
        self.progress_area("protect.losses", "plot.phase")
        with gr.Column(visible=False) as self.results:
            self._results()

    def _photos(self) -> None:
        section("protect.photos", PHOTOS_HELP)
        self.files = self.inputs.add("files", file_box(word("protect.upload")), linked=False)
        with gr.Row():
            self.tries = {name: gr.Button(word(f"example.{name}"), size="md") for name in EXAMPLE_PRESETS}
        self.examples = [*self.tries.values()]
        self.thumbnails = photo_gallery("Photos to protect", visible=False, show_label=False, elem_classes="thumbnails")

    def _settings(self) -> None:
        section("protect.settings", "protect.settings.help")
        self.strength = gr.Radio(
            [(f"{word(f'strength.{name}')}, {levels}/255", levels) for name, levels in STRENGTHS.items()],
            value=STRENGTHS["medium"],
            label=word("protect.strength"),
            info=word("protect.strength.help"),
        )
        self.methods.choose("protect.method", "protect.method.help")
        with gr.Accordion(word("page.advanced"), open=False):
            self.model = self.inputs.add("model", model_box(self.context.owner))
            self.preset = PresetMenu()
            box = gr.Textbox(PROMPT, label="Prompt", info="What the imitator is assumed to call your photos")
            self.prompt = self.inputs.add("prompt", box)
            self.seed = self.inputs.add("seed", seed_box())
            self.methods.advanced()
            self.inputs.choose("method", self.methods)
            self.link_button()
        self.buttons()

    def _results(self) -> None:
        section("protect.results", "protect.results.help")
        self.picker = photo_gallery("Choose a photo", show_label=False, elem_classes="thumbnails")
        with gr.Row():
            with gr.Column(min_width=320):
                self.slider = picture_slider(word("protect.slider"))
            with gr.Column(min_width=320):
                self.perturbation = self._picture(word("protect.perturbation"))
        with gr.Accordion(word("protect.still"), open=False), gr.Row():
            self.before = self._picture(word("protect.before"))
            self.after = self._picture(word("protect.after"))
        with gr.Row():
            self.download = gr.DownloadButton(word("protect.download"), size="lg")
            self.to_attack = gr.Button(word("protect.attack"), variant="primary", size="lg")
        self.reach = gr.HTML(padding=False)
        self.figures = gr.HTML(padding=False)
        self.hub = HubBox()

    @staticmethod
    def _picture(label: str) -> gr.Image:
        return gr.Image(label=label, format="png", interactive=False, buttons=["fullscreen"], elem_classes="fill")

    def connect(self, page: Page, item: gr.Tab) -> None:
        """See `Tab.connect`."""
        gr.on(
            [self.files.upload, self.files.delete, self.files.clear],
            self._on_files,
            self.files,
            [self.thumbnails, self.progress],
            **QUICK,
        )
        self.estimated()
        self.preset.connect(self.prompt, [("instance_prompt", self.prompt)])
        budget = self.methods.everyday_control("budget")
        self.strength.input(None, self.strength, budget, js="levels => levels", **QUICK)
        named = f"levels => {[*STRENGTHS.values()]}.includes(levels) ? levels : null"
        budget.change(None, budget, self.strength, js=named, **QUICK)
        for button, example in ((self.start, ""), *((button, name) for name, button in self.tries.items())):
            event = self.pressed(button)
            if example:
                load = self.guarded(functools.partial(self._load_example, example))
                outputs = [self.files, self.thumbnails, *self.preset.parts, *self.busy_outputs()]
                event = event.then(load, None, outputs, **WATCH)
            page.protections.append(self.run_after(event, self._prepare, self.inputs.components))
        self.connect_stop()
        self.picker.select(self._on_pick, None, [self.slider, self.perturbation, self.before, self.after], **QUICK)
        self.hub.connect(lambda request: self.context.session(request).protection)
        self.to_attack.click(lambda: gr.Tabs(selected="attack"), None, page.tabs, **QUICK)

    def named_examples(self) -> dict[gr.Button, str]:
        """See `JobTab.named_examples`."""
        return {button: EXAMPLE_PRESETS[name] for name, button in self.tries.items()}

    def shown(self) -> list[Any]:
        """See `JobTab.shown`."""
        return [
            self.files,
            self.thumbnails,
            self.results,
            self.picker,
            self.slider,
            self.perturbation,
            self.before,
            self.after,
            self.figures,
            self.download,
            self.reach,
            self.hub.status,
        ]

    def restored(self, session: Session) -> Updates:
        """The photos of the last run."""
        files = session.files.get(self.kind, [])
        return {self.files: files, self.thumbnails: self._thumbnails(session, files)}

    def _on_files(self, request: gr.Request, files: list[str] | None) -> Updates:
        clear = gr.HTML("", visible=False)
        try:
            with friendly():
                return {self.thumbnails: self._thumbnails(self.context.session(request), files), self.progress: clear}
        except gr.Error as error:  # a toast alone would be gone before it is read
            bad = gr.HTML(show.message(error.message, "bad"), visible=True)
            return {self.thumbnails: gr.Gallery([], visible=False), self.progress: bad}

    @staticmethod
    def _thumbnails(session: Session, files: list[str] | None) -> gr.Gallery:
        paths = note_uploads(session, files)
        if not paths:
            return gr.Gallery([], visible=False)
        folder = session.new_folder("thumbnails")
        pictures = [str(path) for path in save_thumbnails(take_readable(paths).photos, folder)]
        session.keep("thumbnails", folder)
        return gr.Gallery(pictures, visible=True)

    def estimate(self, session: Session, *values: Any) -> tuple[str, float]:
        """See `JobTab.estimate`; without photos, for as many as the examples have."""
        given = self.inputs.read(values)
        count = len(given["files"] or []) or EXAMPLE_PHOTOS
        model = self.context.owner.check_model(given["model"])
        return model, protection_units(given["method"], count, model)

    def _load_example(self, name: str, session: Session) -> Iterator[Updates]:
        files = example_files(session, name)
        words = self.preset.choose(EXAMPLE_PRESETS[name])
        yield {self.files: files, self.thumbnails: self._thumbnails(session, files), **words}

    def _prepare(self, session: Session, *values: Any) -> Prepared:
        given = self.inputs.read(values)
        method, prompt, seed = given["method"], clean_prompt(given["prompt"], PROMPT), whole_seed(given["seed"])
        paths = note_uploads(session, given["files"])
        found = take_readable(paths)
        for reason in found.skipped:
            gr.Warning(html.escape(ENGLISH.say(text("photos.left_out", reason=reason))))
        name = self.context.owner.check_model(given["model"])
        work = ProtectWork(found.photos, method, name, prompt, seed, found.skipped)

        def save(made: Protection) -> SavedProtection:
            folder = session.new_folder("protection")
            session.protection = save_protection(made, folder, example_name(paths))
            session.keep("protection", folder)
            return session.protection

        session.files[self.kind] = [str(path) for path in paths]
        return work, save

    def finished(self, session: Session, saved: SavedProtection) -> tuple[Text, Updates]:
        """See `JobTab.finished`."""
        count = len(saved.photos)
        return text("protect.done", count=count), {
            self.results: gr.Column(visible=True),
            self.picker: gr.Gallery(
                [(str(p.thumbnail), p.name) for p in saved.photos], selected_index=0, visible=count > 1
            ),
            **self._pictures(saved.photos[0], saved.gain),
            self.figures: f"{left_out(saved.skipped)}{visibility_table(saved.photos)}",
            self.download: str(saved.archive),
            self.reach: reached(saved),
            self.hub.status: "",
        }

    def _pictures(self, photo: SavedPhoto, gain: float) -> Updates:
        label = f"{word('protect.perturbation')}, × {gain:.0f}"
        compared = f"{word('protect.slider')}: {photo.name}"
        return {
            self.slider: gr.ImageSlider((str(photo.before), str(photo.after)), label=compared),
            self.perturbation: gr.Image(str(photo.perturbation), label=label),
            self.before: str(photo.before),
            self.after: str(photo.after),
        }

    def _on_pick(self, request: gr.Request, event: gr.SelectData) -> Updates:
        with friendly():
            saved = self.context.session(request).protection
            if saved is None or not 0 <= event.index < len(saved.photos):
                raise gr.Error(
                    "expected a finished protection, got none: protect the photos again", print_exception=False
                )
            return self._pictures(saved.photos[event.index], saved.gain)
