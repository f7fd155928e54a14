"""An imitator who trains against protections: adapters on the autoencoder, then DreamBooth (CAT, Peng et al. 2025, arXiv 2502.07225).

Protections of latent models work by moving latents far from what the decoder can show. Here the autoencoder first learns, in
adapters on all of its layers, to give back the found photos as they are; the fine-tune then sees latents that mean what is
in them, and pictures are decoded by what was learned. As there, the loss is the squared error of pixels. Rank and steps are
ours and fewer than in the authors' runs (128 and 10,000): what holds against this imitator may not hold against theirs.

What a network knows of the clean photos is measured in the base model's latents, as of any other arm; see `seen_through`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from udp.imitation.recipes.base import evenly_drawn
from udp.imitation.recipes.dreambooth import DreamBooth
from udp.models.adapters import adapters, add_adapters, fold_adapters
from udp.models.base import DiffusionModel
from udp.models.training import Trainer, TrainingSettings
from udp.progress import OnProgress, Progress, Stage
from udp.settings import BySize, setting

# Of one step of the autoencoder, in steps of the network: measured on the embedded model (1.1 and .1 s of one core, busy).
SIGHT_STEP = 11


@dataclass(frozen=True)
class CAT(DreamBooth):
    """DreamBooth through an autoencoder that has learned the photos. For models with an autoencoder only."""

    autoencoder_steps: int = setting(400, "steps in which the autoencoder learns the photos first", 10, 4000, 10)
    autoencoder_learning_rate: float | None = setting(BySize(2e-3, 1e-4), "their AdamW learning rate", 1e-6, 1e-2, 1e-6)
    autoencoder_rank: int = setting(4, "rank of the autoencoder's adapters", 1, 64, 1)

    @property
    def arm_steps(self) -> int:
        """See `Recipe.arm_steps`: a step through encoder and decoder, both ways, is worth several of the network."""
        return self.steps + SIGHT_STEP * self.autoencoder_steps

    name: ClassVar[str] = "cat"
    title: ClassVar[str] = "DreamBooth, autoencoder adapted first (CAT)"
    reference: ClassVar[str] = "arXiv 2502.07225"

    def check_prompts(self, model: DiffusionModel, instance_prompt: str, prompt: str) -> None:
        """See `Recipe.check_prompts`; and that there is an autoencoder."""
        super().check_prompts(model, instance_prompt, prompt)
        model.check_autoencoder()

    def sight(self, model: DiffusionModel, squares: torch.Tensor, seed: int, on_progress: OnProgress) -> DiffusionModel:
        """See `Recipe.sight`. Raises `InvalidInput` for a model of pixels."""
        own = model.with_own_autoencoder()
        layers = [
            name for name, layer in own.vae.named_modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))
        ]
        add_adapters(own.vae, layers, self.autoencoder_rank, seed)
        generator = torch.Generator().manual_seed(seed)

        def error(step: int) -> torch.Tensor:
            pixels = squares[evenly_drawn(len(squares), self.batch_size, generator)]
            return torch.nn.functional.mse_loss(own.decode(own.encode(pixels)), pixels)

        trainer = Trainer(
            adapters(own.vae), TrainingSettings(self.autoencoder_learning_rate, schedule="cosine", warmup=0.05)
        )
        trainer.run(
            error,
            self.autoencoder_steps,
            lambda step, value: on_progress(Progress(Stage.ADAPTING, step, self.autoencoder_steps)),
        )
        fold_adapters(own.vae)
        own.vae.requires_grad_(False).eval()
        return own
