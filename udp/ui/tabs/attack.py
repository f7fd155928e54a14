"""The tab Attack: play the imitator, and see whether the protection held."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from udp.errors import InvalidInput
from udp.evaluation.arm_names import TRAINED, ArmName, arm_title
from udp.evaluation.arms import Report
from udp.evaluation.trial import Trial
from udp.language import ENGLISH, Text, text
from udp.models.loading import taken_for_small
from udp.protection.folder import Protection
from udp.protection.methods import EUDP
from udp.ui.parts import progress as show
from udp.ui.parts.arm_rows import Filmstrip, arm_rows, live_picture
from udp.ui.parts.compare import Compare
from udp.ui.parts.errors import friendly
from udp.ui.parts.fields import Choice
from udp.ui.parts.layout import MOST_PICTURES, QUICK, file_box, model_box, photo_gallery, section, seed_box
from udp.ui.parts.preset_menu import PresetMenu
from udp.ui.parts.reached import reached
from udp.ui.parts.sampling import Sampling
from udp.ui.parts.tables import attack_table, grounds, verdict_panel
from udp.ui.parts.trainer_menu import TrainerMenu
from udp.ui.say import word
from udp.ui.state import source as sources
from udp.ui.state.context import Context, clean_prompt, example_files, note_uploads
from udp.ui.state.jobs import Job
from udp.ui.state.kept import EXAMPLE_PRESETS, example_prompt
from udp.ui.state.results import CARD, SavedProtection, pack, save_attack, save_protection, take_photos
from udp.ui.state.sessions import Session
from udp.ui.state.values import from_values
from udp.ui.state.work import PROMPT, AttackWork
from udp.ui.tabs.base import Page
from udp.ui.tabs.job_tab import JobTab, Prepared, Updates

MOST_STEPS = 2000


@dataclass(frozen=True)
class Saved:
    """A finished attack and where it lies; `own` if it was on the visitor's own sets, which `warnings` are about.

    `protection` is the protection of this session that it was on.
    """

    report: Report
    trial: Trial
    pictures: dict[str, list[Path]]
    archive: Path
    own: bool
    warnings: tuple[Text, ...] = ()
    protection: SavedProtection | None = None


class AttackTab(JobTab):
    """Builds the tab inside the current layout; `connect` adds the events."""

    kind = "attack"
    starts = "attack.start"
    series = show.ARM_SERIES

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        # The embedded model learns a subject better with all of its weights, and no slower; a large one may not fit then.
        first = "dreambooth" if taken_for_small(context.owner.model) else "lora"
        self.recipes = Choice("recipe", highs={"steps": MOST_STEPS}, first=first)
        with gr.Row(elem_classes="columns"):
            with gr.Column(min_width=320):
                self._photos()
            with gr.Column(min_width=320):
                self._imitator()
        self.progress_area("attack.losses", "plot.set")
        self.film = Filmstrip()
        self.live_rows = arm_rows(ArmName)
        self.partial = gr.DownloadButton(word("attack.download.partial"), visible=False)
        with gr.Column(visible=False) as self.results:
            self._results()

    def _photos(self) -> None:
        section("attack.photos", "attack.photos.help")
        self.source = gr.HTML(sources.describe(Session(Path()), [], [])[0], padding=False)
        self.thumbnails = photo_gallery(
            word("protect.results"), visible=False, show_label=False, elem_classes="thumbnails"
        )
        self.example = gr.Button(word("example.subject"), size="md")
        self.examples = [self.example]
        with gr.Accordion(word("attack.own"), open=False):
            self.clean = self.inputs.add("clean", file_box(word("attack.clean"), 160), linked=False)
            self.protected = self.inputs.add("protected", file_box(word("attack.protected"), 160), linked=False)

    def _imitator(self) -> None:
        section("attack.imitator", "attack.imitator.help")
        self.recipes.choose("attack.recipe", "attack.recipe.help")
        add = self.inputs.add
        self.arms = add(
            "arms",
            gr.CheckboxGroup(
                [(f"{word(arm_title(arm))}", str(arm)) for arm in TRAINED],
                value=[*map(str, TRAINED)],
                label=word("attack.sets"),
                info=word("attack.sets.help"),
            ),
        )
        pictures = gr.Slider(1, MOST_PICTURES, Trial().pictures, step=1, label=word("attack.pictures"))
        self.pictures = add("pictures", pictures)
        with gr.Accordion(word("page.advanced"), open=False):
            self.model = add("model", model_box(self.context.owner))
            self.preset = PresetMenu()
            instance = gr.Textbox(PROMPT, label="Instance prompt", info="What fine-tuning calls the photos")
            self.instance_prompt = add("instance_prompt", instance)
            prompt = gr.Textbox(PROMPT, label="Generation prompt", info="What the pictures are asked to show")
            self.prompt = add("prompt", prompt)
            self.seed = add("seed", seed_box(info="Seeds of fine-tuning and pictures, the same in every set"))
            self.sampling = Sampling(self.context.owner, self.inputs)
            self.trainer = TrainerMenu()
            self.recipes.advanced()
            self.inputs.choose("recipe", self.recipes)
            self.link_button()
        self.buttons()

    def _results(self) -> None:
        section("attack.results", "attack.results.help")
        self.verdict = gr.HTML(padding=False)
        self.rows = arm_rows(ArmName)
        self.compare = Compare()
        self.figures = gr.HTML(padding=False)
        with gr.Row():
            self.keep = gr.DownloadButton(word("attack.keep"), variant="primary", size="lg")
            self.card = gr.DownloadButton(word("attack.card"), size="lg")
            self.download = gr.DownloadButton(word("attack.download"), size="lg")
        self.reach = gr.HTML(padding=False)
        self.to_robustness = gr.Button(word("attack.cleaned"), size="md")

    @staticmethod
    def _fill(row: tuple[gr.Column, gr.Gallery], paths: Sequence[Path], trial: Trial) -> Updates:
        """The update that shows an arm's pictures, or hides an arm that has none."""
        column, gallery = row
        captioned = [(str(path), f"seed {trial.seed + index}") for index, path in enumerate(paths)]
        return {column: gr.Column(visible=bool(paths)), gallery: gr.Gallery(captioned, columns=max(4, trial.pictures))}

    def connect(self, page: Page, item: gr.Tab) -> None:
        """See `Tab.connect`; a finished protection and opening this tab refresh the photos shown here."""
        files, shown = [self.clean, self.protected], [self.source, self.thumbnails]
        for run in page.protections:
            run.then(self._refresh, files, shown, **QUICK)
        item.select(self._refresh, files, shown, **QUICK)
        changes = [event for box in files for event in (box.upload, box.delete, box.clear)]
        gr.on(changes, self._refresh, files, shown, **QUICK)
        self.estimated()
        self.sampling.follow(self.model)
        self.preset.connect(self.instance_prompt, self.controls())
        self.trainer.connect(self.recipes)
        started = [(self.start, gr.State("")), (self.example, gr.State("subject")), *page.examples]
        for button, example in started:
            event = self.pressed(button)
            if button is not self.start:
                event = event.then(self._name_example, example, self.preset.parts, **QUICK)
            self.run_after(event, self._prepare, [example, *self.inputs.components])
            if button not in (self.start, self.example):
                opened = button.click(lambda: gr.Tabs(selected=self.kind), None, page.tabs, **QUICK)
                opened.then(None, None, None, js=show.TO_THE_BAR, **QUICK)
        self.connect_stop()
        self.compare.connect(lambda request: self.context.session(request).pictures)
        self.to_robustness.click(lambda: gr.Tabs(selected="robustness"), None, page.tabs, **QUICK)

    def shown(self) -> list[Any]:
        """See `JobTab.shown`."""
        tables = (self.live_rows, self.rows)
        rows = [part for table in tables for row in table.values() for part in row]
        return [
            self.source,
            self.thumbnails,
            self.partial,
            *self.film.shown,
            *rows,
            *self.compare.shown,
            self.results,
            self.verdict,
            self.figures,
            self.keep,
            self.card,
            self.download,
            self.reach,
        ]

    def live(self, session: Session, job: Job) -> Updates:
        """The pictures of the arms that are finished."""
        updates: Updates = {self.partial: gr.DownloadButton(visible=False), **self.film.show(session, job, open=True)}
        for name, row in self.live_rows.items():
            updates |= self._fill(row, self._save_live(session, job, name), job.about.trial)
        return updates

    def stopped(self, session: Session, job: Job) -> tuple[Text, Updates]:
        """The finished arms stay, with a download."""
        paths = [path for name in self.live_rows for path in self._save_live(session, job, name)]
        if not paths:
            return super().stopped(session, job)
        archive = pack(paths, paths[0].parent / "finished-pictures.zip")
        return text("job.stopped.partly"), {
            **self.live(session, job),
            self.partial: gr.DownloadButton(value=str(archive), visible=True),
        }

    @staticmethod
    def _save_live(session: Session, job: Job, arm: str) -> list[Path]:
        images = job.images.get(arm, ())
        return [live_picture(session, job, f"{arm}-{index}", image) for index, image in enumerate(images)]

    def _name_example(self, example: str) -> Updates:
        return self.preset.choose(EXAMPLE_PRESETS[example])

    def _refresh(self, request: gr.Request, clean: list[str] | None, protected: list[str] | None) -> Updates:
        with friendly():
            session = self.context.session(request)
            return self._described(session, *(note_uploads(session, files) for files in (clean, protected)))

    def _described(self, session: Session, clean: Sequence[Path], protected: Sequence[Path]) -> Updates:
        """What the next attack would use."""
        text, pictures = sources.describe(session, clean, protected)
        return {self.source: text, self.thumbnails: gr.Gallery(pictures, visible=bool(pictures))}

    def restored(self, session: Session) -> Updates:
        """The photos protected in this session; a reload empties the boxes of a visitor's own sets."""
        return self._described(session, [], [])

    def _source(
        self, session: Session, example: str, clean: list[Path], protected: list[Path], arms: list[str]
    ) -> sources.Source:
        if example:
            saved = sources.saved_example(session, example)
            if saved:
                return sources.saved_source(saved)
            photos = take_photos(example_files(session, example))
            return sources.Source(photos, None, EUDP(), prompt=example_prompt(example))
        if clean or protected:
            return sources.uploaded_source(clean, protected, arms)
        return sources.session_source(session)

    def _work(self, session: Session, example: str, *values: Any) -> tuple[AttackWork, sources.Source]:
        given = self.inputs.read(values)
        if not given["arms"]:
            raise InvalidInput("expected at least one set to compare, got none")
        clean, protected = (note_uploads(session, given[box]) for box in ("clean", "protected"))
        source = self._source(session, example, clean, protected, given["arms"])
        work = AttackWork(
            source.clean,
            source.protected,
            source.method,
            given["arms"],
            given["recipe"],
            self._trial(given),
            self.context.owner.check_model(given["model"]),
            source.prompt,
            source.seed,
            self.context.owner.pretrained,
            filmstrip=True,
            faces=self.context.owner.faces,
        )
        return work, source

    def estimate(self, session: Session, *values: Any) -> tuple[str, float]:
        """See `JobTab.estimate`; the protection of an example that is not protected yet comes on top."""
        given = self.inputs.read(values)
        name, trial = self.context.owner.check_model(given["model"]), self._trial(given)
        return name, AttackWork([], [], EUDP(), given["arms"], given["recipe"], trial, name).units()

    @staticmethod
    def _trial(given: dict[str, Any]) -> Trial:
        """The controls' values as a trial. Raises `InvalidInput`."""
        called = clean_prompt(given["instance_prompt"], PROMPT)
        own = {name: given[name] for name in ("seed", "pictures", "sampling_steps", "guidance")}
        return from_values(Trial, {"instance_prompt": called, "prompt": clean_prompt(given["prompt"], called), **own})

    def _prepare(self, session: Session, example: str, *values: Any) -> Prepared:
        work, source = self._work(session, example, *values)
        attacked = sources.saved_example(session, example) if example else session.protection or session.example

        def save(result: tuple[Report, Protection | None]) -> Saved:
            report, made = result
            known = source.method if source.known and source.protected else None
            kept = attacked if source.known else None
            if made:
                place = session.new_folder("example")
                session.example, known = save_protection(made, place, example), made.method
                kept = session.example
                session.keep("example", place)
            folder = session.new_folder("attack")
            pictures, archive = save_attack(report, work.model_name, known, folder, source.warnings)
            session.keep("attack", folder)
            session.pictures = pictures
            return Saved(report, work.trial, pictures, archive, not source.known, source.warnings, kept)

        for warning in source.warnings:
            gr.Warning(html.escape(ENGLISH.say(warning)), title="Do these two sets belong together?")
        return work, save

    def finished(self, session: Session, saved: Saved) -> tuple[Text, Updates]:
        """See `JobTab.finished`."""
        made, job = saved.protection, session.jobs.get(self.kind)
        rows: Updates = {column: gr.Column(visible=False) for column, _ in self.live_rows.values()}
        for name, row in self.rows.items():
            rows |= self._fill(row, saved.pictures.get(name, []), saved.trial)
        return text("job.done"), {
            **({} if saved.own else self._described(session, [], [])),
            **(self.film.show(session, job, open=False) if job else {}),
            **self.compare.show(saved.pictures),
            self.partial: gr.DownloadButton(visible=False),
            **rows,
            self.results: gr.Column(visible=True),
            self.verdict: verdict_panel(saved.report, saved.warnings),
            self.figures: f"{attack_table(saved.report)}{grounds(saved.report)}",
            self.keep: gr.DownloadButton(value=str(made.archive) if made else None, visible=bool(made)),
            self.card: str(saved.archive.with_name(CARD)),
            self.download: str(saved.archive),
            self.reach: reached(made) if made else "",
        }
