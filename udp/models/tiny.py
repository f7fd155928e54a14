"""The tiny autoencoders' encoder, in bfloat16 where that is faster and does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:  # seconds to import: whoever has one has paid for it
    from diffusers import AutoencoderTiny


def computes_in_bfloat16(device: str) -> bool:
    """Whether `device` has units for bfloat16."""
    return device != "cpu" or torch.cpu._is_avx512_bf16_supported()


def encode_tiny(model: AutoencoderTiny, pixels: torch.Tensor) -> torch.Tensor:
    """What an `AutoencoderTiny` makes of (N, 3, H, W) in [0, 1], float32 (N, C, H/8, W/8), not scaled.

    Two thirds of the time in bfloat16, where there are units for it: all but the first layer, which meets the pixels.
    """
    first, *others = model.encoder.layers
    value = first(pixels.contiguous(memory_format=torch.channels_last))
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=computes_in_bfloat16(pixels.device.type)):
        for layer in others:
            value = layer(value)
    return value.float()
