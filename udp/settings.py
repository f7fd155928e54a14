"""Settings that describe themselves: the metadata from which UI controls and CLI flags are built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

from udp.errors import InvalidInput

Settings = TypeVar("Settings")


def parse_levels(text: str | float) -> float:
    """A budget or step size in [0, 1] pixel units from "8/255", "0.031" or a number. Raises `InvalidInput`."""
    try:
        value = float(Fraction(str(text).replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(f"expected a fraction such as 8/255 or a number in [0, 1], got {text!r}") from None
    if not 0 <= value <= 1:
        raise InvalidInput(f"expected a value in [0, 1], written like 8/255, got {text!r}")
    return value


def setting(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    levels: bool = False,
    choices: tuple[str, ...] | None = None,
    advanced: bool = True,
) -> Any:
    """A dataclass field that documents itself: UI sliders, CLI flags and tests read the metadata.

    `levels` marks a value in [0, 1] pixel units that people read in levels of 255; `low` and `high` are inclusive, in
    the field's own unit; `advanced` fields start folded away in the UI.
    """
    metadata = {"help": help, "low": low, "high": high, "step": step, "levels": levels, "choices": choices}
    return field(default=default, metadata={**metadata, "advanced": advanced})


@dataclass(frozen=True)
class Own:
    """A model's own value of a setting: for models of the embedded one's size, and for those of Stable Diffusion's."""

    small: Any
    published: Any


# The name of another setting of the same dataclass, one of its choices, and the own values that go with it.
Besides = tuple[str, str, Own]


def model_setting(
    small: float, published: float, help: str, low: float, high: float, step: float, besides: Besides | None = None
) -> Any:
    """A `setting` whose default, 0, is the model's own value: `for_model` puts in `small` or `published`.

    `small` is for models of the embedded one's size, `published` for those of Stable Diffusion's. `besides` are other
    values, for when another setting has a certain choice.
    """
    return _own({**setting(0.0, help, low, high, step).metadata, "what": help}, Own(small, published), besides)


def model_preset(kind: type, name: str, small: float, published: float, besides: Besides | None = None) -> Any:
    """The `model_setting` called `name` of the dataclass `kind`, for a subclass whose own values differ."""
    known = next(item.metadata for item in dataclasses.fields(kind) if item.name == name)
    return _own(known, Own(small, published), besides)


def model_choice(small: str, published: str, help: str, choices: tuple[str, ...]) -> Any:
    """A `setting` with `choices` and one more, "auto", the default: `for_model` puts in `small` or `published`."""
    metadata = setting("auto", help, choices=("auto", *choices)).metadata
    help = (
        f"{help}; auto is {small} for a small model such as the embedded one, {published} for Stable Diffusion's size"
    )
    own = {"what": metadata["help"], "help": help, "own": Own(small, published), "besides": None}
    return field(default="auto", metadata={**metadata, **own})


def _own(metadata: Mapping[str, Any], own: Own, besides: Besides | None) -> Any:
    values = f"{own.small:g} for a small model such as the embedded one, {own.published:g} for Stable Diffusion's size"
    if besides:
        name, choice, other = besides
        values += f" ({other.small:g} and {other.published:g} with {name} {choice})"
    help = f"{metadata['what']}; 0 is the model's own, {values}"
    return field(default=0.0, metadata={**metadata, "help": help, "own": own, "besides": besides})


def for_model(settings: Settings, small: bool) -> Settings:
    """`settings` with the model's own value where fields of `model_setting` and `model_choice` are left at their defaults.

    The same object if there are none.
    `small` is `DiffusionModel.small`.
    """
    found = {}
    for item in dataclasses.fields(settings):
        if "own" not in item.metadata or getattr(settings, item.name) != item.default:
            continue
        own, besides = item.metadata["own"], item.metadata["besides"]
        if besides and getattr(settings, besides[0]) == besides[1]:
            own = besides[2]
        found[item.name] = own.small if small else own.published
    return dataclasses.replace(settings, **found) if found else settings


def preset(kind: type, name: str, default: Any) -> Any:
    """The field `name` of the dataclass `kind`, for a subclass that differs in nothing but its default."""
    known = next(item for item in dataclasses.fields(kind) if item.name == name)
    return field(default=default, metadata=known.metadata)


def check_settings(instance: Any) -> None:
    """Raise `InvalidInput` if a field made by `setting` is outside its range or choices."""
    for item in dataclasses.fields(instance):
        check_setting(item, getattr(instance, item.name))


def check_setting(item: dataclasses.Field, value: Any) -> None:
    """Raise `InvalidInput` if `value` is nothing for the field `item`, made by `setting`; ranges are of whole numbers
    where its default is one."""
    meta = item.metadata
    if meta.get("choices") and value not in meta["choices"]:
        raise InvalidInput(f"expected {item.name} to be one of {', '.join(meta['choices'])}, got {value!r}")
    low, high = meta.get("low"), meta.get("high")
    if (low is None and high is None) or ("own" in meta and value == 0):
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and isinstance(item.default, int) and not isinstance(value, int):
        raise InvalidInput(f"expected {item.name} to be a whole number, got {value:g}")
    if not number or not low - 1e-9 <= value <= high + 1e-9:
        scale, unit = (255, "/255") if meta["levels"] else (1, "")
        low, high, got = (f"{end * scale:.10g}{unit}" for end in (low, high, value if number else 0))
        raise InvalidInput(f"expected {item.name} between {low} and {high}, got {got if number else repr(value)}")


def describe_settings(instance: Any) -> dict[str, Any]:
    """The fields of a frozen dataclass as plain JSON values."""
    return {item.name: getattr(instance, item.name) for item in dataclasses.fields(instance)}
