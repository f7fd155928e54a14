"""The page: a header that promises no more than is true, and two tabs."""

from __future__ import annotations

import gradio as gr
from gradio.utils import get_upload_folder

from udp.ui.api import add_endpoints
from udp.ui.attack_tab import AttackTab
from udp.ui.context import Context
from udp.ui.owner import Owner
from udp.ui.protect_tab import ProtectTab
from udp.ui.sessions import Sessions
from udp.ui.work import Stream, stream

TITLE = "Unlearnable photos"
CACHE_SECONDS = 12 * 3600
HEADER = f"""
<header class="masthead">
<h1>{TITLE}</h1>
<p class="lead">Add a small, bounded change to your photos, so that a diffusion model fine-tuned on them learns less. Then
play the imitator, and see how well that works.</p>
<p class="fine"><b>No promise:</b> it hinders imitation and cannot rule it out. Other models, longer training, JPEG, resizing
or denoising can weaken it, and photos already online stay as they are. <b>Private:</b> only this tab sees your photos; they
are deleted from the server a few minutes after you close it. Methods: UDP and EUDP,
<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>.</p>
</header>
"""


def build(owner: Owner | None = None, stream: Stream = stream) -> gr.Blocks:
    """The app, with its owner's models and limits; `stream` runs work (an app on ZeroGPU passes a wrapped one)."""
    sessions = Sessions(get_upload_folder())
    context = Context(sessions, owner or Owner(), stream)

    def leave(request: gr.Request) -> None:
        sessions.leave(request.session_hash)

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(1800, CACHE_SECONDS)) as demo:
        gr.HTML(HEADER, padding=False)
        with gr.Tabs(selected="protect") as tabs:
            with gr.Tab("Protect", id="protect"):
                protect = ProtectTab(context)
            with gr.Tab("Attack", id="attack") as attack_item:
                attack = AttackTab(context)
        attack.connect(protect.connect(tabs), attack_item)
        add_endpoints(context)
        demo.unload(leave)
    return demo.queue(default_concurrency_limit=1, max_size=20)
