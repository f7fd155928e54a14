"""Where a visitor may save a protected set in an account of their own; nothing is sent before they press the button."""

from __future__ import annotations

import html
import json
import zipfile
from collections.abc import Callable

import gradio as gr

from udp.errors import InvalidInput
from udp.files import MANIFEST
from udp.language import text
from udp.reports.hub import save_as_dataset
from udp.ui.parts.errors import friendly
from udp.ui.parts.layout import WATCH
from udp.ui.parts.progress import message
from udp.ui.say import spoken, word
from udp.ui.state.results import SavedProtection

NAME = "protected-photos"


class HubBox:
    """A closed accordion with a token, a name and a button. The token is used once, and neither kept nor shown again."""

    def __init__(self) -> None:
        with gr.Accordion(word("hub.title"), open=False):
            gr.HTML(f"<p>{word('hub.help')}</p>", padding=False, elem_classes="section")
            with gr.Row():
                self.token = gr.Textbox(
                    label=word("hub.token"),
                    info=word("hub.token.help"),
                    type="password",
                    max_lines=1,
                    min_width=260,
                    html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
                )
                self.name = gr.Textbox(NAME, label=word("hub.name"), max_lines=1, min_width=220)
            self.save = gr.Button(word("hub.save"), size="md")
            self.status = gr.HTML(padding=False)

    def connect(self, find: Callable[[gr.Request], SavedProtection | None]) -> None:
        """Save what `find` has for the visitor."""

        def upload(request: gr.Request, token: str, name: str) -> tuple[str, str]:
            try:
                with friendly():
                    address = save(find(request), token, name)
            except gr.Error as error:  # a toast alone would be gone before it is read
                return "", message(error.message, "bad")
            link = f'<a href="{html.escape(address)}" target="_blank" rel="noopener">{html.escape(address)}</a>'
            return "", f'<p class="status quiet" role="status">{spoken(text("hub.saved"))} {link}</p>'

        self.save.click(
            upload, [self.token, self.name], [self.token, self.status], **{**WATCH, "show_progress": "full"}
        )


def save(saved: SavedProtection | None, token: str, name: str) -> str:
    """Upload a session's protection; returns the dataset's address. Raises what `save_as_dataset` does."""
    if saved is None:
        raise InvalidInput("expected a finished protection to save, got none: protect photos first")
    with zipfile.ZipFile(saved.archive) as bundle:
        manifest = json.loads(bundle.read(MANIFEST))
    return save_as_dataset([photo.protected for photo in saved.photos], manifest, (name or "").strip(), token or "")
