"""What people protect, an object, a person or a style: the prompts that the photos and the pictures go by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """`instance_prompt` is what fine-tuning calls the photos, `prompt` what the pictures are asked to show.

    `initial_word` is where a new word starts in textual inversion (Gal et al. 2023, arXiv 2208.01618). "sks" is the rare
    word of the field.
    """

    name: str
    title: str
    instance_prompt: str
    prompt: str
    initial_word: str


PRESETS = {
    row.name: row
    for row in (
        Preset("object", "An object", "a photo of sks", "a photo of sks", "toy"),
        Preset("person", "A person", "a photo of sks person", "a photo of sks person", "person"),
        Preset(
            "style", "A style of painting", "a painting in the style of sks", "a painting in the style of sks", "painting",
        ),
    )
}  # fmt: skip
