"""What every tab is.

To add one: a file with a `Tab`, its title "tab.<kind>" in the languages, and a line in the page's `TABS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import gradio as gr

from udp.ui.parts.link import Values
from udp.ui.state.context import Context


@dataclass
class Page:
    """What a tab may know of the page: how to open another tab, and what the tabs before it offer.

    `protections` are the events that end with a new protection, `examples` buttons elsewhere that start an attack on the
    example which a component beside them names.
    """

    tabs: gr.Tabs
    protections: list[gr.events.Dependency] = field(default_factory=list)
    examples: list[tuple[gr.Button, gr.components.Component]] = field(default_factory=list)


class Tab:
    """Builds its layout where it is made; `kind` is its key in links and texts."""

    kind: ClassVar[str]

    def __init__(self, context: Context) -> None:
        self.context = context

    @classmethod
    def offered(cls) -> bool:
        """Whether the page has this tab."""
        return True

    def arriving(self) -> list[gr.components.Component]:
        """Every component that `arrived` may update."""
        return []

    def arrived(self, request: gr.Request, values: Values) -> dict[Any, Any]:
        """The updates for a page that was just loaded, where a link sets controls to `values`."""
        return {}

    def connect(self, page: Page, item: gr.Tab) -> None:
        """Add the events, once all tabs are built and those before this one are connected; `item` is this one's place."""
