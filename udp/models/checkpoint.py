"""What lies in a model's folder or file, looked at before it is loaded: the libraries' own errors name none of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from udp.decoding import LFS_POINTER
from udp.errors import ModelUnavailable

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth", "*.pkl")
PICKLE_SUFFIXES = frozenset(pattern[1:] for pattern in PICKLES)
AGAIN = "download it again"


def check_folder(name: str, folder: Path, without: Mapping[str, Any]) -> str | None:
    """Look at every part that `model_index.json` lists but those in `without`.

    Returns the variant to load ("fp16") where a part has no plain weights. Raises `ModelUnavailable` that names the part and
    what is wrong with it; says nothing of an index that cannot be read, which loading does.
    """
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        parts = [key for key, value in index.items() if isinstance(value, list) and len(value) == 2 and value[0]]
    except (OSError, ValueError, AttributeError):
        return None
    variants: set[str] = set()
    for part in (part for part in parts if part not in without):
        place = folder / part
        if not place.is_dir():
            raise ModelUnavailable(
                f"expected a folder {part!r} in {name!r}, which its model_index.json lists, got none: copy the whole model"
            )
        if part.startswith("tokenizer"):
            if not any((place / file).is_file() for file in TOKENIZER_FILES):
                raise ModelUnavailable(
                    f"expected the tokenizer's words in {part!r} of {name!r} ({', '.join(TOKENIZER_FILES[:2])}), got none: "
                    "copy the whole model"
                )
        elif (place / "config.json").is_file():
            variants.add(_check_weights(name, place))
    found = variants - {""}
    if len(found) > 1:
        raise ModelUnavailable(f"expected weights of one variant in {name!r}, got {', '.join(sorted(found))}")
    return found.pop() if found else None


def _check_weights(name: str, place: Path) -> str:
    """The variant of a part's weights, "" for plain ones."""
    files = sorted(place.glob("*.safetensors"))
    if not files:
        pickles = sorted(path.name for pattern in PICKLES for path in place.glob(pattern))
        got = f"{pickles[0]}: pickles can run code, so convert them" if pickles else f"none: {AGAIN}"
        raise ModelUnavailable(f"expected safetensors weights in {place.name!r} of {name!r}, got {got}")
    for path in files:
        check_weights(name, path)
    for index in place.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelUnavailable(f"expected {place.name}/{index.name} of {name!r} to list shards: {AGAIN}") from error
        if missing := sorted(shards - {path.name for path in files}):
            raise ModelUnavailable(f"expected {place.name}/{missing[0]} in {name!r}, which lists it, got none: {AGAIN}")
    plain = [path for path in files if "." not in path.stem]
    return "" if plain else files[0].stem.split(".")[1].split("-")[0]


def check_weights(name: str, path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's tensors. Raises `ModelUnavailable` for a file that is no whole safetensors file."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
        if not pointer:
            with safe_open(path, "pt") as weights:
                return {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelUnavailable(
            f"expected {path.parent.name}/{path.name} of {name!r} to be a whole safetensors file, got one that is cut short or "
            f"damaged ({str(error).splitlines()[0]}): {AGAIN}"
        ) from error
    raise ModelUnavailable(
        f"expected weights in {path.parent.name}/{path.name} of {name!r}, got a Git LFS pointer: run `git lfs pull` there"
    )


def check_complete(name: str, folder: Path, modules: Mapping[str, torch.nn.Module]) -> None:
    """Raise `ModelUnavailable` if a part's files hold fewer numbers than the part has: the rest would be random.

    By number, because names differ between versions of the libraries, which translate them.
    """
    for part, module in modules.items():
        files = [path for path in (folder / part).glob("*.safetensors") if "." not in path.stem]
        files = files or list((folder / part).glob("*.safetensors"))
        held = sum(math.prod(shape) for path in files for shape in check_weights(name, path).values())
        needed = sum(parameter.numel() for parameter in module.parameters())
        if files and held < needed:
            raise ModelUnavailable(
                f"expected the weights in {part!r} of {name!r} to be all that its config.json describes, got {held:,} of "
                f"{needed:,} numbers: the two do not belong together"
            )


def kind_of_file(name: str, path: Path) -> str:
    """The pipeline that a single checkpoint file is of. Raises `ModelUnavailable` for another kind of file."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise ModelUnavailable(f"expected safetensors weights, got {name!r}: pickles can run code, so convert it")
    if path.suffix.lower() != ".safetensors":
        raise ModelUnavailable(f"expected a diffusers folder or a .safetensors checkpoint, got the file {name!r}")
    keys = check_weights(name, path)
    if any(key.startswith("conditioner.embedders.1.") for key in keys):
        return "StableDiffusionXLPipeline"
    if any(key.startswith("cond_stage_model.") for key in keys):
        return "StableDiffusionPipeline"
    raise ModelUnavailable(
        f"expected a whole checkpoint of Stable Diffusion 1, 2 or XL, got {name!r} with {len(keys)} tensors such as "
        f"{next(iter(keys), 'none')!r}: a LoRA or one part of a model is none"
    )
