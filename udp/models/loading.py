"""Loading a model by its row's name, from a local diffusers folder or from the Hub. A new family is a line in `FAMILIES`."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline
from safetensors import SafetensorError, safe_open

from udp.errors import InvalidInput, ModelUnavailable, UDPError
from udp.models.autoencoder import AutoencoderAlone, stands_alone
from udp.models.base import SMALL_NETWORK, DiffusionModel
from udp.models.checkpoint import (
    INDEX,
    PICKLE_SUFFIXES,
    check_complete,
    check_folder,
    check_listed,
    check_present,
    kind_of_file,
    read_object,
)
from udp.models.encoders import PUBLISHED, STUDENT, load_autoencoder
from udp.models.fitting import check_fits
from udp.models.flux import Flux
from udp.models.latent import StableDiffusion
from udp.models.memory import MemoryOptions, apply, default_options, enough_memory
from udp.models.precision import lay_out_small
from udp.models.quiet import quietly
from udp.models.registry import MODELS, available_models
from udp.models.sd3 import StableDiffusion3
from udp.models.sdxl import StableDiffusionXL
from udp.models.unavailable import explain, first_line
from udp.models.unconditional import PixelDiffusion, UnconditionalLatentDiffusion
from udp.models.z_image import ZImage

FAMILIES: dict[str, type[DiffusionModel]] = {
    pipeline: family
    for family in (
        StableDiffusion, StableDiffusionXL, StableDiffusion3, Flux, ZImage, PixelDiffusion, UnconditionalLatentDiffusion,
    )
    for pipeline in family.pipelines
}  # fmt: skip
# Parts that only filter or describe finished pictures.
WITHOUT = {
    "StableDiffusionPipeline": {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    "StableDiffusionXLPipeline": {"feature_extractor": None, "add_watermarker": False},
}
DTYPES = (torch.float32, torch.bfloat16)


@functools.lru_cache(maxsize=2)
def load_model(
    name: str = "mini", dtype: torch.dtype | None = None, options: MemoryOptions | None = None
) -> DiffusionModel:
    """A model by its row's name, a local diffusers folder or a Hub id, on the GPU if there is one.

    A published autoencoder by its short name, or a folder that holds nothing else, is an `AutoencoderAlone`.

    `dtype`, float32 or bfloat16, is that of the frozen base (default: float32, but what a family is published in on a GPU);
    what a surrogate or fine-tune trains is float32 whatever it is. float16 is refused: small gradients vanish in it, and the
    sign of zero protects nothing. `options` trade speed for
    memory (default: what suits the device, see `udp.models.memory`). Weights come from safetensors only and no code of
    the repository runs. Raises `InvalidInput` for another `dtype`, and `ModelUnavailable` with the reason: unknown,
    offline, gated, a kind of pipeline we do not know, or weights that are pickles; `OutOfMemory`, before a download if the
    row's arithmetic says so.
    """
    if dtype is not None and dtype not in DTYPES:
        raise InvalidInput(f"expected float32 or bfloat16 for {name!r}, got {dtype}: small gradients would vanish")
    row = MODELS.get(name)
    source, revision = (row.source, row.revision) if row else (place_of(name), None)
    local = Path(source)
    if not name.strip() or not _can_be_looked_for(local):
        raise ModelUnavailable(f"expected the name of a model, a folder or a Hub id, got {name[:80]!r}")
    is_file = local.suffix.lower() in {".safetensors", *PICKLE_SUFFIXES}
    if not local.exists() and (local.is_absolute() or name.startswith(("./", "../", "~")) or (is_file and not row)):
        kind = "checkpoint file" if is_file else "diffusers folder"
        raise ModelUnavailable(f"expected a {kind} {local.name!r} for {name!r}, got no such {kind.split()[1]}")
    if not (
        row or stands_alone(name) or local.exists() or "/" in name
    ):  # no Hub id: asking the network takes half a minute
        known = available_models()
        near = difflib.get_close_matches(name, [*known, *PUBLISHED], 2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ModelUnavailable(
            f"expected one of {', '.join(known)}, an autoencoder alone ({', '.join((STUDENT, *PUBLISHED))}), a local diffusers folder or a "
            f"Hub id OWNER/NAME, got {name!r}{hint}"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if stands_alone(name):
        return AutoencoderAlone(name, load_autoencoder(name).to(device, memory_format=torch.channels_last))
    if row:
        check_fits(row, device, dtype)
    single = kind_of_file(name, local) if local.is_file() else ""
    try:
        if local.is_dir() and (local / INDEX).is_file():
            read_object(name, local / INDEX)
        listed = {} if single else DiffusionPipeline.load_config(source, revision=revision)
        kind = single or listed.get("_class_name")
        kind = kind if isinstance(kind, str) else "no pipeline class"
        family = FAMILIES.get(kind)
        if family is None:
            known = ", ".join(FAMILIES)
            raise ModelUnavailable(f"expected a pipeline of one of the kinds {known}, got {kind} in {name!r}")
        dtype = dtype or family.usual_dtype(device)
        without = {**WITHOUT.get(kind, {}), **_left_out(family, listed)}
        variant = None
        hushed = quietly if row and row.embedded else nullcontext
        if local.is_dir():
            with hushed():  # the first look at a pipeline's class imports it, and that too may warn
                pipeline_class = getattr(diffusers, kind)
            check_listed(name, local, pipeline_class, without)
            variant = check_folder(name, local, without)
        with hushed():
            if single:
                beside = configuration_beside(local)
                offline = {"config": str(beside), "local_files_only": True} if beside else {}
                pipeline = getattr(diffusers, single).from_single_file(source, torch_dtype=dtype, **offline)
            else:
                pipeline = DiffusionPipeline.from_pretrained(
                    source,
                    revision=revision,
                    variant=variant,
                    dtype=dtype,
                    use_safetensors=True,
                    trust_remote_code=False,
                    **without,
                )
    except UDPError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # what the libraries raise at damaged files has no end
        if single and configuration_beside(local):
            # diffusers moves what it did not find as if it were there.
            found = "fewer weights" if "meta tensor" in str(error) else f"this: {first_line(error)}"
            raise ModelUnavailable(
                f"expected the single file {name!r} to hold what the configuration in the folder {local.stem!r} beside it "
                f"describes, got {found}"
            ) from error
        if single:
            raise ModelUnavailable(
                f"expected a network, for the configuration that the single file {name!r} does not hold, or that configuration in "
                f"the folder {local.stem!r} beside it (a diffusers model's without its weights), or a file that is whole, got "
                f"{first_line(error)}: where there is a network, convert it once with diffusers' "
                f"{single}.from_single_file(file).save_pretrained(folder), and give the folder"
            ) from error
        raise ModelUnavailable(explain(name, source, error, names=available_models())) from error
    parts = {key: part for key, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    if local.is_dir():
        check_complete(name, local, parts)
    else:
        check_present(name, parts)
    pipeline.set_progress_bar_config(disable=True)
    with enough_memory(f"the model {name!r}", "A smaller model needs less."):
        family.place(pipeline, device)
    try:
        model = family(name, pipeline)
    except (ValueError, AttributeError, KeyError, TypeError) as error:  # as a rule of a scheduler of another kind
        raise ModelUnavailable(
            f"expected the configurations of {name!r} to be those of a {kind}, got: {first_line(error)}"
        ) from error
    model.usual = {**model.usual, **(row.usual if row else {})}
    apply(model, default_options(device, bool(row and row.embedded)) if options is None else options)
    for_processor(model)
    return model


def for_processor(model: DiffusionModel) -> None:
    """Lay the weights out as a CPU likes them, if it is on one: convolutions are faster with the channels last.

    Not those of small networks in bfloat16, see `lay_out_small`.
    """
    if model.device.type == "cpu":
        for module in model.modules:
            module.to(memory_format=torch.channels_last)
        if model.small and model.autocast:
            lay_out_small(model.network)


def _left_out(family: type[DiffusionModel], index: Mapping[str, Any]) -> dict[str, None]:
    """The parts of a pipeline that its folder is without and may be; diffusers has to be told."""
    return {part: None for part in family.optional_parts if index and not (index.get(part) or [None])[0]}


def configuration_beside(file: Path) -> Path | None:
    """The folder called like a single checkpoint file, without its ending, if it holds a diffusers model's configuration."""
    folder = file.with_suffix("")
    return folder if (folder / "model_index.json").is_file() else None


