"""What every tab is.

To add one: a file with a `Tab`, its title "tab.<kind>" in the languages, and a line in the page's `TABS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import gradio as gr

from udp.ui.state.context import Context


@dataclass
class Page:
    """What a tab may know of the page: how to open another tab, and the events that end with a new protection."""

    tabs: gr.Tabs
    protections: list[gr.events.Dependency] = field(default_factory=list)


class Tab:
    """Builds its layout where it is made; `kind` is its key in links and texts."""

    kind: ClassVar[str]

    def __init__(self, context: Context) -> None:
        self.context = context

    def connect(self, page: Page, item: gr.Tab) -> None:
        """Add the events, once all tabs are built and those before this one are connected; `item` is this one's place."""
