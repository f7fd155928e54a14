"""The contract of a cleaning: what an imitator does to found photos before training on them."""

from __future__ import annotations

import abc
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch

from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.models.memory import enough_memory
from udp.photos import Photo, flattened
from udp.progress import OnProgress, Progress, Stage, ignore_progress
from udp.settings import check_settings

OnShare = Callable[[float], None]  # told which share of a photo is done, in [0, 1]
# Arms are cleaned at the same time; what holds many copies of a whole photo takes turns.
ONE_WHOLE_PHOTO = threading.Lock()


@dataclass(frozen=True)
class Cleaning(abc.ABC):
    """Base of every cleaning: strength as fields made by `setting`, and `run` for one picture.

    `name` is the key in `CLEANINGS` and on the command line; `reference` says who used it against protections. One that
    `reframes` only cuts, without a model or chance. `whole_photos` says that it works on a photo at its full size, which takes memory.
    """

    needs_model: ClassVar[bool] = False
    reframes: ClassVar[bool] = False
    whole_photos: ClassVar[bool] = True

    def framed(self, photos: Sequence[Photo]) -> list[Photo]:
        """`photos` cut as this cleaning cuts them, then on white where they are transparent, and otherwise as they are.

        Pictures by an imitator who trained on cut photos are compared with these: at other places than in the whole photos, a
        subject that was learned well would pass for one that was not learned.
        """
        return self([flattened(photo) for photo in photos]) if self.reframes else list(photos)

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Short key, without spaces or plus signs."""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """For people."""

    @property
    @abc.abstractmethod
    def reference(self) -> str:
        """Where it comes from."""

    def units(self, sizes: Sequence[tuple[int, int]]) -> float:
        """What it takes for photos of such sizes, about, in fine-tuning steps of the embedded model; 0 for what is done at once."""
        return 0.0

    @abc.abstractmethod
    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """uint8 (H, W, 3) to uint8, of the same size unless the cleaning is a crop; `generator` lives on the CPU.

        What takes seconds tells `on_share` now and then which share of the photo is done, and lets out whatever that raises.
        """

    @final
    def run_alone(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """`run`, on one photo at a time if it takes much memory, whoever asks."""
        with ONE_WHOLE_PHOTO if self.whole_photos else contextlib.nullcontext():
            return self.run(pixels, model, generator, on_share)

    @final
    @enough_memory("cleaning", "Smaller photos or a smaller model need less.")
    def __call__(
        self,
        photos: Sequence[Photo],
        model: DiffusionModel | None = None,
        generator: torch.Generator | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> list[Photo]:
        """Cleaned copies of `photos`; the same generator state gives the same bytes. The model's weights stay.

        Raises `InvalidInput` for settings out of range or a missing model, `OutOfMemory`, and whatever `on_progress` raises.
        """
        check_settings(self)
        if self.needs_model and model is None:
            raise InvalidInput(f"expected a model for the cleaning {self.name!r}, got None")
        generator = generator or torch.Generator().manual_seed(0)
        cleaned: list[Photo] = []

        def told(share: float) -> None:
            done = len(cleaned) + share
            on_progress(Progress(Stage.CLEANING, int(done), len(photos), fraction=done / len(photos)))

        for photo in photos:
            pixels = np.ascontiguousarray(self.run_alone(photo.pixels, model, generator, told))
            alpha = photo.alpha if pixels.shape == photo.pixels.shape else None
            told(1.0)
            cleaned.append(replace(photo, pixels=pixels, alpha=alpha))
        return cleaned
