"""Every error this project raises on purpose, as one tree.

Catch `UDPError` to catch them all. Messages say what was expected and what came instead; the UI shows them as they are.
"""

from __future__ import annotations

from udp.language import ENGLISH, Text


class UDPError(Exception):
    """Root of the tree."""


class InvalidInput(UDPError, ValueError):
    """A value the caller gave cannot be used."""


class UnreadablePhoto(InvalidInput):
    """A file is not a photo we can open, or its size is outside what we accept.

    `said` is the message for any language, where it was given as a text.
    """

    def __init__(self, said: Text | str) -> None:
        super().__init__(ENGLISH.say(said))
        self.said = said


class ModelUnavailable(UDPError):
    """A model's weights are not here and could not be loaded."""


class OutOfMemory(UDPError):
    """The machine or its GPU has too little memory for what was asked; the message says what would need less."""


class DeploymentFailed(UDPError):
    """The Hub did not take the app."""


class UploadFailed(UDPError):
    """The Hub did not take somebody's photos."""


class BudgetExceeded(UDPError):
    """A finished perturbation is larger than its budget: a bug of ours, never returned to a user as a result."""


class NothingLearned(UDPError):
    """Fine-tuning left the weights or the output as they were, so a comparison would compare a model with itself."""


class Diverged(UDPError):
    """Training left the finite numbers and did not come back: too large a learning rate, or too little precision."""


class UnusableGradient(UDPError):
    """A photo's gradient is not finite or zero everywhere, so that its sign says nothing."""


class OutOfTime(UDPError):
    """A machine that is lent by the minute is not lent now, or was taken back; what was finished before is kept."""


class Stopped(UDPError):
    """The user asked to stop."""
