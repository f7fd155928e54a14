"""What the owner of a running app decides, read from environment variables (docs/owners.md lists them)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from udp.errors import InvalidInput
from udp.models.registry import MODELS, available_models

SPACE_MINUTES = 30
ANY = "any"


def _variable(name: str, default: Any, help: str) -> Any:
    """A field that is read from the environment variable `name`."""
    return field(default=default, metadata={"variable": name, "help": help})


@dataclass(frozen=True)
class Owner:
    """Limits and models of one running app.

    `models` are the names a visitor may choose; with `any_model`, any other local folder or Hub id as well. On a public
    Space the list is closed: a visitor's free choice would download gigabytes onto the owner's machine.
    """

    model: str = _variable("UDP_MODEL", "mini", "The model that is chosen at first")
    models: tuple[str, ...] = _variable(
        "UDP_MODELS", (), "Models on offer, separated by commas; `any` opens the list to every folder and Hub id"
    )
    most_minutes: float | None = _variable(
        "UDP_MOST_MINUTES", None, "The longest run, in minutes; a run that would clearly take longer is refused"
    )
    keep_minutes: float = _variable(
        "UDP_KEEP_MINUTES", 10, "How long a visitor's files stay after their page is closed, in minutes"
    )
    most_waiting: int = _variable("UDP_MOST_WAITING", 20, "How many runs may wait in line")
    pretrained: bool = _variable(
        "UDP_PRETRAINED_METRICS", False, "1: attacks are measured by CLIP and DINOv2 too, once downloaded from the Hub"
    )
    faces: bool = _variable(
        "UDP_FACE_METRICS",
        False,
        "1: attacks on photos with faces are measured by faces too; needs opencv-python-headless",
    )
    any_model: bool = False

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not value > 0:
                raise InvalidInput(f"expected {item.metadata['variable']} to be more than 0, got {value:g}")

    @property
    def offered(self) -> tuple[str, ...]:
        """Names for the model menu, the default first; rows that need a GPU only where there is one, or have no weights never."""
        ready = available_models()
        rows = self.models or tuple(n for n in ready if not MODELS[n].needs_gpu or torch.cuda.is_available())
        return tuple(dict.fromkeys(n for n in (self.model, *rows) if n in ready or n not in MODELS))

    @property
    def names(self) -> dict[str, str]:
        """The offered models by what the page calls them and gets back: a folder's last part alone, else the name."""
        found: dict[str, str] = {}
        for name in self.offered:
            base = Path(name).name if _is_folder(name) else name
            short, number = base, 2
            while short in found or (short != name and (short in MODELS or short in self.offered)):
                short, number = f"{base}-{number}", number + 1
            found[short] = name
        return found

    def check_model(self, name: str | None) -> str:
        """The model that a visitor means by `name`, if they may use it. Raises `InvalidInput`."""
        name, names = (name or self.model).strip(), self.names
        if not (self.any_model or name in names or name in names.values()):
            raise InvalidInput(f"expected one of the models {', '.join(map(title, names))}, got {name[:80]!r}")
        return names.get(name, name)


def title(name: str) -> str:
    """How a model of `Owner.names` is called on the page."""
    return MODELS[name].title if name in MODELS else name


def _is_folder(name: str) -> bool:
    return name not in MODELS and (Path(name).is_absolute() or name.startswith(("~", ".")) or Path(name).is_dir())


def owner_from(environment: Mapping[str, str]) -> Owner:
    """Read the owner's variables. On a Space (SPACE_ID is set) the list is closed and a run has a limit by default."""
    space = bool(environment.get("SPACE_ID"))
    values: dict[str, Any] = {"any_model": not space, "most_minutes": SPACE_MINUTES if space else None}
    for item in dataclasses.fields(Owner):
        text = environment.get(item.metadata.get("variable", ""), "").strip()
        if not text:
            continue
        if item.name == "models":
            names = tuple(name.strip() for name in text.split(",") if name.strip())
            values["models"] = tuple(name for name in names if name != ANY)
            values["any_model"] = ANY in names
        elif item.name == "model":
            values["model"] = text
        elif item.name in ("pretrained", "faces"):
            values[item.name] = _switch(item.metadata["variable"], text)
        else:
            values[item.name] = _number(item.metadata["variable"], text)
    return Owner(**values)


def _switch(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise InvalidInput(f"expected {name} to be 0 or 1, got {text!r}")
    return text == "1"


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
        return int(value) if value.is_integer() else value
    except ValueError:
        raise InvalidInput(f"expected {name} to be a number, got {text!r}") from None
