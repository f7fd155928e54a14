"""Command-line flags from the settings dataclasses of methods and recipes, and settings back from the flags."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from udp.errors import InvalidInput
from udp.models.registry import MODELS
from udp.settings import blank, by_size, check_setting, check_settings, given, kind_of, parse_levels

# field name -> the name of each class that has it -> the field there
Owners = dict[str, dict[str, dataclasses.Field]]


def add_setting_flags(parser: argparse.ArgumentParser, registry: dict[str, type], prefix: str = "") -> None:
    """One flag a field of any class in `registry`; defaults stay the class's own, shown in the help.

    `prefix` keeps the flags of two registries apart in one command.
    """
    owners: Owners = {}
    for name, kind in registry.items():
        for item in dataclasses.fields(kind):
            owners.setdefault(item.name, {})[name] = item
    for name, found in owners.items():
        item = next(iter(found.values()))
        flag = f"--{prefix}{name}".replace("_", "-")
        options = {"dest": f"{prefix}{name}", "default": None, "help": flag_help(found, registry)}
        if kind_of(item) is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
            continue
        choices = None if item.metadata["open"] else item.metadata["choices"]
        kind = levels if item.metadata["levels"] else kind_of(item)
        if choices and by_size(item):
            choices = (blank(item), *choices)
        metavar = None if choices else name.upper()
        parser.add_argument(flag, type=kind, choices=choices, metavar=metavar, **options)


def flag_help(found: Mapping[str, dataclasses.Field], registry: Mapping[str, type]) -> str:
    """What a field sets, with its default, each owner's if they differ, and else its owners if not all have it."""
    item = next(iter(found.values()))
    meta = item.metadata
    defaults: dict[str, list[str]] = {}
    for owner, item in found.items():
        defaults.setdefault(shown_default(item), []).append(owner)
    differ = len(defaults) > 1
    between = "; " if any("," in value for value in defaults) else ", "
    shown = between.join(f"{value} for {' '.join(of)}" if differ else value for value, of in defaults.items())
    belongs = "" if differ or len(found) == len(registry) else f" [{', '.join(found)}]"
    if " / " in shown:
        return f"{meta['help']} (default for small / Stable Diffusion's size: {shown}){belongs}"
    return f"{meta['help']} (default {shown}){belongs}"


def shown_default(item: dataclasses.Field) -> str:
    """A field's default for people; of one that is left to the model's size, all of its values."""
    meta, value = item.metadata, item.default
    if sizes := by_size(item):
        if meta["choices"]:
            own = {row.name: row.usual[item.name] for row in MODELS.values() if item.name in row.usual}
            shown = str(sizes.small) if sizes.small == sizes.large else f"{sizes.small} / {sizes.large}"
            return ", ".join([shown, *(f"{choice} with {name}" for name, choice in own.items())])
        shown, but = f"{sizes.small:g} / {sizes.large:g}", ""
        if sizes.only_mini_differs:
            but = f" without {sizes.exception}"
        elif sizes.unless:
            shown += f" (with {sizes.exception} {sizes.unless[2].small:g} / {sizes.unless[2].large:g})"
        return shown if sizes.mini is None else f"{sizes.mini:g} with mini{but}, {shown}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if meta["levels"]:
        return f"{value * 255:g}/255"
    return f"{value:g}" if isinstance(value, (int, float)) else value or "empty"


def levels(text: str) -> float:
    """`parse_levels` for a flag, whose own reason argparse shows."""
    try:
        return parse_levels(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def number_of(kind: type, name: str) -> Callable[[str], Any]:
    """A flag's type: a number that the field `name` of the dataclass `kind` takes."""
    item = next(item for item in dataclasses.fields(kind) if item.name == name)

    def read(text: str) -> Any:
        try:
            value = kind_of(item)(text)
        except ValueError:
            whole = "whole " if kind_of(item) is int else ""
            raise argparse.ArgumentTypeError(f"expected {name} to be a {whole}number, got {text!r}") from None
        try:
            check_setting(item, value)
        except InvalidInput as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return value

    return read


def from_flags(kind: type, options: argparse.Namespace, prefix: str = "") -> Any:
    """An instance of `kind` with those of its fields that were given as flags. Raises `InvalidInput` out of range."""
    values = [(item, getattr(options, prefix + item.name)) for item in dataclasses.fields(kind)]
    instance = kind(**{item.name: given(item, value) for item, value in values if value is not None})
    check_settings(instance)
    return instance


def refuse_unused(
    options: argparse.Namespace, registry: dict[str, type], names: Sequence[str], prefix: str = ""
) -> None:
    """Raise `InvalidInput` if a flag was given that none of the chosen `names` has: it would change nothing."""
    fields = {name: {item.name for item in dataclasses.fields(kind)} for name, kind in registry.items()}
    used = set().union(*(fields[name] for name in names))
    for field in sorted(set().union(*fields.values()) - used):
        if getattr(options, prefix + field) is not None:
            owners, flag = [name for name in fields if field in fields[name]], f"--{prefix}{field}".replace("_", "-")
            raise InvalidInput(f"expected {flag} with {' or '.join(owners)}, got it with {' and '.join(names)}")
