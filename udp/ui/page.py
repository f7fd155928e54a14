"""The page: a header that promises no more than is true, and the tabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from udp.imitation.cleaning import CLEANINGS
from udp.ui.endpoints import add_endpoints
from udp.ui.parts.fields import everyday_texts
from udp.ui.parts.layout import QUICK
from udp.ui.parts.link import ARRIVE, COPY_SETTINGS, Values, settings_query, settings_values
from udp.ui.parts.progress import message
from udp.ui.parts.tables import cleaning_title
from udp.ui.parts.theme import CSS, head, theme
from udp.ui.say import translations, word
from udp.ui.state.context import Context
from udp.ui.state.jobs import JobLine
from udp.ui.state.owner import Owner
from udp.ui.state.sessions import Sessions
from udp.ui.state.uploads import WholeUploads, remove_broken_off
from udp.ui.state.work import Runner, run_here
from udp.ui.tabs.about import AboutTab
from udp.ui.tabs.attack import AttackTab
from udp.ui.tabs.base import Page, Tab
from udp.ui.tabs.example import ExampleTab
from udp.ui.tabs.job_tab import JobTab
from udp.ui.tabs.protect import PHOTOS_HELP, ProtectTab
from udp.ui.tabs.robustness import CHOICE_HELP, RobustnessTab

TITLE = "Unlearnable photos"
GONE = "The run in this link is gone, or it belongs to another browser: runs are private, and deleted soon after their tab."
MOST_BYTES = (
    "260mb"  # a photo as large as we take, protected, is a PNG that hardly compresses: 60 million times 4 bytes
)
MOST_SESSIONS = 200  # pages that gradio remembers at once, where it does not hear that one was closed
CACHE_SECONDS = 12 * 3600
HEADER = f'<header class="masthead">{word("page.welcome")}</header>'
PROMISE = f'<div class="promise">{word("page.promise")}</div>'


# In the order they are shown: a tab may need what those before it offer (`Page`).
TABS: tuple[type[Tab], ...] = (ExampleTab, ProtectTab, AttackTab, RobustnessTab, AboutTab)


def launch_options() -> dict[str, Any]:
    """What `Blocks.launch` needs wherever the app runs: look, limits, and nothing kept or sent."""
    cleanings = [cleaning_title(name) for name in CLEANINGS]
    titles = [*everyday_texts(), *cleanings, PHOTOS_HELP, CHOICE_HELP]
    return {
        "theme": theme(),
        "css": CSS,
        "head": head(),
        "max_file_size": MOST_BYTES,
        "app_kwargs": {"middleware": [Middleware(WholeUploads)]},
        "run_history": False,
        "state_session_capacity": MOST_SESSIONS,
        "footer_links": ["api"],
        "share": False,
        "i18n": translations(titles),
    }


def build(owner: Owner | None = None, runner: Runner = run_here) -> gr.Blocks:
    """The app, with its owner's models and limits; `runner` runs work (an app on ZeroGPU passes another)."""
    owner = owner or Owner()

    def forget(key: str) -> None:
        # For every session gradio keeps about a megabyte, with the values of its controls, and never lets go of it.
        demo.state_holder.session_data.pop(key, None)
        demo.state_holder.time_last_used.pop(key, None)

    sessions = Sessions(get_upload_folder(), 60 * owner.keep_minutes, forget)
    remove_broken_off(Path(get_upload_folder()))
    context = Context(sessions, owner, runner, JobLine(owner.most_waiting))

    def leave(request: gr.Request) -> None:
        sessions.leave(request.session_hash)

    def arrive(request: gr.Request, secret: str, query: str) -> dict[Any, Any]:
        session = context.session(request)
        session.secret = session.secret or secret
        values = settings_values(controls, query, defaults)
        updates: dict[Any, Any] = {control: gr.update(value=value) for control, value in values.items()}
        named = [tab.kind for tab in pages if any(f"{tab.kind}." in part for part in query.split("&"))]
        if named:  # who follows a link to settings wants those
            updates[tabs] = gr.Tabs(selected=named[0])
        job_id = parse_qs(query.removeprefix("?")).get("job", [""])[0]
        if job_id and not sessions.rejoin(request.session_hash, job_id, secret):
            updates[notice] = gr.HTML(message(GONE), visible=True)
        elif job_id:
            jobs = context.session(request).jobs
            updates[tabs] = gr.Tabs(
                selected=next(tab.kind for tab in pages if jobs.get(tab.kind) and jobs[tab.kind].id == job_id)
            )
        for tab, _ in built:
            updates |= tab.arrived(request, values)
        return updates

    def defaults(values: Values) -> Values:
        return {control: value for tab in pages for control, value in tab.defaults(values).items()}

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(1800, CACHE_SECONDS)) as demo:
        gr.HTML(HEADER, padding=False)
        notice = gr.HTML(visible=False, padding=False)
        built: list[tuple[Tab, gr.Tab]] = []
        kinds = [kind for kind in TABS if kind.offered()]
        with gr.Tabs(selected=kinds[0].kind) as tabs:
            for kind in kinds:
                with gr.Tab(word(f"tab.{kind.kind}"), id=kind.kind) as item:
                    built.append((kind(context), item))
        gr.HTML(PROMISE, padding=False)
        page = Page(tabs)
        for tab, item in built:
            tab.connect(page, item)
        pages = [tab for tab, _ in built if isinstance(tab, JobTab)]
        first, *others = pages
        first.preset.lead([tab.preset for tab in others], first.named_examples())
        secret, query = (gr.Textbox(visible="hidden", label=label, container=False) for label in ("secret", "query"))
        controls = [(f"{tab.kind}.{name}", control) for tab in pages for name, control in tab.controls()]
        settings = [control for _, control in controls]
        moved = dict.fromkeys(part for tab, _ in built for part in tab.arriving())
        # One event for all that a page shows on arrival: each would take its own way to here and back.
        demo.load(arrive, [secret, query], [tabs, notice, *settings, *moved], js=ARRIVE, **QUICK)
        for tab in pages:
            copied = tab.copy.click(
                lambda *values: settings_query(controls, values, defaults), settings, query, **QUICK
            )
            copied.then(None, query, tab.link, js=COPY_SETTINGS).then(
                lambda: gr.Textbox(visible=True), None, tab.link, **QUICK
            )
        add_endpoints(context)
        demo.unload(leave)
    return demo.queue(default_concurrency_limit=1)