def _can_be_looked_for(place: Path) -> bool:
    """Whether the system takes this for a path at all; it may be absent."""
    try:
        place.lstat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError) as error:  # too long a name, or a zero byte in it
        return isinstance(error, (NotADirectoryError, PermissionError))
    return True


def place_of(name: str) -> str:
    """A model's name, with the home folder in the place of a "~" at its start."""
    try:
        return str(Path(name).expanduser()) if name.startswith("~") else name
    except RuntimeError:  # the home folder of somebody who has none
        return name


def is_small(name: str) -> bool:
    """`DiffusionModel.small` of the model that `name` loads; only one without a row or a folder has to be loaded for it."""
    if name in MODELS:
        return MODELS[name].small
    weights = _network_weights(Path(place_of(name)))
    return weights < SMALL_NETWORK if weights else load_model(name).small


def usual_of(name: str) -> Mapping[str, Any]:
    """`DiffusionModel.usual` as far as it is known before the model is loaded: what its row says."""
    return MODELS[name].usual if name in MODELS else {}


def taken_for_small(name: str) -> bool:
    """Whether a model is small, before it is loaded.

    A Hub id without a row counts as large, as nearly all are: a download only to fill in a few controls would cost more
    than the guess, and the controls show it.
    """
    return is_small(name) if name in MODELS or Path(name).is_dir() else False


def _network_weights(folder: Path) -> int:
    """How many weights the network in a diffusers folder has, from the heads of its files alone; 0 if they tell nothing."""
    total = 0
    parts = {family.network_part for family in FAMILIES.values()}
    for path in (path for part in parts for path in folder.glob(f"{part}/*.safetensors")):
        if "." in path.stem:
            continue  # a variant such as fp16: the same weights again
        try:
            with safe_open(path, "pt") as file:
                total += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
        except (OSError, SafetensorError):
            return 0
    return total
