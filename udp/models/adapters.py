"""Low-rank adapters on a frozen network (LoRA, Hu et al. 2021, arXiv 2106.09685), with peft.

An imitator's fine-tune and a surrogate that stands in for one put them in the same places.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from udp.errors import InvalidInput
from udp.models.seeded import seeded

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
# The embedded model has little attention, so its adapters reach the convolutions and feed-forward layers too.
WIDE = (
    *ATTENTION,
    "conv1",
    "conv2",
    "conv_shortcut",
    "conv_in",
    "conv_out",
    "proj_in",
    "proj_out",
    "ff.net.0.proj",
    "ff.net.2",
)
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj")
RANK = 16
# Every linear layer of the attention blocks, as kohya's trainer adapts them.
LINEAR = (*ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
SCOPES = ("wide", "attention", "linear")


def add_adapters(module: torch.nn.Module, targets: Sequence[str], rank: int, seed: int, alpha: float = 0.0) -> None:
    """Put an adapter on every layer of `module` that is named in `targets`; they alone get `requires_grad`.

    What they add is scaled by `alpha` / `rank`, by 1 if `alpha` is 0. They are float32 whatever the layer's dtype, and begin at zero effect. Raises `InvalidInput` if there is no such layer.
    """
    from peft import LoraConfig, inject_adapter_in_model  # seconds to import, and few runs need it

    config = LoraConfig(r=rank, lora_alpha=alpha or rank, init_lora_weights="gaussian", target_modules=list(targets))
    with seeded(seed):
        try:
            inject_adapter_in_model(config, module)
        except ValueError as error:
            kind = type(module).__name__
            raise InvalidInput(f"expected layers named {', '.join(targets)} in {kind}, got none") from error
    for parameter in adapters(module):  # on a bfloat16 base they are created in bfloat16, where they cannot move
        parameter.data = parameter.data.float()


def fold_adapters(module: torch.nn.Module) -> None:
    """Put what the adapters of `module` learned into the weights that they adapt, and take the adapters away."""
    for parent in [*module.modules()]:
        for name, child in [*parent.named_children()]:
            if hasattr(child, "get_delta_weight"):
                child.merge()
                setattr(parent, name, child.get_base_layer())


def adapters(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The parameters of the adapters of `module`, in a fixed order."""
    return [parameter for name, parameter in module.named_parameters() if ".lora_" in name]
