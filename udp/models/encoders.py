"""Published autoencoders as targets of their own, without the models that they belong to.

A fine-tune sees photos through its model's encoder, so a perturbation can be made against the encoder of a model that
nobody here could run. The distilled ones named in `PUBLISHED` (Ollin Boer Bohan, MIT, about 5 MB each) speak the very
latents of Stable Diffusion 1.x and 2.x, SDXL, SD3 and FLUX.1, whose autoencoder is Z-Image's too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from udp.errors import InvalidInput
from udp.models.precision import encode_tiny

# Short name -> Hub id, and what is trained in that latent space.
PUBLISHED = {
    "taesd": ("madebyollin/taesd", "Stable Diffusion 1.x and 2.x"),
    "taesdxl": ("madebyollin/taesdxl", "SDXL"),
    "taesd3": ("madebyollin/taesd3", "SD3"),
    "taef1": ("madebyollin/taef1", "FLUX.1 and Z-Image"),
}
ALL_PUBLISHED = "published"
STUDENT = "student"  # ours: it speaks Stable Diffusion 1.x's latents and is here without a network
STUDENT_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights" / "vae"
KINDS = ("AutoencoderTiny", "AutoencoderKL")
STRIDE = 8  # pixels a latent: every autoencoder of these families has it


@dataclass(frozen=True)
class Encoder:
    """An autoencoder's encoder: `encode` takes (N, 3, H, W) in [0, 1], H and W multiples of 8, to (N, C, H/8, W/8).

    Latents of different encoders have different spreads; divide a distance by the spread of the clean ones before
    adding it to another's.
    """

    name: str
    encode: Callable[[torch.Tensor], torch.Tensor]


def parse_encoders(text: str) -> tuple[str, ...]:
    """The names in "taesd, taef1" in order: short names, Hub ids or local folders; none for "off", all for "published".

    Raises `InvalidInput` for repeats.
    """
    parts = [part for part in (part.strip() for part in text.split(",")) if part]
    if parts == ["off"]:
        return ()
    names = tuple(name for part in parts for name in (PUBLISHED if part == ALL_PUBLISHED else (part,)))
    if len(set(names)) < len(names) or "off" in names:
        raise InvalidInput(f"expected off, or every encoder once, got {text!r}")
    return names


@functools.lru_cache(maxsize=8)
def load_encoder(name: str, device: str = "cpu") -> Encoder:
    """A published autoencoder's encoder by a name that `load_autoencoder` takes, on `device`.

    The pixels meet float32 weights: in bfloat16, those near 1 would move by steps as large as the perturbations. A tiny
    one's other layers compute in bfloat16 where the processor has units for it, in about two thirds of the time. Raises
    `ModelUnavailable` with the reason.
    """
    from diffusers import AutoencoderTiny

    model = load_autoencoder(name).to(device, memory_format=torch.channels_last)

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        if isinstance(model, AutoencoderTiny):
            return encode_tiny(model, pixels.to(device))
        return model.encode(pixels.to(device) * 2 - 1).latent_dist.mean

    return Encoder(name, encode)


def load_autoencoder(name: str) -> torch.nn.Module:
    """A frozen `AutoencoderTiny` or `AutoencoderKL` in float32, on the CPU, in diffusers format, from safetensors only.

    By a short name of `PUBLISHED`, a Hub id or a local folder; `STUDENT` is the embedded one. Raises `ModelUnavailable`
    with the reason.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny

    from udp.errors import ModelUnavailable
    from udp.models.quiet import quietly
    from udp.models.unavailable import explain

    source = str(STUDENT_WEIGHTS if name == STUDENT else Path(PUBLISHED.get(name, (name,))[0]).expanduser())
    kinds = dict(zip(KINDS, (AutoencoderTiny, AutoencoderKL), strict=True))
    try:
        kind = AutoencoderTiny.load_config(source).get("_class_name", "none")
        if kind not in kinds:
            raise ModelUnavailable(f"expected an autoencoder ({', '.join(kinds)}) in {name!r}, got {kind}")
        with quietly() if name == STUDENT else nullcontext():
            model = kinds[kind].from_pretrained(
                source, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
    except (OSError, ValueError) as error:
        raise ModelUnavailable(explain(name, source, error, "autoencoder", "config.json", tuple(PUBLISHED))) from error
    return model.float().requires_grad_(False).eval()


def load_encoders(names: Sequence[str], device: str = "cpu") -> list[Encoder]:
    """`load_encoder` for each name."""
    return [load_encoder(name, device) for name in names]
