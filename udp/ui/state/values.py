"""Settings from what a visitor or a program gave: values in the controls' units, levels of 255 for pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from udp.errors import InvalidInput
from udp.settings import check_settings, given, kind_of

Settings = TypeVar("Settings")


def parse(item: dataclasses.Field, value: Any) -> Any:
    """A control's value as the field's own type and unit. Raises `InvalidInput` if it is empty or not of that type."""
    kind = kind_of(item)
    if kind in (bool, str):
        if not isinstance(value, kind):
            raise InvalidInput(f"expected {item.name} to be a {kind.__name__}, got {value!r}")
        return given(item, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidInput(f"expected {item.name} to be a number, got {'nothing' if value is None else repr(value)}")
    if item.metadata["levels"]:
        return value / 255
    if kind is int:
        if not float(value).is_integer():
            raise InvalidInput(f"expected {item.name} to be a whole number, got {value:g}")
        return given(item, int(value))
    return given(item, float(value))


def from_values(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """`kind` with `values` by field name, in the controls' units, every other field at its default, checked."""
    items = {item.name: item for item in dataclasses.fields(kind)}
    return build_settings(kind, [items[name] for name in values], list(values.values()))


def build_settings(kind: type[Settings], items: Iterable[dataclasses.Field], values: Sequence[Any]) -> Settings:
    """`kind` with `items` set from the controls' values and every other field at its default, checked."""
    known = {item.name for item in dataclasses.fields(kind)}
    chosen = {i.name: parse(i, v) for i, v in zip(items, values, strict=True) if i.name in known}
    instance = kind(**chosen)
    check_settings(instance, closed=True)  # what a stranger names must not be looked up on this machine
    return instance


def from_names(registry: dict[str, type], name: str, values: dict[str, Any]) -> Any:
    """A settings object from an API call: registry name, and values by field name in the controls' units (levels of 255).

    Raises `InvalidInput` for unknown names and values outside their range.
    """
    if name not in registry:
        raise InvalidInput(f"expected one of {', '.join(registry)}, got {name!r}")
    known = [item.name for item in dataclasses.fields(registry[name])]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InvalidInput(f"expected settings among {', '.join(known)}, got {', '.join(unknown)}")
    return from_values(registry[name], values)


def settings_of(values: Any) -> dict[str, Any]:
    """The settings of a program's call, {} for none. Raises `InvalidInput` for JSON that is no object."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidInput(f"expected settings as a JSON object of names and values, got {type(values).__name__}")
    return values
