"""Settings that describe themselves: the metadata from which UI controls and CLI flags are built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
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


@dataclass(frozen=True)
class BySize:
    """A value for models of the embedded one's size, and one for those of Stable Diffusion's.

    Small networks need learning rates a hundred times those published for Stable Diffusion, which theirs would wreck.
    `unless` is the name of another setting of the same dataclass, one of its choices, and the values that go with it.
    `mini` is the embedded model's value, whose weights begin where fine-tunes are quick; where it is None, it is that of small ones.
    """

    small: Any
    large: Any
    unless: tuple[str, str, BySize] | None = None
    mini: Any = None

    def of(self, small: bool, mini: bool = False) -> Any:
        """The value; `small` is `DiffusionModel.small`."""
        if mini and self.mini is not None:
            return self.mini
        return self.small if small else self.large

    @property
    def exception(self) -> str:
        """What `unless` asks for, in words; empty without it."""
        if not self.unless:
            return ""
        name, choice, _ = self.unless
        return name if choice is True else f"{name} {choice}"

    @property
    def only_mini_differs(self) -> bool:
        """Whether `unless` changes nothing but the embedded model's value."""
        return bool(self.unless) and (self.unless[2].small, self.unless[2].large) == (self.small, self.large)


def setting(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    levels: bool = False,
    choices: tuple[str, ...] | None = None,
    advanced: bool = True,
    open: bool = False,
    zero_is_none: bool = True,
) -> Any:
    """A dataclass field that documents itself: UI sliders, CLI flags and tests read the metadata.

    A `default` that is a `BySize` stands for itself as None, until `for_model` knows the model. `levels` marks a value in
    [0, 1] pixel units that people read in levels of 255; `low` and `high` are inclusive, in the field's own unit;
    `advanced` fields start folded away in the UI. With `open`, `choices` are what a page offers to strangers, and the
    command line and Python take other values too. `zero_is_none` is for a `BySize`: whether 0 ("auto" among choices) from
    the command line, the UI or a program stands for None; not where 0 is a value of its own or a mistake.
    """
    metadata = {
        "help": help,
        "low": low,
        "high": high,
        "step": step,
        "levels": levels,
        "choices": choices,
        "open": open,
        "zero_is_none": zero_is_none,
    }
    return _field(default, {**metadata, "advanced": advanced})


def preset(kind: type, name: str, default: Any) -> Any:
    """The field `name` of the dataclass `kind`, for a subclass that differs in nothing but its default."""
    known = next(item for item in dataclasses.fields(kind) if item.name == name)
    return _field(default, known.metadata)


def _field(default: Any, metadata: Mapping[str, Any]) -> Any:
    known = {key: value for key, value in metadata.items() if key != "by_size"}  # of the field that `preset` copies
    if isinstance(default, BySize):
        return field(default=None, metadata={**known, "by_size": default})
    return field(default=default, metadata=known)


def by_size(item: dataclasses.Field) -> BySize | None:
    """The values of a field that is left to the model's size; None for any other field."""
    return item.metadata.get("by_size")


def kind_of(item: dataclasses.Field) -> type:
    """The type of a field's values."""
    sizes = by_size(item)
    return type(sizes.small if sizes else item.default)


def blank(item: dataclasses.Field) -> Any:
    """What stands for None on the command line and in the UI: 0, or "auto" among choices. Other fields: their default."""
    if not by_size(item):
        return item.default
    return "auto" if item.metadata["choices"] else kind_of(item)(0)


def given(item: dataclasses.Field, value: Any) -> Any:
    """A value from the command line, the UI or a program; what stands for None there is None here."""
    stands_for_none = by_size(item) and item.metadata["zero_is_none"]
    return None if stands_for_none and value == blank(item) else value


