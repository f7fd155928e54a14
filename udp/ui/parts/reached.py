"""Which models a set was made against, and which not, as is said beside its download."""

from __future__ import annotations

from pathlib import Path

from udp.language import Text, text
from udp.protection.methods import RandomNoise
from udp.ui.say import spoken
from udp.ui.state.owner import title
from udp.ui.state.results import SavedProtection

OFF = "off"


def reached(saved: SavedProtection) -> str:
    """A paragraph as HTML, in every language."""
    return f'<p class="status quiet">{" ".join(map(spoken, _said(saved)))}</p>'


def _said(saved: SavedProtection) -> list[Text]:
    if isinstance(saved.method, RandomNoise):
        return [text("reach.nothing")]
    said = [text("reach.model", model=title(Path(saved.model).name))]
    sides, encoders = (getattr(saved.method, name, OFF) for name in ("reach", "encoders"))
    if sides != OFF:
        said.append(text("reach.latents", sides=sides))
    if encoders != OFF:
        names = ", ".join(Path(name.strip()).name for name in encoders.split(","))
        said.append(text("reach.encoders", names=names))
    return [*said, text("reach.others")]
