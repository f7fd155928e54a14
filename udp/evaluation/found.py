"""The photos that imitators find and train on: some of them clean, all of them cleaned, an arm at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from udp.errors import InvalidInput
from udp.evaluation.trial import Trial
from udp.imitation.cleaning import parse_cleaning
from udp.models.base import DiffusionModel
from udp.photos import Photo, flattened
from udp.progress import OnProgress, ignore_progress


class FoundPhotos:
    """What the imitator trains on in each arm: some photos found clean (`unprotected_share`), and all of them cleaned.

    Transparent ones lie on white, as people see them: what a sticker's file hides under its transparency is no picture.

    The clean ones are the first of the set in every arm, and the cleaning's randomness is the same in every arm. An arm is
    cleaned when it is asked for, and once. Raises `InvalidInput` if clean photos are asked for and there are none.
    """

    def __init__(self, arms: Mapping[str, Sequence[Photo]], model: DiffusionModel, trial: Trial) -> None:
        self._found, self._model, self._seed = found_photos(arms, trial.unprotected_share), model, trial.seed
        self._cleaning = parse_cleaning(trial.cleaning)
        self._cleaned: dict[str, list[Photo]] = {}

    def of(self, arm: str, on_progress: OnProgress = ignore_progress) -> list[Photo]:
        """The cleaned photos of an arm; one thread at a time may ask for one arm."""
        if arm not in self._cleaned:
            generator = torch.Generator().manual_seed(self._seed)
            told = ignore_progress if self._cleaning.name == "none" else on_progress
            self._cleaned[arm] = self._cleaning(self._found[arm], self._model, generator, told)
            del self._found[arm]
        return self._cleaned[arm]

    def units(self, arm: str) -> float:
        """What is left to do for an arm, in fine-tuning steps."""
        return 0.0 if arm in self._cleaned else self._cleaning.units([photo.size for photo in self._found[arm]])


def found_photos(arms: Mapping[str, Sequence[Photo]], unprotected_share: float) -> dict[str, list[Photo]]:
    """See `FoundPhotos`; by arm, before they are cleaned."""
    found = {name: [flattened(photo) for photo in photos] for name, photos in arms.items()}
    clean = arms.get("clean", ())
    for name, photos in found.items():  # a protected photo is published with the caption of the original
        if len(photos) == len(clean):
            found[name] = [
                replace(photo, caption=photo.caption or own.caption) for photo, own in zip(photos, clean, strict=True)
            ]
    if unprotected_share > 0:
        if "clean" not in arms or any(len(photos) != len(clean) for photos in arms.values()):
            raise InvalidInput("expected a clean arm as large as the others to take unprotected photos from, got none")
        count = round(unprotected_share * len(clean))
        found = {name: [*found["clean"][:count], *photos[count:]] for name, photos in found.items()}
    return found
