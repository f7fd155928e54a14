"""What computes in bfloat16, and how: encoders behind their first layer, small networks in the layout that is fast there.

Near 1 the steps of bfloat16 are 1/256, as large as a PGD step; behind the first layer a perturbation is no longer small beside
what it was added to.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # seconds to import: whoever has one has paid for it
    from diffusers import AutoencoderKL, AutoencoderTiny, VQModel


STEP_BY_STEP_SIDE = 32  # at most a thousand tokens


def computes_in_bfloat16(device: str) -> bool:
    """Whether `device` has units for bfloat16."""
    return device != "cpu" or torch.cpu._is_avx512_bf16_supported()


def encode_tiny(model: AutoencoderTiny, pixels: torch.Tensor) -> torch.Tensor:
    """What an `AutoencoderTiny` makes of (N, 3, H, W) in [0, 1], float32 (N, C, H/8, W/8), not scaled.

    Two thirds of the time in bfloat16, where there are units for it.
    """
    first, *others = model.encoder.layers
    value = first(pixels.contiguous(memory_format=torch.channels_last))
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=computes_in_bfloat16(pixels.device.type)):
        for layer in others:
            value = layer(value)
    return value.float()


def encode_large(model: AutoencoderKL | VQModel, squares: torch.Tensor) -> Any:
    """What `model.encode` gives for (N, 3, H, W) in [-1, 1], in bfloat16 behind the first layer.

    The model is not changed, because others may be using it: what runs is a shallow copy with another first layer.
    """
    exact = _with(model, encoder=_with(model.encoder, conv_in=_Exact(model.encoder.conv_in)))
    with torch.autocast(squares.device.type, torch.bfloat16):
        return exact.encode(squares)


def lay_out_small(network: torch.nn.Module) -> None:
    """Make a small network of diffusers fast on a CPU that computes in bfloat16; it gives what it gave, but for rounding.

    torch 2.13 has two slow kernels there. A group norm's backward pass in channels_last takes up to ten times as long as in the
    usual layout, and flash attention over some dozens of tokens five times as long as attention step by step. At the size of
    Stable Diffusion neither layout wins, and attention step by step over so many tokens would need gigabytes: it is left where
    latents have more than `STEP_BY_STEP_SIDE` rows.
    """
    from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0

    network.to(memory_format=torch.contiguous_format)
    side = network.config.get("sample_size")
    if not isinstance(side, int) or side > STEP_BY_STEP_SIDE:
        return
    for module in network.modules():
        # The plain processor knows no norms of queries and keys.
        plain = isinstance(module, Attention) and module.norm_q is None and module.norm_k is None
        if plain and isinstance(module.processor, AttnProcessor2_0):
            module.set_processor(AttnProcessor())


class _Exact(torch.nn.Module):
    """A layer in float32, whatever autocast is around it."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """What the layer makes of `value`."""
        with torch.autocast(value.device.type, enabled=False):
            return self.layer(value.float())


def _with(module: torch.nn.Module, **parts: torch.nn.Module) -> torch.nn.Module:
    """A shallow copy with other parts of these names; all else is shared."""
    other = copy.copy(module)
    other._modules = {**module._modules, **parts}
    return other
