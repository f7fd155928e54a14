"""A single checkpoint as people pass it on: a small model's weights under the names of CompVis's code, with its extras."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def single_checkpoint(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of `folder`, a Stable Diffusion 1 of two resolutions as `tests.families.sd1` builds it."""
    found = {f"model.diffusion_model.{key}": value for key, value in _unet(folder / "unet")}
    found |= {f"first_stage_model.{key}": value for key, value in _autoencoder(folder / "vae")}
    for key, value in load_file(next((folder / "text_encoder").glob("*.safetensors"))).items():
        inner = key if key.startswith("text_model.") else f"text_model.{key}"
        found[f"cond_stage_model.transformer.{inner}"] = value
    extras = {"alphas_cumprod": torch.rand(1000), "betas": torch.rand(1000), "model_ema.decay": torch.tensor(0.99)}
    return {**{key: value.contiguous().clone() for key, value in found.items()}, **extras}


def _unet(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    weights = load_file(next(folder.glob("*.safetensors")))
    layers = 1 + max(int(found[1]) for key in weights if (found := re.match(r"down_blocks\.0\.resnets\.(\d+)", key)))
    blocks = 1 + max(int(found[1]) for key in weights if (found := re.match(r"down_blocks\.(\d+)", key)))
    attends = {int(found[1]) for key in weights if (found := re.match(r"up_blocks\.(\d+)\.attentions", key))}
    names = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    for block in range(blocks):
        for layer in range(layers + 1):
            at, above = block * (layers + 1) + layer + 1, block * (layers + 1) + layer
            names[f"down_blocks.{block}.resnets.{layer}"] = f"input_blocks.{at}.0"
            names[f"down_blocks.{block}.attentions.{layer}"] = f"input_blocks.{at}.1"
            names[f"up_blocks.{block}.resnets.{layer}"] = f"output_blocks.{above}.0"
            names[f"up_blocks.{block}.attentions.{layer}"] = f"output_blocks.{above}.1"
        names[f"down_blocks.{block}.downsamplers.0.conv"] = f"input_blocks.{(block + 1) * (layers + 1)}.0.op"
        last = block * (layers + 1) + layers
        names[f"up_blocks.{block}.upsamplers.0.conv"] = f"output_blocks.{last}.{2 if block in attends else 1}.conv"
    for key, value in weights.items():
        place = max((name for name in names if key.startswith(f"{name}.")), key=len)
        inner = key.removeprefix(f"{place}.")
        if "resnets" in place:
            first, _, rest = inner.partition(".")
            inner = f"{RESNET[first]}.{rest}"
        yield f"{names[place]}.{inner}", value


def _autoencoder(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    weights = load_file(next(folder.glob("*.safetensors")))
    top = max(int(found[1]) for key in weights if (found := re.match(r"encoder\.down_blocks\.(\d+)", key)))
    for key, value in weights.items():
        name = re.sub(r"encoder\.down_blocks\.(\d+)\.resnets\.(\d+)", r"encoder.down.\1.block.\2", key)
        name = re.sub(r"encoder\.down_blocks\.(\d+)\.downsamplers\.0", r"encoder.down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d+)\.resnets", lambda m: f"up.{top - int(m[1])}.block", name)
        name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{top - int(m[1])}.upsample", name)
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        if "attn_1" in name:
            for ours, theirs in ATTENTION.items():
                name = name.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
            value = value[..., None, None] if value.ndim == 2 else value
        yield name, value
