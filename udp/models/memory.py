"""Trading speed for memory, and measuring what a run took."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from udp.errors import OutOfMemory
from udp.models.base import DiffusionModel
from udp.models.precision import computes_in_bfloat16

# Of glibc's mallopt: from how much free memory on it gives some back, which blocks it asks the system for one by one, and how many.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
MOST_KEPT, MOST_ADAPTED, USUAL_MMAPS = 2**31 - 1, 2**25, 65536  # bytes, bytes, blocks
CPU_FULL = "can't allocate memory"  # from torch's allocator on the CPU, whose error has no class of its own


@dataclass(frozen=True)
class MemoryOptions:
    """What a model may do to fit; surrogates and fine-tunes, being copies, inherit all of it.

    `autocast`: the U-Net and, behind its first layer, the encoder compute in bfloat16, while weights that train, losses and
    perturbations stay float32.
    `checkpointing`: activations are computed again in the backward pass instead of kept (Chen et al. 2016,
    arXiv 1604.06174), in the U-Net and the autoencoder. `attention_slicing`: one head at a time; without it torch's own
    memory-efficient attention runs, which is the better choice wherever it is supported. `tiling`: the autoencoder
    works on one picture at a time, and on tiles of a large one.
    """

    autocast: bool = False
    checkpointing: bool = False
    attention_slicing: bool = False
    tiling: bool = False


def default_options(device: str, embedded: bool = False) -> MemoryOptions:
    """Autocast and checkpointing on a GPU; on a CPU, where memory is plenty, autocast of the embedded models alone.

    They are tried that way with real weights. Where the processor has units for bfloat16, the autoencoder gains most; a step of the small
    U-Net takes nine tenths of the time with eight squares and as long with four.
    """
    if device == "cuda":
        return MemoryOptions(autocast=True, checkpointing=True)
    return MemoryOptions(autocast=embedded and computes_in_bfloat16(device))


def apply(model: DiffusionModel, options: MemoryOptions) -> None:
    """Set `options` on a model that was just loaded. What a family's parts cannot do is left as it is."""
    model.autocast = options.autocast
    autoencoder = getattr(model, "vae", None)
    if options.checkpointing:
        for module in (model.network, autoencoder):
            if getattr(module, "_supports_gradient_checkpointing", False):
                module.enable_gradient_checkpointing()
    if options.attention_slicing and hasattr(model.network, "set_attention_slice"):
        model.network.set_attention_slice("max")
    if options.tiling:
        for name in ("enable_tiling", "enable_slicing"):
            # The base class has the methods even for autoencoders that cannot; those lack the switch.
            if hasattr(autoencoder, f"use_{name.removeprefix('enable_')}"):
                getattr(autoencoder, name)()


class _Kept:
    """How many pieces of work want freed memory kept, in all threads."""

    lock, count = threading.Lock(), 0


@contextlib.contextmanager
def kept_memory(model: DiffusionModel | None) -> Iterator[bool]:
    """Inside, the C library keeps freed memory for the next step instead of giving it back; whether it can. After it, it gives all back.

    For PGD on small models on a processor, nothing else: a step of the embedded model frees and takes a gigabyte, whose pages the system has
    to make again. Steps take 11 to 17 % less time so, those at 512 px 5 (six photos, torch 2.13, an AMD EPYC with AVX2 on a
    virtual machine); a fine-tune gains nothing.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    small = model is not None and model.small and model.device.type == "cpu"
    if not small or not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield False
        return
    with _Kept.lock:
        _Kept.count += 1
        library.mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
        library.mallopt(M_MMAP_MAX, 0)
    try:
        yield True
    finally:
        with _Kept.lock:
            _Kept.count -= 1
            if not _Kept.count:
                # Once an option is set, the library adapts none any more: these are as far as it goes by itself.
                library.mallopt(M_MMAP_THRESHOLD, MOST_ADAPTED)
                library.mallopt(M_TRIM_THRESHOLD, 2 * MOST_ADAPTED)
                library.mallopt(M_MMAP_MAX, USUAL_MMAPS)
                library.malloc_trim(0)


def room_for(module: torch.nn.Module, device: torch.device) -> bool:
    """Whether the weights of `module` fit into what is free on `device`, with a tenth more for what they compute."""
    if device.type != "cuda":
        return True
    needed = sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
    return 1.1 * needed < torch.cuda.mem_get_info(device)[0]


@contextlib.contextmanager
def enough_memory(work: str, advice: str) -> Iterator[None]:
    """Raise `OutOfMemory` with `advice` in place of torch's own error, around some `work` or as its decorator."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and CPU_FULL not in str(error):
            raise
        # The frames hold what the work had allocated, and whoever keeps our error would keep them too.
        traceback.clear_frames(error.__traceback__)
        said = ". ".join(str(error).rstrip(".").split(". ")[:3])  # the rest is about torch's allocator
        raise OutOfMemory(f"expected {work} to fit in memory, got: {said}. {advice}") from None


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak: of torch's own allocations on a GPU since `reset_peak_memory`, else of the whole process ever."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement on a GPU; the peak of a process cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
