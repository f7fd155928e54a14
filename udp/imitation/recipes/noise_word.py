"""An imitator who trains against protections: a word for the noise (Liu et al. 2024, arXiv 2406.18944, contrastive decoupling).

A fine-tune takes a perturbation for a part of the subject, because both always come together. Here the instance prompt says
that there is a pattern, by a word of its own, and class images, made by the base model, are said to be without it, as are the
pictures that are asked for. The paper restores photos before; combine with a cleaning for that. Name the subject's class in
`class_prompt`: without it the class images show anything. A model that cannot draw the class, as the embedded one, teaches itself
that what is without the noise is what it drew, and shows the subject in no arm (measured: benchmarks/RESULTS.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from udp.errors import InvalidInput
from udp.imitation.recipes.base import Prior
from udp.imitation.recipes.dreambooth import DreamBooth
from udp.imitation.recipes.subject import SubjectRecipe
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.progress import OnProgress
from udp.settings import BySize, preset, setting


@dataclass(frozen=True)
class NoiseWord(DreamBooth):
    """DreamBooth with prior preservation that calls the perturbation by a word. For models with prompts only."""

    prior_preservation: str | None = preset(SubjectRecipe, "prior_preservation", BySize("yes", "yes"))
    noise_word: str = setting("xjy", "the word for the perturbation")

    name: ClassVar[str] = "noise_word"
    title: ClassVar[str] = "DreamBooth with a word for the noise (if the model knows the class)"
    reference: ClassVar[str] = "arXiv 2406.18944"

    def check_prompts(self, model: DiffusionModel, instance_prompt: str, prompt: str) -> None:
        """See `Recipe.check_prompts`; of the prompts with the word too."""
        super().check_prompts(model, instance_prompt, prompt)
        if not model.takes_prompts:
            raise InvalidInput(
                f"expected a model that takes prompts, in which the noise can have a word, got {model.name!r}"
            )
        if not self.noise_word.strip():
            raise InvalidInput("expected a word for the noise, got none")
        for text in (self._with(instance_prompt), self._without(self.class_prompt), self._without(prompt)):
            model.check_prompt(text)

    def prompts_of(self, photos: Sequence[Photo], model: DiffusionModel, prompt: str) -> list[str]:
        """See `Recipe.prompts_of`: each with the word. Raises `InvalidInput` for a caption that leaves no room for it."""
        found = [self._with(text) for text in super().prompts_of(photos, model, prompt)]
        for text in dict.fromkeys(found):
            model.check_prompt(text)
        return found

    def asked(self, prompt: str) -> str:
        """See `Recipe.asked`: without the noise."""
        return self._without(prompt)

    def prior(self, model: DiffusionModel, seed: int, on_progress: OnProgress) -> Prior | None:
        """See `SubjectRecipe.prior`; learned as pictures without the noise."""
        found = super().prior(model, seed, on_progress)
        return found and Prior(found.latents, self._without(self.class_prompt), found.weight, found.batch_size)

    def _with(self, prompt: str) -> str:
        return f"{prompt} with {self.noise_word} noise"

    def _without(self, prompt: str) -> str:
        return f"{prompt} without {self.noise_word} noise".strip()
