"""What lies in a model's folder or file, looked at before it is loaded: the libraries' own errors name none of it."""

from __future__ import annotations

import inspect
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
INDEX = "model_index.json"
# Parts that have a configuration of another kind, and no weights.
DESCRIBING = frozenset({"feature_extractor", "image_processor"})
# What the libraries name their weights, by the library that `INDEX` gives for a part.
STEMS = {"diffusers": ("diffusion_pytorch_model",), "transformers": ("model",)}

# What a single file of a whole model has, by what its tensors' names begin with.
SINGLE = {
    "model.diffusion_model.": "a U-Net",
    "first_stage_model.": "an autoencoder",
    ("cond_stage_model.", "conditioner."): "a text encoder",
}
FIRST_LAYER = "model.diffusion_model.input_blocks.0.0.weight"


def check_folder(name: str, folder: Path, without: Mapping[str, Any]) -> str | None:
    """Look at every part that `model_index.json` lists but those in `without`.

    Returns the variant to load ("fp16") where a part has no plain weights. Raises `ModelUnavailable` that names the part and
    what is wrong with it.
    """
    index = read_object(name, folder / INDEX)
    parts = [key for key, value in index.items() if isinstance(value, list) and len(value) == 2 and value[0]]
    variants: set[str] = set()
    for part in (part for part in parts if part not in without):
        place = folder / part
        if not place.is_dir():
            raise ModelUnavailable(
                f"expected a folder {part!r} in {name!r}, which its model_index.json lists, got none: copy the whole model"
            )
        if part.startswith("tokenizer"):
            _check_tokenizer(name, place)
        elif part == "scheduler":
            read_object(name, place / "scheduler_config.json")
        elif part not in DESCRIBING:
            read_object(name, place / "config.json")
            variants.add(_check_weights(name, place, STEMS.get(str(index[part][0]), ("",))))
    found = variants - {""}
    if len(found) > 1:
        raise ModelUnavailable(f"expected weights of one variant in {name!r}, got {', '.join(sorted(found))}")
    return found.pop() if found else None


def check_listed(name: str, folder: Path, pipeline: type, without: Mapping[str, Any]) -> None:
    """Raise `ModelUnavailable` if the index in `folder` lacks a part that a `pipeline` is made of."""
    index = read_object(name, folder / INDEX)
    spare = {*getattr(pipeline, "_optional_components", ()), *without}
    asked = list(inspect.signature(pipeline.__init__).parameters.items())[1:]
    parts = [part for part, given in asked if given.default is inspect.Parameter.empty and part not in spare]
    if missing := [part for part in parts if not (index.get(part) or [None])[0]]:
        raise ModelUnavailable(
            f"expected {INDEX} of {name!r} to list {', '.join(parts)}, got it without {', '.join(missing)}: copy the whole model"
        )


def read_object(name: str, path: Path) -> dict[str, Any]:
    """A JSON object of the model `name`. Raises `ModelUnavailable` that names the file if it is absent or no such."""
    shown = path.name if path.name == INDEX else f"{path.parent.name}/{path.name}"
    try:
        content = path.read_text(encoding="utf-8")
        if content.encode().startswith(LFS_POINTER):
            raise _pointer(name, shown)
        found = json.loads(content)
    except FileNotFoundError:
        raise ModelUnavailable(f"expected {shown} in {name!r}, got none: copy the whole model") from None
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"expected {shown} of {name!r} to be JSON, got a file that is cut short or damaged ({error}): {AGAIN}"
        ) from error
    if not isinstance(found, dict):
        raise ModelUnavailable(
            f"expected {shown} of {name!r} to be a JSON object, got a {type(found).__name__}: {AGAIN}"
        )
    return found


def _pointer(name: str, shown: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"expected the content of {shown} of {name!r}, got a Git LFS pointer: run `git lfs pull` there"
    )


def _check_tokenizer(name: str, place: Path) -> None:
    held = [file for file in TOKENIZER_FILES if (place / file).is_file()]
    if not held:
        raise ModelUnavailable(
            f"expected the tokenizer's words in {place.name!r} of {name!r} ({', '.join(TOKENIZER_FILES[:2])}), got none: "
            "copy the whole model"
        )
    # A vocabulary alone does not say how its pieces are joined.
    if held == ["vocab.json"] and not (place / "merges.txt").is_file():
        raise ModelUnavailable(
            f"expected {place.name}/merges.txt beside vocab.json in {name!r}, got none: copy the whole model"
        )
    for path in sorted(place.glob("*.json")):
        read_object(name, path)


