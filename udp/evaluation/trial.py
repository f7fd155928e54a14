"""What the imitator does, besides choosing a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from udp.imitation.cleaning import parse_cleaning
from udp.models.sampling import GUIDANCE, STEPS
from udp.settings import check_settings, setting


@dataclass(frozen=True)
class Trial:
    """What the imitator does, besides choosing a recipe: prompts, seeds, cleaning, and how pictures are sampled.

    `seeds` repeats the whole trial; run r trains with seed `seed` + r. `unprotected_share` in [0, 1] is the part of
    the photos that the imitator also found clean; `cleaning` is applied to every arm alike ("jpeg75+half" is a chain).
    Sampling defaults to what suits the model's size.
    """

    instance_prompt: str = setting("a photo of sks", "what fine-tuning calls the photos")
    prompt: str = setting("a photo of sks", "what the pictures are asked to show")
    seed: int = setting(0, "the same seed and settings give the same result", 0, 2**31 - 1, 1)
    pictures: int = setting(4, "pictures an arm and run", 1, 1000, 1)
    sampling_steps: int | None = setting(STEPS, "steps of a picture", 1, 1000, 1, zero_is_none=False)
    guidance: float | None = setting(
        GUIDANCE, "classifier-free guidance; 1 or less is none", 0, 30, 0.5, zero_is_none=False
    )
    seeds: int = setting(1, "runs of the whole trial", 1, 100, 1)
    unprotected_share: float = setting(0.0, "part of the photos found clean", 0, 1, 0.1)
    cleaning: str = setting("none", "what the imitator does to the photos first")

    def check(self) -> None:
        """Raise `InvalidInput` for values that make no trial."""
        check_settings(self)
        parse_cleaning(self.cleaning)

    def picture_seeds(self, run: int) -> list[int]:
        """The sampling seeds of one run; runs share none."""
        return [self.seed + run * self.pictures + index for index in range(self.pictures)]
