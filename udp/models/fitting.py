"""Whether a model fits into a machine, by arithmetic, before gigabytes of it are downloaded."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from huggingface_hub import constants, try_to_load_from_cache

from udp.errors import ModelUnavailable, OutOfMemory
from udp.models.registry import MODELS, ModelRow

GIB = 2**30
# What a run does with the network beside what all do: nothing, as methods without a surrogate; trains adapters; trains a copy.
WORK = ("frozen", "adapters", "full")
# Bytes of a weight that trains in float32: itself, its gradient and Adam's two moments.
TRAINED = 16
# For the activations of one picture with checkpointing and for what the system keeps; a guess, and the least there is.
SPARE = 1.0


def gib_needed(row: ModelRow, work: str, on_gpu: bool = True) -> float:
    """GiB of memory that the weights of the model in `row` take on the device for `work`, one of `WORK`.

    Gradients and the optimiser's state are counted, activations are not: they grow with photos and resolution. The sizes are
    those of `ModelRow.weights`, which has to be there.
    """
    size, halved = row.weights, row.half and on_gpu
    base = size.network * (2 if halved else 4) + size.autoencoder * 4 + (0 if halved else size.text * 4)
    trained = {"frozen": 0.0, "adapters": size.adapters, "full": size.network}[work]
    return (base + trained * TRAINED) * 1e9 / GIB


def gib_to_download(row: ModelRow) -> float:
    """GiB of files: what the row says, else two bytes a weight where the base is run in half precision, else four."""
    size = row.weights
    if row.download_gb:
        return row.download_gb * 1e9 / GIB
    return (size.network + size.autoencoder + size.text) * (2 if row.half else 4) * 1e9 / GIB


def gib_of(device: str) -> float:
    """GiB of memory that a device has in all, free or not."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory / GIB
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB if hasattr(os, "sysconf") else float("inf")


def gib_free_for_downloads() -> float:
    """GiB free where downloads go."""
    place = Path(constants.HF_HUB_CACHE)
    return shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free / GIB


def check_fits(row: ModelRow, device: str, dtype: torch.dtype | None = None) -> None:
    """Raise before the model in `row` is loaded or downloaded, if it cannot even train adapters, or be stored.

    `dtype` is that of its frozen weights, if it was asked for; None is as the row says.
    `OutOfMemory` names what would fit, `ModelUnavailable` says how much room a download needs.
    """
    if row.weights is None:
        return
    on_gpu, have = device == "cuda", gib_of(device)
    asked = row if dtype is None else replace(row, half=dtype.itemsize < 4)
    needed = gib_needed(asked, "adapters", on_gpu) + SPARE
    if needed > have:
        fitting = [
            other.name if other.name != row.name else f"{other.name} as it is published"
            for other in MODELS.values()
            if other.weights and gib_needed(other, "adapters", on_gpu) + SPARE <= have
        ]
        kind = "GPU memory" if on_gpu else "memory"
        advice = f"{', '.join(fitting)} would fit" if fitting else "the embedded model, mini, needs none of that"
        raise OutOfMemory(
            f"expected at least {needed:.1f} GiB of {kind} for {row.name!r}, the least for its weights and adapters by "
            f"arithmetic, got {have:.1f} GiB: {advice}"
        )
    kept = try_to_load_from_cache(row.source, "model_index.json", revision=row.revision)
    if not isinstance(kept, str) and (room := gib_free_for_downloads()) < gib_to_download(row):
        raise ModelUnavailable(
            f"expected {gib_to_download(row):.1f} GiB free for the download of {row.name!r}, got {room:.1f} GiB in "
            "the folder of HF_HOME: make room, or set HF_HOME to another disk"
        )
