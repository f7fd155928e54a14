"""The arms of a trial: what the imitator trained on, what people call it, and its colour wherever it is drawn."""

from __future__ import annotations

import enum

from udp.language import Text, text


class ArmName(enum.StrEnum):
    """An arm's key in figures, folders and manifests, with its English title and its colour.

    The colours are Okabe and Ito's: told apart with any colour vision, on light and dark.
    """

    BASE = "base", "Before fine-tuning", "#78716c"
    CLEAN = "clean", "Clean", "#0072b2"
    RANDOM = "random", "Random noise", "#e69f00"
    PROTECTED = "protected", "Protected", "#009e73"

    label: str
    colour: str

    def __new__(cls, key: str, label: str, colour: str) -> ArmName:
        """A member that is its key as a string."""
        member = str.__new__(cls, key)
        member._value_, member.label, member.colour = key, label, colour
        return member


# Those that are fine-tuned, in the order they are run and shown; all three decide a verdict.
TRAINED = (ArmName.CLEAN, ArmName.RANDOM, ArmName.PROTECTED)


def known_arm(name: str) -> ArmName | None:
    """The arm called `name`, None for one that is none of ours: a trial takes any names."""
    return ArmName._value2member_map_.get(name)


def arm_title(name: str) -> Text:
    """What an arm is called; the name itself for an arm that is none of ours."""
    known = known_arm(name)
    return text(f"arm.{name}", known.label if known else name)


def arm_colour(name: str) -> str:
    """An arm's colour; that of the base for an arm that is none of ours."""
    return (known_arm(name) or ArmName.BASE).colour
