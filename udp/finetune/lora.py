"""LoRA: low-rank adapters on the U-Net's attention and convolutions (Hu et al. 2021, arXiv 2106.09685), with peft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from peft import LoraConfig, inject_adapter_in_model

from udp.errors import InvalidInput
from udp.finetune.base import Recipe
from udp.models import DiffusionModel
from udp.types import setting

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
# The embedded model has little attention, so its adapters reach the convolutions and feed-forward layers too.
WIDE = (*ATTENTION, "conv1", "conv2", "conv_shortcut", "conv_in", "conv_out", "proj_in", "proj_out", "ff.net.0.proj",
        "ff.net.2")  # fmt: skip


@dataclass(frozen=True)
class LoRA(Recipe):
    """Adapters only; the base weights stay frozen. `scope` "attention" is the usual choice for Stable Diffusion."""

    learning_rate: float = setting(4e-3, "AdamW learning rate", 1e-7, 1e-2, 1e-7)
    rank: int = setting(16, "rank of the adapters", 1, 64, 1)
    scope: str = setting("wide", "layers with an adapter", choices=("wide", "attention"))

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "LoRA (adapters)"
    reference: ClassVar[str] = "arXiv 2106.09685"

    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        """See `Recipe.trainable`."""
        unet = model.copy_unet().requires_grad_(False)
        targets = list(WIDE if self.scope == "wide" else ATTENTION)
        # peft draws the adapters' start from torch's global state: fork it, so that the seed decides and nobody else
        # sees the change.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = LoraConfig(r=self.rank, lora_alpha=self.rank, init_lora_weights="gaussian", target_modules=targets)
            try:
                inject_adapter_in_model(config, unet)
            except ValueError as error:
                message = f"expected layers named {', '.join(targets)} in the U-Net of {model.name!r}, got none"
                raise InvalidInput(message) from error
        return unet

    def weight_change(self, model: DiffusionModel, unet: torch.nn.Module) -> float:
        """See `FineTuned.weight_change`."""
        moved = total = 0.0
        for module in unet.modules():
            if hasattr(module, "lora_A") and hasattr(module, "get_delta_weight"):
                moved += float(module.get_delta_weight("default").detach().square().sum())
                total += float(module.base_layer.weight.detach().square().sum())
        return (moved / total) ** 0.5 if total else 0.0
