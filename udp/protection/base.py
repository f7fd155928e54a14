"""The contract of a protection method."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch

from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.models.memory import enough_memory, kept_memory
from udp.models.prompts import prompts_of
from udp.photos import Photo, flattened
from udp.progress import OnProgress, ignore_progress
from udp.protection.budget import check_budget, to_8_bits, whole_levels
from udp.protection.perception import PERCEPTUAL, perceptual_share
from udp.protection.pgd import Direction
from udp.settings import check_settings, check_text, setting
from udp.tensors import resize, to_tensor

# Above this many times the model's resolution, a perturbation is optimised on a coarser grid and enlarged.
WORKING_SCALE = 5


@dataclass(frozen=True)
class ProtectionMethod(abc.ABC):
    """Base of every method: hyperparameters as fields made by `setting`, and `run`.

    Calling a method validates, runs, projects, rounds to 8 bits inside the budget and checks again, so that no method
    can return a photo outside its budget.
    """

    budget: float = setting(
        8 / 255, "largest change of any pixel (L-infinity)", 2 / 255, 32 / 255, 1 / 255, levels=True, advanced=False
    )
    perceptual: str = setting(
        "off", "spend less of the budget where it shows: in flat areas (texture), in brightness (color), or both",
        choices=PERCEPTUAL,
    )  # fmt: skip

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]
    uses_model: ClassVar[bool] = True

    @property
    def direction(self) -> Direction | None:
        """Whether the photos make their loss rise ("ascend") or fall ("descend"); None where there is no loss."""
        return None

    @property
    def attacks_encoder_alone(self) -> bool:
        """Whether its loss rests on the autoencoder and nothing else: then a model of pixels has nothing to attack."""
        return False

    @abc.abstractmethod
    def run(
        self,
        images: Sequence[torch.Tensor],
        limits: Sequence[torch.Tensor],
        model: DiffusionModel | None,
        prompt: str | Sequence[str],
        generator: torch.Generator,
        on_progress: OnProgress,
    ) -> list[torch.Tensor]:
        """A perturbation for each image, both (1, 3, H, W) in [0, 1] pixel units at the image's own working size.

        `prompt` is what all of them are called, or each of them, if they have captions.
        `limits` bound the perturbations: tensors that broadcast to the images, in pixel units, at most the budget.
        """

    @final
    @enough_memory(
        "protecting",
        "A surrogate that trains adapters alone needs about a third (surrogate=adapters, or --surrogate adapters); methods "
        "without a surrogate and smaller models need less too.",
    )
    def __call__(
        self,
        photos: Sequence[Photo],
        model: DiffusionModel | None,
        prompt: str = "a photo of sks",
        seed: int = 0,
        on_progress: OnProgress = ignore_progress,
        masks: Sequence[np.ndarray | None] | None = None,
    ) -> list[Photo]:
        """Protected copies of `photos`: same names, sizes, alpha and profile; pixels changed by at most the budget.

        `masks`, one a photo, are uint8 (H, W) of the photo's size: pixels below 128 keep every bit; None protects all of a
        photo. Raises `InvalidInput` for bad settings, no photos or a model that the method cannot attack, `BudgetExceeded`
        if our own result were wrong, `OutOfMemory`, and whatever `on_progress` raises to stop.
        """
        check_settings(self)
        own = model.suited(self) if model else self
        if own is not self:
            return own(photos, model, prompt, seed, on_progress, masks)
        if not photos:
            raise InvalidInput("expected at least one photo to protect, got none")
        check_text("the prompt", prompt)
        if masks is not None and len(masks) != len(photos):
            raise InvalidInput(f"expected a mask or None for each of {len(photos)} photos, got {len(masks)}")
        whole_levels(self.budget)
        self.check_model(model, prompt)
        if self.uses_model and not self.attacks_encoder_alone:  # which reads no text
            prompts = prompts_of(photos, model, prompt)
            prompt = prompts if any(photo.caption for photo in photos) and model.takes_prompts else prompt
        generator = torch.Generator().manual_seed(seed)
        longest = [self.longest_side(photo, model) for photo in photos]
        # What is transparent is seen on white: that, and nothing hidden below, is what an imitator's model will look at.
        # One photo after the other, here and below: floats of a whole set at full size would not fit into memory.
        working = [shrink(to_tensor(flattened(p).pixels)[None], side) for p, side in zip(photos, longest, strict=True)]
        budgets = [self.budget_map(p, m) for p, m in zip(photos, masks or [None] * len(photos), strict=True)]
        limits = [
            shrink(torch.from_numpy(b).float().permute(2, 0, 1)[None], side)
            for b, side in zip(budgets, longest, strict=True)
        ]
        with kept_memory(model):
            perturbations = list(self.run(working, limits, model, prompt, generator, on_progress))
        del working, limits
        results = []
        for photo, budget in zip(photos, budgets, strict=True):
            original, perturbation = to_tensor(photo.pixels)[None], perturbations.pop(0)
            enlarged = resize(perturbation.detach().cpu().float(), *original.shape[-2:])
            perturbed = (original + enlarged)[0].permute(1, 2, 0).numpy()
            pixels = to_8_bits(photo.pixels, perturbed, budget)
            check_budget(photo.pixels, pixels, budget)
            if np.array_equal(pixels, photo.pixels):
                raise InvalidInput(f"expected {photo.name!r} to change, got the same pixels back")
            results.append(replace(photo, pixels=pixels))
        return results

    def check_model(self, model: DiffusionModel | None, prompt: str) -> None:
        """Raise `InvalidInput` if the method cannot attack `model`, or the model cannot read `prompt`; no photo is needed."""
        if not self.uses_model:
            return
        if model is None:
            raise InvalidInput(f"expected a model for {self.name}, got None")
        model.check_prompt(prompt)
        if not self.attacks_encoder_alone and not model.has_network:
            raise InvalidInput(
                f"expected a model that denoises, for {self.name} with these settings, got the autoencoder {model.name!r} "
                "alone: photoguard, or mist with mode=textural, needs no more"
            )
        if self.attacks_encoder_alone and not model.has_encoder:
            raise InvalidInput(
                f"expected a model with an autoencoder, which is all that {self.name} attacks here, got a model of pixels"
            )

    def longest_side(self, photo: Photo, model: DiffusionModel | None) -> int:
        """The longer side in pixels, at most, of the grid on which the photo's perturbation is made; 0 is the photo's own."""
        return WORKING_SCALE * model.resolution if model else 0

    def budget_map(self, photo: Photo, mask: np.ndarray | None = None) -> np.ndarray:
        """The budget of each pixel in [0, 1] pixel units, float64 that broadcasts to (H, W, 3): (1, 1, 1) if it is one for all.

        Raises `InvalidInput` if the mask is not uint8 of the photo's size or protects nothing.
        """
        # at least one level, so that no photo is left unprotected
        budget = np.maximum(self.budget * perceptual_share(photo.pixels, self.perceptual), 1 / 255)
        if mask is None:
            return budget
        check_mask(photo.name, photo.size, mask)
        return budget * (mask >= 128)[..., None]


def check_mask(name: str, size: tuple[int, int], mask: np.ndarray) -> None:
    """Raise `InvalidInput` unless `mask` is uint8 (H, W), of the (width, height) of the photo `name`, and protects something."""
    width, height = size
    if mask.dtype != np.uint8 or mask.shape != (height, width):
        raise InvalidInput(
            f"expected a mask for {name!r} of type uint8 and {height} x {width} (height x width), "
            f"got {mask.dtype} and {' x '.join(map(str, mask.shape))}"
        )
    if not (mask >= 128).any():
        raise InvalidInput(f"expected the mask for {name!r} to mark a region (128 or more), got none")


def shrink(image: torch.Tensor, longest: int) -> torch.Tensor:
    """`image` (1, 3, H, W), made smaller if its longer side exceeds `longest` pixels (0 means never)."""
    height, width = image.shape[-2:]
    if not longest or max(height, width) <= longest:
        return image
    scale = longest / max(height, width)
    return resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
