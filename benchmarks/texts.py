"""Methods and recipes from the texts of a command line, and what a method costs."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from udp.errors import InvalidInput
from udp.imitation.recipes import RECIPES
from udp.imitation.recipes.base import Recipe
from udp.protection.base import ProtectionMethod
from udp.protection.methods import METHODS
from udp.settings import check_settings, given, kind_of

SWITCH = {"true": True, "false": False}
Changed = TypeVar("Changed", ProtectionMethod, Recipe)


def parse_method(text: str, budget: float, gradients: int | None = None) -> ProtectionMethod:
    """A method from "eudp" or "eudp:momentum=1,augment=jpeg", at `gradients` a photo if given. Raises `InvalidInput`."""
    name, _, changes = text.partition(":")
    if name not in METHODS:
        raise InvalidInput(f"expected a method among {', '.join(METHODS)}, got {name!r}")
    method = changed(METHODS[name](budget=budget), changes)
    method = method if gradients is None else at_cost(method, gradients)
    check_settings(method)
    return method


def parse_recipe(text: str, steps: int | None = None) -> Recipe:
    """A recipe from "lora" or "dreambooth:batch_size=16", of `steps` if given. Raises `InvalidInput`."""
    name, _, changes = text.partition(":")
    if name not in RECIPES:
        raise InvalidInput(f"expected a recipe among {', '.join(RECIPES)}, got {name!r}")
    recipe = changed(RECIPES[name](), changes)
    recipe = dataclasses.replace(recipe, steps=steps) if steps else recipe
    check_settings(recipe)
    return recipe


def changed(base: Changed, changes: str) -> Changed:
    """`base` with the settings in "momentum=1,augment=jpeg". Raises `InvalidInput`."""
    known = {item.name: item for item in dataclasses.fields(base)}
    for change in filter(None, changes.split(",")):
        field, _, value = change.partition("=")
        if field not in known:
            raise InvalidInput(f"expected a setting of {base.name} among {', '.join(known)}, got {field!r}")
        kind = kind_of(known[field])
        try:
            value = SWITCH[value] if kind is bool else kind(value)
            base = dataclasses.replace(base, **{field: given(known[field], value)})
        except (KeyError, ValueError):
            raise InvalidInput(f"expected {field} to be a {kind.__name__}, got {value!r}") from None
    return base


def at_cost(method: ProtectionMethod, gradients: int) -> ProtectionMethod:
    """The same method with as many rounds, or PGD steps where it has no rounds, as `gradients` a photo allow.

    Rounds get the method's own PGD steps or fewer, down to half, so that all gradients are spent, where a number does that.
    """
    fields = {item.name for item in dataclasses.fields(method)}
    steps = max(1, gradients // getattr(method, "draws", 1))
    if "rounds" in fields:
        own = method.pgd_steps
        size = next((size for size in range(own, -(-own // 2) - 1, -1) if steps % size == 0), own)
        return dataclasses.replace(method, rounds=max(1, round(steps / size)), pgd_steps=size)
    return dataclasses.replace(method, pgd_steps=steps) if "pgd_steps" in fields else method


def gradients_of(method: ProtectionMethod) -> int:
    """How many gradients a photo costs: PGD steps times draws."""
    return getattr(method, "rounds", 1) * getattr(method, "pgd_steps", 0) * getattr(method, "draws", 1)
