"""The calls for programs, /protect, /attack and /evaluate: files and plain values in, a ZIP out.

They use hidden components rather than `gr.api`, because only components check that a file was really uploaded by
the caller; `gr.api` would open any path on the server.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import gradio as gr

from udp.errors import InvalidInput
from udp.evaluation.arm_names import TRAINED
from udp.evaluation.arms import Report
from udp.evaluation.lab import DEFAULT_CLEANINGS, LabReport
from udp.evaluation.trial import Trial
from udp.imitation.recipes import RECIPES
from udp.photos import Photo
from udp.protection.folder import Protection
from udp.protection.methods import EUDP, METHODS
from udp.ui.parts.errors import friendly
from udp.ui.parts.layout import MOST_PICTURES, upload_box
from udp.ui.parts.sampling import sampling_of
from udp.ui.state.context import Context, clean_prompt, note_uploads, whole_seed
from udp.ui.state.results import (
    robustness_rows,
    save_attack,
    save_protection,
    save_robustness,
    take_photos,
    take_readable,
)
from udp.ui.state.sessions import CALL, Session
from udp.ui.state.source import Source, uploaded_source
from udp.ui.state.values import from_names, from_values, settings_of
from udp.ui.state.work import PROMPT, AttackWork, ProtectWork, RobustnessWork, Work
from udp.ui.tabs.robustness import MOST_CLEANINGS, MOST_SEEDS

STEPS = RECIPES["lora"]().steps
API = {"concurrency_limit": None, "show_progress": "hidden"}


def add_endpoints(context: Context) -> None:
    """Add the endpoints to the current Blocks, out of sight."""
    with gr.Column(visible=False):
        photos = upload_box("photos")
        method = gr.Textbox("eudp", label="method")
        budget = gr.Number(8, label="budget_levels")
        prompt = gr.Textbox(PROMPT, label="prompt")
        seed = gr.Number(0, label="seed")
        settings = gr.JSON({}, label="settings")
        model = gr.Textbox("", label="model")
        archive = gr.File(label="zip")
        gr.Button().click(
            _protect(context),
            [photos, method, budget, prompt, seed, settings, model],
            archive,
            api_name="protect",
            **API,
        )
        protected = upload_box("protected")
        recipe = gr.Textbox("lora", label="recipe")
        pictures = gr.Number(4, label="pictures")
        verdict = gr.Textbox(label="verdict")
        gr.Button().click(
            _attack(context),
            [photos, protected, recipe, gr.Number(STEPS, label="steps"), pictures, prompt, seed, settings, model],
            [verdict, archive],
            api_name="attack",
            **API,
        )
        cleanings = gr.JSON(list(DEFAULT_CLEANINGS), label="cleanings")
        table = gr.JSON(label="rows")
        inputs = [
            photos,
            protected,
            recipe,
            gr.Number(STEPS, label="steps"),
            cleanings,
            gr.Number(1, label="seeds"),
            seed,
            settings,
            model,
            prompt,
        ]
        gr.Button().click(_evaluate(context), inputs, [table, archive], api_name="evaluate", **API)


async def _result(context: Context, session: Session, work: Work, save: Any) -> Any:
    """Run as a job of its own and wait for it; a call that is given up stops its job."""
    job = context.submit(session, f"{CALL}{secrets.token_hex(8)}", work, save)
    try:
        while not job.ended:
            await asyncio.sleep(0.1)
        return job.result()
    finally:
        job.stop()


def _trial(model: str, prompt: str, **values: Any) -> Trial:
    """A trial that samples as suits the model. Raises `InvalidInput` for values that make none."""
    wanted, (steps, guidance) = clean_prompt(prompt, PROMPT), sampling_of(model)
    own = {"instance_prompt": wanted, "prompt": wanted, "sampling_steps": steps, "guidance": guidance}
    return from_values(Trial, {**own, **values})


def _protect(context: Context) -> Any:
    async def protect(
        request: gr.Request,
        photos: list[str] | None,
        method: str = "eudp",
        budget_levels: float = 8,
        prompt: str = PROMPT,
        seed: float = 0,
        settings: dict[str, Any] | None = None,
        model: str = "",
    ) -> str:
        """Protect photos: a ZIP of PNGs and manifest.json, which names under `left_out` the files that cannot be read.

        `settings` overrides the method's fields by name; step sizes are in levels of 255.
        """
        with friendly():
            session = context.session(request)
            chosen = from_names(METHODS, method, {**settings_of(settings), "budget": budget_levels})
            found = take_readable(note_uploads(session, photos))
            name, prompt = context.owner.check_model(model), clean_prompt(prompt, PROMPT)
            work = ProtectWork(found.photos, chosen, name, prompt, whole_seed(seed), found.skipped)

            def save(made: Protection) -> str:
                saved = save_protection(made, session.new_folder("api"))
                return str(saved.archive)

            return await _result(context, session, work, save)

    return protect


def _attack(context: Context) -> Any:
    async def attack(
        request: gr.Request,
        photos: list[str] | None,
        protected: list[str] | None = None,
        recipe: str = "lora",
        steps: float = STEPS,
        pictures: float = 4,
        prompt: str = PROMPT,
        seed: float = 0,
        settings: dict[str, Any] | None = None,
        model: str = "",
    ) -> tuple[str, str]:
        """Attack photos: a verdict, and a ZIP of pictures, losses.csv and report.json.

        Without `protected`, the photos are protected first, with EUDP. `settings` overrides the recipe's fields by name.
        """
        with friendly():
            session = context.session(request)
            chosen = from_names(RECIPES, recipe, {**settings_of(settings), "steps": steps})
            if pictures not in range(1, MOST_PICTURES + 1):
                raise InvalidInput(f"expected 1 to {MOST_PICTURES} pictures, a whole number, got {pictures!r}")
            clean, changed = note_uploads(session, photos), note_uploads(session, protected)
            source = uploaded_source(clean, changed, TRAINED) if changed else Source(take_photos(clean), None, EUDP())
            name = context.owner.check_model(model)
            trial = _trial(name, prompt, seed=seed, pictures=pictures)
            work = AttackWork(
                source.clean,
                source.protected,
                source.method,
                TRAINED,
                chosen,
                trial,
                name,
                pretrained=context.owner.pretrained,
                faces=context.owner.faces,
            )

            def save(result: tuple[Report, Protection | None]) -> tuple[str, str]:
                (report, made), folder = result, session.new_folder("api")
                known = made.method if made else source.method if source.known else None
                _, archive = save_attack(report, work.model_name, known, folder, source.warnings)
                return report.verdict, str(archive)

            return await _result(context, session, work, save)

    return attack


def _evaluate(context: Context) -> Any:
    async def evaluate(
        request: gr.Request,
        photos: list[str] | None,
        protected: list[str] | None,
        recipe: str = "lora",
        steps: float = STEPS,
        cleanings: list[str] | None = None,
        seeds: float = 1,
        seed: float = 0,
        settings: dict[str, Any] | None = None,
        model: str = "",
        prompt: str = PROMPT,
    ) -> tuple[list[dict[str, Any]], str]:
        """Clean, then attack: a row for each cleaning, and a ZIP of pictures and report.

        A row has what each arm learned, the effect, the effect kept and the verdict.
        `cleanings` are names or chains such as "jpeg75+half"; training on the photos as they are is always added.
        """
        with friendly():
            session = context.session(request)
            chosen = from_names(RECIPES, recipe, {**settings_of(settings), "steps": steps})
            names = cleanings or DEFAULT_CLEANINGS
            if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
                raise InvalidInput(f"expected a list of names of cleanings, got {names!r}")
            if len(names) > MOST_CLEANINGS or seeds not in range(1, MOST_SEEDS + 1):
                raise InvalidInput(
                    f"expected at most {MOST_CLEANINGS} names of cleanings and 1 to {MOST_SEEDS} seeds, a whole number, "
                    f"got {len(names)} and {seeds!r}"
                )
            source = uploaded_source(note_uploads(session, photos), note_uploads(session, protected), TRAINED)
            name = context.owner.check_model(model)
            trial = _trial(name, prompt, seed=seed, seeds=seeds)
            work = RobustnessWork(
                source.clean,
                source.protected,
                source.method,
                chosen,
                tuple(names),
                trial,
                name,
                pretrained=context.owner.pretrained,
                faces=context.owner.faces,
            )

            def save(result: tuple[LabReport, list[Photo]]) -> tuple[list[dict[str, Any]], str]:
                (report, noise), folder = result, session.new_folder("api")
                lab = work.lab(noise)
                _, archive = save_robustness(report, lab, source.method, False, name, folder, source.warnings)
                return robustness_rows(report), str(archive)

            return await _result(context, session, work, save)

    return evaluate
