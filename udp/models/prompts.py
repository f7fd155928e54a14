"""What photos are called when a model looks at them: each by its caption, or all by the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from udp.errors import InvalidInput
from udp.models.base import Conditioning, DiffusionModel
from udp.photos import Photo


class Texts:
    """What a batch of photos is called, as conditioning.

    `words` turns prompts into it, `model` itself or a copy whose text learns, and is asked anew in every step; frozen text is read once.
    `prompts` are the photos' own, see `prompts_of`.
    """

    def __init__(self, model: DiffusionModel, words: DiffusionModel, prompts: Sequence[str]) -> None:
        self.words, self.prompts, self.learns = words, prompts, words is not model
        self._kept = {} if self.learns else {text: model.embed(text) for text in set(prompts)}

    def told(self, text: str) -> Conditioning:
        """The conditioning for one prompt."""
        if self.learns:
            return self.words.encode_prompt(text)
        return self._kept[text] if text in self._kept else self.words.embed(text)

    def of(self, chosen: Sequence[int]) -> list[tuple[Conditioning, int]]:
        """For `side_by_side`: the conditionings of the photos of these numbers, in order; past the last the first comes again."""
        if len(set(self.prompts)) == 1:
            return [(self.told(self.prompts[0]), len(chosen))]
        own = [self.prompts[index % len(self.prompts)] for index in chosen]
        known = {text: self.told(text) for text in set(own)}
        return [(known[text], 1) for text in own]


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
