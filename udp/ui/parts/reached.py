"""Which models a set was made against, and which not, as is said beside its download."""

from __future__ import annotations

from pathlib import Path

from udp.language import Text, text
from udp.models.encoders import PUBLISHED, parse_encoders
from udp.models.registry import MODELS
from udp.protection.methods import RandomNoise
from udp.protection.reach import OFF
from udp.ui.say import spoken
from udp.ui.state.owner import title
from udp.ui.state.results import SavedProtection

STYLE = "style of"  # what a prompt says that calls pictures by their style
STUDIED = "taesd"  # whose latents the embedded model's encoder has learned


def reached(saved: SavedProtection) -> str:
    """A paragraph as HTML, in every language."""
    return f'<p class="status quiet">{" ".join(map(spoken, _said(saved)))}</p>'


def _said(saved: SavedProtection) -> list[Text]:
    if isinstance(saved.method, RandomNoise):
        return [text("reach.nothing")]
    said = [text("reach.model", model=title(Path(saved.model).name))]
    sides, encoders = (getattr(saved.method, name, OFF) or OFF for name in ("reach", "encoders"))
    ours, names = saved.model in MODELS and MODELS[saved.model].embedded, parse_encoders(encoders)
    # A photo of which the model sees all has nothing more to move.
    larger = not ours or any(min(photo.size) > MODELS[saved.model].resolution for photo in saved.photos)
    sides = sides if larger else OFF
    studied = ours and bool(MODELS[saved.model].reach)
    if sides != OFF:
        said.append(text("reach.latents" if studied else "reach.sides", sides=sides))
    if names:
        said.append(text("reach.encoders", names=", ".join(PUBLISHED.get(n, ("", Path(n).name))[1] for n in names)))
    # Of somebody's own model we do not know which of these it is.
    known = {*names, *([STUDIED] if studied and sides != OFF else [])}
    left = [kind for name, (_, kind) in PUBLISHED.items() if name not in known] if ours else []
    others = text("reach.others", models=", ".join(left)) if left else text("reach.rest")
    painted = ours and STYLE in saved.prompt.casefold()
    shown = [text("reach.style")] if painted else []
    return [*said, others, *shown, text("reach.keep")]
