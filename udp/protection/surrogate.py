"""What methods with a surrogate share: a U-Net that is trained as an imitator would train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from udp.models.adapters import RANK, adapters, add_adapters
from udp.models.base import DiffusionModel
from udp.models.loss import DenoisingLoss
from udp.models.training import Trainer, TrainingSettings
from udp.progress import Stage
from udp.protection.denoising_method import DenoisingMethod
from udp.protection.pgd import PGDSettings
from udp.protection.pgd_method import Reporter, Run
from udp.settings import BySize, setting

SURROGATES = ("full", "adapters")
ON_ADAPTERS = ("surrogate", "adapters")  # the setting and the choice that call for another learning rate


@dataclass(frozen=True)
class SurrogateMethod(DenoisingMethod):
    """A denoising method against a U-Net that is trained, in float32 so that small steps are not lost.

    `surrogate` "full" trains every weight of a copy, as DreamBooth would. "adapters" trains what LoRA would, on the base
    model's own frozen weights: no second copy of them, and no gradients or optimiser state for them.

    What a surrogate learns with is published for Anti-DreamBooth alone (arXiv 2303.15433): 5e-7 for Stable Diffusion, over
    150 to 1,000 steps. Ours takes tens of steps, and 5e-6, the imitator's own rate in DreamBooth. In a small model either
    moves nothing within a few steps. Adapters learn at the imitator's own rate in LoRA; on the embedded model their loss
    then falls about as fast as that of a full copy.
    """

    surrogate: str | None = setting(
        BySize("full", "full"), "what a surrogate trains: a copy's every weight, or adapters as LoRA does, in far less memory, "
        "which is what SD3, FLUX and Z-Image get unless told otherwise", choices=SURROGATES,
    )  # fmt: skip
    surrogate_steps: int = setting(4, "surrogate training steps", 0, 1000, 1)
    surrogate_learning_rate: float | None = setting(
        BySize(1e-4, 5e-6, (*ON_ADAPTERS, BySize(4e-3, 1e-4))), "AdamW learning rate of the surrogate", 1e-7, 1e-2, 1e-7
    )

    def attacked_network(self, model: DiffusionModel, generator: torch.Generator) -> torch.nn.Module:
        """See `PGDMethod.attacked_network`: what an untrained surrogate is."""
        if self.surrogate == "full":
            return model.copy_network()
        network = model.copy_network(trainable=False)
        add_adapters(
            network, model.adapter_layers("wide"), RANK, seed=int(torch.randint(2**31, (), generator=generator))
        )
        return network

    @property
    def loop_steps(self) -> int:
        """See `PGDMethod.loop_steps`."""
        return self.rounds * (self.surrogate_steps + self.pgd_steps)

    def learned(self, network: torch.nn.Module) -> list[torch.nn.Parameter]:
        """What the surrogate `network` learns in: every weight, or its adapters'."""
        return list(network.parameters()) if self.surrogate == "full" else adapters(network)

    def trainer(self, network: torch.nn.Module) -> Trainer:
        """A fresh trainer of what the surrogate `network` learns in."""
        learned = [parameter.requires_grad_(True) for parameter in self.learned(network)]
        return Trainer(learned, TrainingSettings(self.surrogate_learning_rate))

    def learn(self, trainer: Trainer, step_loss: Callable[[int], torch.Tensor], report: Reporter) -> None:
        """Descend `step_loss` for `surrogate_steps`.

        The surrogate is frozen afterwards: the images' gradient must not also be computed for its weights.
        """
        for parameter in trainer.parameters:
            parameter.requires_grad_(True)
        trainer.run(step_loss, self.surrogate_steps, report(Stage.LEARNING))
        for parameter in trainer.parameters:
            parameter.requires_grad_(False)

    def batch_loss(
        self, run: Run, loss: DenoisingLoss, network: torch.nn.Module, photo: Callable[[int], torch.Tensor]
    ) -> Callable[[int], torch.Tensor]:
        """What `network` descends: `loss` on a random batch of `photo(index)`, each (1, 3, H, W) as it now is."""

        def step_loss(step: int) -> torch.Tensor:
            chosen = torch.randperm(len(run.images), generator=run.generator)[: PGDSettings.group_size].tolist()
            with torch.no_grad():
                latents = run.look(len(chosen))([photo(index) for index in chosen])
            return loss.told(run.text_of([run.images[index] for index in chosen]))(network, latents, run.generator)

        return step_loss
