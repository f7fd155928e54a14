"""The page: a header that promises no more than is true, and the tabs."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from gradio.utils import get_upload_folder

from udp.imitation.cleaning import CLEANINGS
from udp.ui.endpoints import add_endpoints
from udp.ui.parts.fields import everyday_texts
from udp.ui.parts.layout import QUICK
from udp.ui.parts.link import ARRIVE, COPY_SETTINGS, Values, settings_query, settings_updates
from udp.ui.parts.preset_menu import EXAMPLE_PRESETS
from udp.ui.parts.progress import message
from udp.ui.parts.say import translations, word
from udp.ui.parts.tables import cleaning_title
from udp.ui.parts.theme import CSS, HEAD, theme
from udp.ui.state.context import Context
from udp.ui.state.jobs import JobLine
from udp.ui.state.owner import Owner
from udp.ui.state.sessions import Sessions
from udp.ui.state.work import Runner, run_here
from udp.ui.tabs.about import about
from udp.ui.tabs.attack import AttackTab
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


def launch_options() -> dict[str, Any]:
    """What `Blocks.launch` needs wherever the app runs: look, limits, and nothing kept or sent."""
    cleanings = [cleaning_title(name) for name in CLEANINGS]
    titles = [*everyday_texts(), *cleanings, PHOTOS_HELP, CHOICE_HELP]
    return {
        "theme": theme(), "css": CSS, "head": HEAD, "max_file_size": MOST_BYTES, "run_history": False,
        "state_session_capacity": MOST_SESSIONS,
        "footer_links": ["api"], "share": False, "i18n": translations(titles),
    }  # fmt: skip


def build(owner: Owner | None = None, runner: Runner = run_here) -> gr.Blocks:
    """The app, with its owner's models and limits; `runner` runs work (an app on ZeroGPU passes another)."""
    owner = owner or Owner()

    def forget(key: str) -> None:
        # For every session gradio keeps about a megabyte, with the values of its controls, and never lets go of it.
        demo.state_holder.session_data.pop(key, None)
        demo.state_holder.time_last_used.pop(key, None)

    sessions = Sessions(get_upload_folder(), 60 * owner.keep_minutes, forget)
    context = Context(sessions, owner, runner, JobLine(owner.most_waiting))

    def leave(request: gr.Request) -> None:
        sessions.leave(request.session_hash)

    def arrive(request: gr.Request, secret: str, query: str) -> dict[Any, Any]:
        session = context.session(request)
        session.secret = session.secret or secret
        updates = settings_updates(controls, query, defaults)
        job_id = parse_qs(query.removeprefix("?")).get("job", [""])[0]
        if job_id and not sessions.rejoin(request.session_hash, job_id, secret):
            updates[notice] = gr.HTML(message(GONE), visible=True)
        elif job_id:
            jobs = context.session(request).jobs
            updates[tabs] = gr.Tabs(
                selected=next(tab.kind for tab in pages if jobs.get(tab.kind) and jobs[tab.kind].id == job_id)
            )
        return updates or {notice: gr.HTML(visible=False)}

    def defaults(values: Values) -> Values:
        return {**attack.sampling.own(values), **robustness.sampling.own(values)}

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(1800, CACHE_SECONDS)) as demo:
        gr.HTML(HEADER, padding=False)
        notice = gr.HTML(visible=False, padding=False)
        with gr.Tabs(selected="protect") as tabs:
            with gr.Tab(word("tab.protect"), id="protect"):
                protect = ProtectTab(context)
            with gr.Tab(word("tab.attack"), id="attack") as attack_item:
                attack = AttackTab(context)
            with gr.Tab(word("tab.robustness"), id="robustness") as robustness_item:
                robustness = RobustnessTab(context)
            with gr.Tab(word("tab.about"), id="about"):
                gr.HTML(about(owner.keep_minutes), padding=False)
        runs = protect.connect(tabs)
        attack.connect(runs, attack_item)
        robustness.connect(runs, robustness_item)
        examples = {protect.try_subject: EXAMPLE_PRESETS["subject"], protect.try_style: EXAMPLE_PRESETS["style"]}
        protect.preset.lead([attack.preset, robustness.preset], examples)
        secret, query = (gr.Textbox(visible="hidden", label=label, container=False) for label in ("secret", "query"))
        pages = (protect, attack, robustness)
        controls = [(f"{tab.kind}.{name}", control) for tab in pages for name, control in tab.controls()]
        settings = [control for _, control in controls]
        arrived = demo.load(arrive, [secret, query], [tabs, notice, *settings], js=ARRIVE, **QUICK)
        for tab in pages:
            copied = tab.copy.click(
                lambda *values: settings_query(controls, values, defaults), settings, query, **QUICK
            )
            copied.then(None, query, tab.link, js=COPY_SETTINGS).then(
                lambda: gr.Textbox(visible=True), None, tab.link, **QUICK
            )
            arrived.then(*tab.arrival, **QUICK)
            tab.resumed(arrived)
        add_endpoints(context)
        demo.unload(leave)
    return demo.queue(default_concurrency_limit=1)
