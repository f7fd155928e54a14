"""What DreamBooth and LoRA share: prior preservation, and a text encoder that may learn too."""

from __future__ import annotations

import abc
import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch

from udp.imitation.recipes.base import Prior, Recipe
from udp.models.base import DiffusionModel
from udp.models.recent import recall
from udp.models.sampling import generate, own_sampling
from udp.progress import OnProgress
from udp.settings import BySize, setting
from udp.tensors import to_tensor

# Class images of a small model, unguided: they stand for the predictions that guidance later compares with.
CLASS_SAMPLING = 20, 1.0
CLASS_BATCH = 16  # as many of them at a time
# Class images depend on the base model, the prompt and the seed alone: every arm of a trial uses the same ones.
MOST_KEPT = 4
_MAKING = threading.Lock()
_KEPT: WeakKeyDictionary[DiffusionModel, dict[tuple, torch.Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True)
class SubjectRecipe(Recipe):
    """Weights learn the subject, with or without prior preservation (Ruiz et al. 2023, arXiv 2208.12242, eq. 2).

    It keeps what the model makes of the class prompt as it was; of the empty one, that is what classifier-free guidance
    compares with. Guidance then multiplies all that the photos taught, a perturbation too. Without it a small model
    forgets all but the subject, guidance does next to nothing, and pictures show a perturbation no stronger than the photos
    did. The paper's weight is 1, with as many class images as photos in a step; on the embedded model a fifth, with one to
    four photos, shows the subject better, and 64 class images better than 16, which it learns by heart.
    """

    prior_preservation: str | None = setting(
        BySize("no", "no"), "keep what the model makes of the class prompt", choices=("yes", "no")
    )
    prior_weight: float | None = setting(BySize(0.2, 1.0), "weight of the class images' loss", 0, 2, 0.1)
    class_prompt: str = setting(
        "", "prompt of the class images, such as a photo of a dog; empty keeps what no prompt gives"
    )
    class_images: int = setting(64, "class images that the base model generates", 1, 200, 1)
    class_batch_size: int = setting(1, "class images in a training step", 1, 16, 1)
    train_text_encoder: bool = setting(False, "train the text encoder as well")

    @abc.abstractmethod
    def open_text_encoder(self, encoder: torch.nn.Module, seed: int) -> None:
        """Make the parameters of `encoder`, already a frozen copy, trainable that this recipe trains."""

    def words(self, model: DiffusionModel, prompt: str, seed: int) -> DiffusionModel:
        """See `Recipe.words`. Raises `InvalidInput` if a text encoder is to be trained where there is none."""
        if not self.train_text_encoder:
            return model
        own = model.with_own_text()
        for encoder in own.text_encoders:
            self.open_text_encoder(encoder, seed)
        return own

    def check_prompts(self, model: DiffusionModel, instance_prompt: str, prompt: str) -> None:
        """See `Recipe.check_prompts`; of the class prompt too, and that there is a text encoder if one is to be trained."""
        super().check_prompts(model, instance_prompt, prompt)
        model.check_prompt(self.class_prompt)
        if self.train_text_encoder:
            model.check_own_text()

    def prior(self, model: DiffusionModel, seed: int, on_progress: OnProgress) -> Prior | None:
        """See `Recipe.prior`: pictures that the base model generates for the class prompt.

        A model without prompts has no classes, and nothing to preserve.
        """
        if self.prior_preservation != "yes" or not model.takes_prompts:
            return None
        key = (self.class_prompt, self.class_images, seed)
        with _MAKING:  # arms that run at the same time wait for the first one's
            latents = recall(
                _KEPT.setdefault(model, {}), key, lambda: self._class_latents(model, seed, on_progress), MOST_KEPT
            )
        return Prior(latents, self.class_prompt, self.prior_weight, self.class_batch_size)

    def sampling_before(self, small: bool, steps: int) -> int:
        """See `Recipe.sampling_before`: those of the class images, a batch at a time."""
        if self.prior_preservation != "yes":
            return 0
        return -(-self.class_images // self._class_batch(small)) * (CLASS_SAMPLING[0] if small else steps)

    def _class_batch(self, small: bool) -> int:
        return CLASS_BATCH if small else self.batch_size

    @torch.no_grad()
    def _class_latents(self, model: DiffusionModel, seed: int, on_progress: OnProgress) -> torch.Tensor:
        # Seeds far from those that a trial samples with: the class images are no part of what it shows.
        seeds = [10_000 * (seed + 1) + index for index in range(self.class_images)]
        steps, guidance = CLASS_SAMPLING if model.small else own_sampling(model.small, model.usual)
        size = self._class_batch(model.small)
        batches = [seeds[start : start + size] for start in range(0, len(seeds), size)]
        images = [
            image
            for batch in batches
            for image in generate(model, model.network, self.class_prompt, batch, steps, guidance, on_progress)
        ]
        return model.encode(model.prepare([to_tensor(image)[None] for image in images]))
