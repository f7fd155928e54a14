"""Memory options: same mathematics, fewer activations kept, float32 where it counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.families import build
from udp.images import to_tensor
from udp.losses import DenoisingLoss
from udp.models import DiffusionModel, MemoryOptions, load_model, peak_memory
from udp.timesteps import timestep_distribution
from udp.types import Photo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sd1", tmp_path_factory.mktemp("memory") / "sd1")


def image_gradient(model: DiffusionModel, photos: list[Photo]) -> tuple[torch.Tensor, int]:
    """The gradient of the denoising loss at the pixels, and how many numbers autograd kept for it."""
    pixels = model.prepare([to_tensor(p.pixels)[None] for p in photos]).requires_grad_()
    loss = DenoisingLoss(model, model.embed("a"), timestep_distribution("uniform", model.alphas_cumprod))
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    unet = model.copy_unet().requires_grad_(False)
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
    assert {p.dtype for p in model.copy_unet().parameters()} == {torch.float32}
    assert model.encode(torch.rand(1, 3, 32, 32)).dtype == torch.float32


def test_peak_memory_counts_what_was_allocated() -> None:
    before = peak_memory(torch.device("cpu"))
    block = torch.ones(before // 4 + 25_000_000)  # float32: more than the peak so far, by 100 MB
    assert peak_memory(torch.device("cpu")) >= before + 50_000_000 and block.sum() > 0
