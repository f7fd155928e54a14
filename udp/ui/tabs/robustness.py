"""The tab Robustness: what is left of the protection when the imitator cleans the photos first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from udp.errors import InvalidInput
from udp.evaluation.arm_names import TRAINED
from udp.evaluation.lab import DEFAULT_CLEANINGS, LabReport
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import RULE
from udp.imitation.cleaning import CLEANINGS
from udp.language import ENGLISH, Text, text
from udp.photos import Photo
from udp.protection.methods import EUDP
from udp.ui.parts.fields import Choice
from udp.ui.parts.layout import QUICK, model_box, photo_gallery, section, seed_box
from udp.ui.parts.preset_menu import PresetMenu
from udp.ui.parts.progress import Series
from udp.ui.parts.sampling import Sampling
from udp.ui.parts.tables import cleaning_title, robustness_table
from udp.ui.say import spoken, word
from udp.ui.state import source as sources
from udp.ui.state.context import Context, clean_prompt
from udp.ui.state.results import save_robustness
from udp.ui.state.sessions import Session
from udp.ui.state.values import from_values
from udp.ui.state.work import PROMPT, RobustnessWork, cleaning_units
from udp.ui.tabs.attack import MOST_STEPS
from udp.ui.tabs.base import Page
from udp.ui.tabs.job_tab import JobTab, Prepared, Updates

NO_PHOTOS = (
    "expected photos protected in this session, got none: start on the tab Protect, with your photos or an example"
)
MOST_CLEANINGS = 6
MOST_SEEDS = 5
CHOICE_HELP = text("robustness.choice.help", most=MOST_CLEANINGS)


@dataclass(frozen=True)
class Saved:
    """A finished run of the lab and where it lies."""

    report: LabReport
    grids: list[tuple[Path, str]]
    archive: Path


class RobustnessTab(JobTab):
    """Builds the tab inside the current layout; `connect` adds the events."""

    kind = "robustness"
    starts = "robustness.start"
    series: dict[str, Series] = {}  # noqa: RUF012  no plot: a loss of every cell would be a tangle

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recipes = Choice("recipe", highs={"steps": MOST_STEPS})
        with gr.Row(elem_classes="columns"):
            with gr.Column(min_width=320):
                self._cleanings()
            with gr.Column(min_width=320):
                self._imitator()
        self.progress_area("plot.loss", "plot.set")
        with gr.Column(visible=False) as self.results:
            section("robustness.results", "robustness.results.help")
            self.table = gr.HTML(padding=False)
            self.grids = photo_gallery(word("robustness.grids"), columns=1, allow_preview=True)
            self.download = gr.DownloadButton(word("robustness.download"), size="lg")

    def _cleanings(self) -> None:
        section("robustness.cleanings", "robustness.cleanings.help")
        self.source = gr.HTML(sources.describe(Session(Path()), [], [])[0], padding=False)
        self.cleanings = self.inputs.add(
            "cleanings",
            gr.CheckboxGroup(
                [(f"{word(cleaning_title(name))}", name) for name in CLEANINGS if name != "none"],
                value=[name for name in DEFAULT_CLEANINGS if name != "none"],
                label=word("robustness.choice"),
                info=word(CHOICE_HELP),
            ),
        )

    def _imitator(self) -> None:
        section("attack.imitator", "robustness.imitator.help")
        self.recipes.choose("attack.recipe", "robustness.recipe.help")
        add = self.inputs.add
        self.seeds = add(
            "seeds",
            gr.Slider(1, MOST_SEEDS, 1, step=1, label=word("robustness.seeds"), info=word("robustness.seeds.help")),
        )
        with gr.Accordion(word("page.advanced"), open=False):
            self.model = add("model", model_box(self.context.owner))
            self.preset = PresetMenu()
            self.prompt = add(
                "prompt",
                gr.Textbox(
                    PROMPT, label="Prompt", info="What fine-tuning calls the photos, and the pictures are asked to show"
                ),
            )
            self.seed = add("seed", seed_box(info="The first seed"))
            self.sampling = Sampling(self.context.owner, self.inputs)
            self.recipes.advanced()
            self.inputs.choose("recipe", self.recipes)
            self.link_button()
        self.buttons()

    def connect(self, page: Page, item: gr.Tab) -> None:
        """See `Tab.connect`; a finished protection and opening this tab refresh the photos named here."""
        for shown in (*(run.then for run in page.protections), item.select):
            shown(self._refresh, None, self.source, **QUICK)
            shown(self._expected, self.inputs.components, self.estimate_line, **QUICK)
        self.estimated()
        self.sampling.follow(self.model)
        self.preset.connect(self.prompt, [("instance_prompt", self.prompt), *self.recipes.named("recipe")])
        self.run_after(self.pressed(self.start), self._prepare, self.inputs.components)
        self.connect_stop()

    def shown(self) -> list[Any]:
        """See `JobTab.shown`."""
        return [self.source, self.results, self.table, self.grids, self.download]

    def _refresh(self, request: gr.Request) -> str:
        return sources.describe(self.context.session(request), [], [])[0]

    def _work(self, source: sources.Source, *values: Any) -> RobustnessWork:
        given = self.inputs.read(values)
        cleanings = given["cleanings"]
        if not 1 <= len(cleanings) <= MOST_CLEANINGS:
            raise InvalidInput(f"expected 1 to {MOST_CLEANINGS} cleanings, got {len(cleanings)}")
        wanted = clean_prompt(given["prompt"], PROMPT)
        own = {name: given[name] for name in ("seed", "seeds", "sampling_steps", "guidance")}
        trial = from_values(Trial, {"instance_prompt": wanted, "prompt": wanted, **own})
        return RobustnessWork(
            source.clean,
            source.protected,
            source.method,
            given["recipe"],
            tuple(cleanings),
            trial,
            self.context.owner.check_model(given["model"]),
            source.prompt,
            self.context.owner.pretrained,
            self.context.owner.faces,
        )

    def estimate(self, session: Session, *values: Any) -> tuple[str, float]:
        """See `JobTab.estimate`; without photos there is nothing to clean."""
        work = self._work(sources.Source([], [], EUDP()), *values)
        saved = session.protection or session.example
        sizes = [photo.size for photo in saved.photos] if saved else []
        return work.model_name, work.units() + len(TRAINED) * cleaning_units(work.cleanings, sizes)

    def _prepare(self, session: Session, *values: Any) -> Prepared:
        source = sources.session_source(session, NO_PHOTOS)
        work = self._work(source, *values)

        def save(result: tuple[LabReport, list[Photo]]) -> Saved:
            (report, noise), folder = result, session.new_folder("robustness")
            grids, archive = save_robustness(
                report, work.lab(noise), source.method, source.known, work.model_name, folder
            )
            session.keep("robustness", folder)
            return Saved(report, grids, archive)

        return work, save

    def finished(self, session: Session, saved: Saved) -> tuple[Text, Updates]:
        """See `JobTab.finished`."""
        kept = spoken(text("robustness.kept.help"))
        return text("job.done"), {
            self.results: gr.Column(visible=True),
            self.table: f'{robustness_table(saved.report)}<p class="rule">{kept} {spoken(RULE)}</p>',
            self.grids: [(str(path), ENGLISH.say(cleaning_title(name))) for path, name in saved.grids],
            self.download: str(saved.archive),
        }
