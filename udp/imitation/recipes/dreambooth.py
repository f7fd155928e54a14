"""DreamBooth: every weight of the U-Net learns the subject (Ruiz et al. 2023, arXiv 2208.12242)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.imitation.recipes.base import Prior, relative_change
from udp.imitation.recipes.subject import SubjectRecipe
from udp.models.base import DiffusionModel
from udp.models.seeded import seeded
from udp.progress import OnProgress
from udp.settings import BySize, preset, setting


@dataclass(frozen=True)
class DreamBooth(SubjectRecipe):
    """Full fine-tune.

    The published learning rate, 5e-6, is that of the paper and of the public trainer of diffusers for Stable Diffusion;
    from random weights a large model needs more. On a model without prompts this is continued training of a DDPM, and with `from_scratch` the paper's first setting.
    """

    learning_rate: float | None = preset(
        SubjectRecipe, "learning_rate", BySize(1e-3, 5e-6, ("from_scratch", True, BySize(1e-3, 5e-6)), mini=3e-3)
    )
    batch_size: int | None = preset(
        SubjectRecipe, "batch_size", BySize(8, 4, ("from_scratch", True, BySize(8, 4)), mini=4)
    )
    from_scratch: bool = setting(False, "start from random weights instead of the base model's")

    name: ClassVar[str] = "dreambooth"
    title: ClassVar[str] = "DreamBooth (all weights)"
    reference: ClassVar[str] = "arXiv 2208.12242"

    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        """See `Recipe.trainable`."""
        if not self.from_scratch:
            return model.copy_network()
        with seeded(seed):
            network = type(model.network).from_config(model.network.config)
        return network.to(model.device).eval()

    def prior(self, model: DiffusionModel, seed: int, on_progress: OnProgress) -> Prior | None:
        """See `SubjectRecipe.prior`; random weights have nothing to preserve."""
        return None if self.from_scratch else super().prior(model, seed, on_progress)

    def open_text_encoder(self, encoder: torch.nn.Module, seed: int) -> None:
        """See `SubjectRecipe.open_text_encoder`: all of its weights."""
        encoder.requires_grad_(True)

    def weight_change(self, model: DiffusionModel, network: torch.nn.Module, words: DiffusionModel) -> float:
        """See `FineTuned.weight_change`."""
        return relative_change([*model.network.parameters()], [*network.parameters()])