def _check_weights(name: str, place: Path, stems: tuple[str, ...]) -> str:
    """The variant of a part's weights, "" for plain ones; the names of those that the library reads begin with `stems`."""
    files = sorted(place.glob("*.safetensors"))
    if not files:
        pickles = sorted(path.name for pattern in PICKLES for path in place.glob(pattern))
        got = f"{pickles[0]}: pickles can run code, so convert them" if pickles else f"none: {AGAIN}"
        raise ModelUnavailable(f"expected safetensors weights in {place.name!r} of {name!r}, got {got}")
    for path in files:
        check_weights(name, path)
    own = [path for path in files if path.name.startswith(stems)]
    if not own:
        raise ModelUnavailable(
            f"expected {place.name}/{stems[0]}.safetensors in {name!r}, got {files[0].name} in its place: give it that name"
        )
    files = own
    if all("-of-" in path.stem for path in files) and not any(place.glob("*.safetensors.index*.json")):
        raise ModelUnavailable(
            f"expected {place.name}/{stems[0]}.safetensors.index.json in {name!r}, which says what lies in which shard, got "
            "none: copy the whole model"
        )
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
    raise _pointer(name, f"{path.parent.name}/{path.name}")


def check_complete(name: str, folder: Path, modules: Mapping[str, torch.nn.Module]) -> None:
    """Raise `ModelUnavailable` if a weight of a part is not from its files: the libraries draw it at random, or leave it out.

    By size, first and last number, because names differ between versions of the libraries, which translate them.
    """
    check_present(name, modules)
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
        ends = [found for path in files for found in _ends(path)]
        known = {dtype: {_mark(*found, dtype) for found in ends} for dtype in {p.dtype for p in module.parameters()}}
        lacking = [
            key
            for key, weight in module.named_parameters()
            if _mark(weight.numel(), weight.detach().flatten()[[0, -1]], weight.dtype) not in known[weight.dtype]
        ]
        if files and lacking:
            raise _strangers(name, part, lacking, len(list(module.parameters())))


def check_present(name: str, modules: Mapping[str, torch.nn.Module]) -> None:
    """Raise `ModelUnavailable` if the files left a weight without a value."""
    for part, module in modules.items():
        if lacking := [key for key, weight in module.named_parameters() if weight.is_meta]:
            raise _strangers(name, part, lacking, len(list(module.parameters())))


def _strangers(name: str, part: str, lacking: list[str], total: int) -> ModelUnavailable:
    return ModelUnavailable(
        f"expected a value for every weight of {part!r} in {name!r}, got none for {len(lacking)} of {total}, such as "
        f"{lacking[0]!r}: its weights and its configuration do not belong together"
    )


def _ends(path: Path) -> list[tuple[int, torch.Tensor]]:
    """The size of every tensor in a file, and its first and last number; no more of it is read."""
    found = []
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118
            shape = file.get_slice(key).get_shape()
            if 0 in shape:
                continue
            if not shape:
                found.append((1, file.get_tensor(key).flatten()[[0, 0]]))
                continue
            first, last = ([slice(at, at + 1) for at in place] for place in ([0] * len(shape), [n - 1 for n in shape]))
            both = [file.get_slice(key)[tuple(place)].flatten() for place in (first, last)]
            found.append((math.prod(shape), torch.cat(both)))
    return found


def _mark(size: int, ends: torch.Tensor, dtype: torch.dtype) -> tuple[int, str]:
    return size, repr(ends.to(dtype).tolist())  # as text, in which a NaN equals itself


def kind_of_file(name: str, path: Path) -> str:
    """The pipeline that a single checkpoint file is of. Raises `ModelUnavailable` for another kind of file."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise ModelUnavailable(f"expected safetensors weights, got {name!r}: pickles can run code, so convert it")
    if path.name == INDEX:
        raise ModelUnavailable(
            f"expected the folder of a diffusers model, got its {INDEX}: give the folder that it lies in"
        )
    if path.suffix != ".safetensors":  # which is what diffusers knows one by
        raise ModelUnavailable(
            f"expected a diffusers folder or a .safetensors checkpoint, got the file {name!r}: if it is one, call it "
            f"{path.stem}.safetensors"
        )
    keys = check_weights(name, path)
    lacking = [part for prefix, part in SINGLE.items() if not any(key.startswith(prefix) for key in keys)]
    if 0 < len(lacking) < len(SINGLE):
        raise ModelUnavailable(
            f"expected a whole checkpoint of Stable Diffusion 1, 2 or XL, got {name!r} without {' and '.join(lacking)}: get "
            "the file that has all parts in it"
        )
    channels = keys.get(FIRST_LAYER, (0, 4))[1]
    if channels != 4:
        raise ModelUnavailable(
            f"expected a checkpoint that makes pictures from text, got {name!r}, whose U-Net takes {channels} channels instead of "
            "4: one for inpainting or editing is another kind of model"
        )
    if any(key.startswith("conditioner.embedders.1.") for key in keys):
        return "StableDiffusionXLPipeline"
    if any(key.startswith("cond_stage_model.") for key in keys):
        return "StableDiffusionPipeline"
    if not lacking:
        raise ModelUnavailable(f"expected a base model of Stable Diffusion XL, got {name!r}, which is a refiner")
    raise ModelUnavailable(
        f"expected a whole checkpoint of Stable Diffusion 1, 2 or XL, got {name!r} with {len(keys)} tensors such as "
        f"{next(iter(keys), 'none')!r}: a LoRA or one part of a model is none"
    )
