"""What photos are called when a model looks at them: each by its caption, or all by the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.photos import Photo


def prompts_of(photos: Sequence[Photo], model: DiffusionModel, prompt: str) -> list[str]:
    """The caption of each photo, or `prompt` where there is none, or the model takes no prompts.

    Raises `InvalidInput` for a caption that the model would not read, or not all of it.
    """
    found = []
    for photo in photos:
        caption = photo.caption if model.takes_prompts else ""
        try:
            model.check_prompt(caption)
        except InvalidInput as error:
            raise InvalidInput(
                f"caption of {photo.name!r}: {error}; without captions (--captions off) all photos go by the prompt"
            ) from None
        found.append(caption or prompt)
    return found