def explain(item: dataclasses.Field) -> str:
    """What a field sets, and where it is left to the model's size, what that makes of it."""
    sizes, help = by_size(item), item.metadata["help"]
    if not sizes:
        return help
    if item.metadata["choices"] and sizes.small == sizes.large:
        return f"{help}; {blank(item)} is {sizes.small}, but for models that have a choice of their own"
    if item.metadata["choices"]:
        return (
            f"{help}; {blank(item)} is {sizes.small} for a small model such as the embedded one, {sizes.large} for Stable "
            "Diffusion's size"
        )
    but = more = ""
    if sizes.only_mini_differs:
        but = f" without {sizes.exception}"
    elif sizes.unless:
        more = f" ({sizes.unless[2].small:g} and {sizes.unless[2].large:g} with {sizes.exception})"
    embedded = " such as the embedded one" if sizes.mini is None else f" ({sizes.mini:g} for the embedded one{but})"
    values = f"{sizes.small:g} for a small model{embedded}, {sizes.large:g} for Stable Diffusion's size{more}"
    return f"{help}; {blank(item):g} is the model's own, {values}"


def for_model(settings: Settings, small: bool, usual: Mapping[str, Any] = MappingProxyType({})) -> Settings:
    """`settings` with what suits the model where a field is None; the same object if there is none.

    `small` is `DiffusionModel.small`, and `usual` `DiffusionModel.usual`, which goes before what suits its size; its "mini" says
    whether it is the embedded model.
    """
    found, mini = {}, usual.get("mini", False)
    for item in dataclasses.fields(settings):
        sizes = by_size(item)
        if sizes is None or getattr(settings, item.name) is not None:
            continue
        if sizes.unless and found.get(sizes.unless[0], getattr(settings, sizes.unless[0])) == sizes.unless[1]:
            sizes = sizes.unless[2]
        found[item.name] = usual.get(item.name, sizes.of(small, mini))
    return dataclasses.replace(settings, **found) if found else settings


def check_settings(instance: Any, closed: bool = False) -> None:
    """Raise `InvalidInput` if a field made by `setting` is outside its range or choices.

    `closed` holds fields that are `open` to their choices too.
    """
    for item in dataclasses.fields(instance):
        check_setting(item, getattr(instance, item.name), closed)


def check_setting(item: dataclasses.Field, value: Any, closed: bool = False) -> None:
    """Raise `InvalidInput` if `value` is nothing for the field `item`, made by `setting`; ranges are of whole numbers
    where its default is one. `closed` is that of `check_settings`."""
    meta = item.metadata
    if value is None and by_size(item):
        return
    if meta.get("choices") and value not in meta["choices"] and (closed or not meta.get("open")):
        raise InvalidInput(f"expected {item.name} to be one of {', '.join(meta['choices'])}, got {value!r}")
    if isinstance(item.default, bool):
        check_switch(item.name, value)
    if isinstance(item.default, str) and not meta.get("choices"):
        check_text(item.name, value)
    low, high = meta.get("low"), meta.get("high")
    if low is None and high is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and kind_of(item) is int and not isinstance(value, int):
        raise InvalidInput(f"expected {item.name} to be a whole number, got {value:g}")
    if not number or not low - 1e-9 <= value <= high + 1e-9:
        scale, unit = (255, "/255") if meta["levels"] else (1, "")
        low, high, got = (f"{end * scale:.10g}{unit}" for end in (low, high, value if number else 0))
        raise InvalidInput(f"expected {item.name} between {low} and {high}, got {got if number else repr(value)}")


def check_switch(name: str, value: Any) -> None:
    """Raise `InvalidInput` unless `value` is True or False: "off" and "no" are true to Python."""
    if not isinstance(value, bool):
        raise InvalidInput(f"expected {name} to be True or False, got {value!r}")


def check_text(name: str, value: Any) -> None:
    """Raise `InvalidInput` unless `value` is a text that can be written to a file, which one from a terminal may not be."""
    if not isinstance(value, str):
        raise InvalidInput(f"expected {name} to be a text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"expected {name} to be a text in UTF-8, got {value!r}") from None


def describe_settings(instance: Any) -> dict[str, Any]:
    """The fields of a frozen dataclass as plain JSON values."""
    return {item.name: getattr(instance, item.name) for item in dataclasses.fields(instance)}


def publish_settings(instance: Any) -> dict[str, Any]:
    """`describe_settings` for a file that travels with the photos: of folders in an `open` setting the last part alone."""
    found = describe_settings(instance)
    for item in dataclasses.fields(instance):
        if item.metadata.get("open"):
            parts = [part.strip() for part in found[item.name].split(",")]
            found[item.name] = ",".join(Path(p).name if Path(p).expanduser().exists() else p for p in parts)
    return found
