"""Memory options: same mathematics, fewer activations kept, float32 where it counts."""

from __future__ import annotations

import contextlib
import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.families import build
from udp.errors import OutOfMemory
from udp.imitation.cleaning import parse_cleaning
from udp.imitation.recipes import LoRA
from udp.models.base import DiffusionModel
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.models.loss import DenoisingLoss
from udp.models.memory import MemoryOptions, enough_memory, kept_memory, peak_memory
from udp.models.sampling import generate
from udp.models.timesteps import timestep_distribution
from udp.photos import Photo
from udp.protection.methods import EUDP
from udp.tensors import to_tensor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sd1", tmp_path_factory.mktemp("memory") / "sd1")


def image_gradient(model: DiffusionModel, photos: list[Photo]) -> tuple[torch.Tensor, int]:
    """The gradient of the denoising loss at the pixels, and how many numbers autograd kept for it."""
    pixels = model.prepare([to_tensor(p.pixels)[None] for p in photos]).requires_grad_()
    loss = DenoisingLoss(model, model.embed("a"), timestep_distribution("uniform", model.schedule.signal_share))
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    unet = model.copy_network().requires_grad_(False)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = loss(unet, model.encode(pixels), torch.Generator().manual_seed(0))
        count = sum(kept)
        (gradient,) = torch.autograd.grad(value, pixels)
    assert value.dtype == gradient.dtype == torch.float32
    return gradient, count


def test_options_save_activations_and_keep_the_gradient(folder: Path, photos: list[Photo]) -> None:
    plain, kept = image_gradient(load_model(str(folder)), photos)
    options = MemoryOptions(checkpointing=True, tiling=True)
    same, fewer = image_gradient(load_model(str(folder), options=options), photos)
    assert torch.allclose(plain, same, atol=1e-3 * float(plain.abs().max())) and fewer < 0.5 * kept
    sliced, _ = image_gradient(load_model(str(folder), options=MemoryOptions(attention_slicing=True)), photos)
    assert torch.allclose(plain, sliced, atol=1e-3 * float(plain.abs().max()))


def test_autocast_computes_in_bfloat16_and_trains_float32(folder: Path, photos: list[Photo]) -> None:
    plain, _ = image_gradient(load_model(str(folder)), photos)
    model = load_model(str(folder), options=MemoryOptions(autocast=True))
    rough, _ = image_gradient(model, photos)
    assert not torch.equal(plain, rough)
    assert torch.nn.functional.cosine_similarity(plain.flatten(), rough.flatten(), dim=0) > 0.9
    assert {p.dtype for p in model.copy_network().parameters()} == {torch.float32}
    assert model.encode(torch.rand(1, 3, 32, 32)).dtype == torch.float32


GPU_FULL = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 11.90 GiB of which 1.1 GiB is free. "
    "If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF=expandable_segments:True."
)
FULL = [
    torch.OutOfMemoryError(GPU_FULL),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes."),
]


@pytest.mark.parametrize("error", FULL, ids=["gpu", "cpu"])
def test_too_little_memory_is_said_with_a_way_out(
    error: RuntimeError, tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        block = torch.ones(1000)
        kept.append(weakref.ref(block))
        raise error

    kept: list[weakref.ref] = []
    for part in ("encode", "sample"):
        monkeypatch.setitem(vars(tiny_model), part, full)  # `setattr` would leave the model a method of its own
    works = {
        "protecting.*surrogate=adapters": lambda: EUDP()(photos, tiny_model),
        "fine-tuning.*LoRA": lambda: LoRA().fit(photos, tiny_model, "a photo"),
        "generating.*[Ff]ewer": lambda: generate(tiny_model, tiny_model.network, "a photo", [0]),
        "cleaning.*[Ss]maller": lambda: parse_cleaning("vae")(photos, tiny_model),
    }
    for words, work in works.items():
        with pytest.raises(OutOfMemory, match=f"(?s)expected {words}") as raised:
            work()
        assert "PYTORCH_ALLOC_CONF" not in str(raised.value)
    gc.collect()
    assert len(kept) == len(works) and not any(block() is not None for block in kept), "the error keeps the memory"


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes") as raised, enough_memory("adding", "No advice."):
        raise RuntimeError("shapes differ")
    assert not isinstance(raised.value, OutOfMemory)


def test_peak_memory_counts_what_was_allocated() -> None:
    before = peak_memory(torch.device("cpu"))
    block = torch.ones(before // 4 + 25_000_000)  # float32: more than the peak so far, by 100 MB
    assert peak_memory(torch.device("cpu")) >= before + 50_000_000 and block.sum() > 0


FAULTS = """
import contextlib, resource, torch
from types import SimpleNamespace
from udp.models.memory import kept_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

model = SimpleNamespace(small={kept}, device=torch.device("cpu"))
with kept_memory(model) as told:
    for _ in range(30):  # until the library gives out the same block
        torch.ones(16_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(16_000_000)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    several = [torch.ones(16_000_000) for _ in range(10)]
    above = torch.ones(1_000_000)
    full = resident()
    del several
print(told, faults, full - resident())
"""


def test_freed_memory_is_kept_for_the_next_step_where_the_c_library_can_and_given_back_afterwards() -> None:
    def run(kept: bool) -> tuple[str, int, int]:
        done = subprocess.run(
            [sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, text=True, check=True
        )
        told, faults, freed = done.stdout.split()
        return told, int(faults), int(freed)

    (told, kept, freed), (not_told, given_back, _) = run(True), run(False)
    assert told == str(platform.libc_ver()[0] == "glibc") and not_told == "False"
    assert told == "False" or (kept < given_back / 5 and freed > 0.8 * 10 * 64_000_000)


def test_a_protection_on_a_small_model_asks_for_it(
    folder: Path, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[DiffusionModel | None] = []

    @contextlib.contextmanager
    def noted(model: DiffusionModel | None) -> Iterator[bool]:
        asked.append(model)
        yield True

    monkeypatch.setattr("udp.protection.base.kept_memory", noted)
    model = load_model(str(folder))
    EUDP(rounds=1, surrogate_steps=1, pgd_steps=1)(photos[:1], model)
    assert asked == [model]
    with kept_memory(None) as told:
        assert told is False
