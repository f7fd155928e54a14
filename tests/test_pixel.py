"""The embedded pixel model's recipe: it learns, resumes, and saves what the library loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recipe import clock, pixel
from tests.conftest import picture
from udp.models.loading import load_model
from udp.models.registry import MODELS
from udp.models.sampling import generate
from udp.models.unconditional import PixelDiffusion


def test_shrinking_is_the_mean_of_sixteen_pixels() -> None:
    image = picture(0, 128, 128)[None]
    small = pixel.shrink(image)
    assert small.shape == (1, 3, 32, 32) and small.dtype == torch.uint8
    assert abs(float(small[0, 1, 5, 7]) - image[0, 20:24, 28:32, 1].mean()) <= 0.5


def test_it_learns_resumes_and_loads_as_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "part-00000.npz", images=np.stack([picture(i, 128, 128) for i in range(4)]), captions=["a"] * 4)
    ticks = iter(range(10_000))
    monkeypatch.setattr(clock.time, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(pixel, "REPORT_EVERY", 8)
    images = pixel.shrink(np.stack([picture(i, 128, 128) for i in range(4)])).float() / 127.5 - 1
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(5))
    timesteps = torch.tensor([100, 300, 600, 900])
    scheduler = pixel.build_scheduler()
    noisy, target = scheduler.add_noise(images, noise, timesteps), scheduler.get_velocity(images, noise, timesteps)

    def error(unet: torch.nn.Module) -> float:
        with torch.no_grad():
            return float((unet(noisy, timesteps).sample - target).square().mean())

    checkpoint = tmp_path / "pixel.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = error(pixel.build_unet())
        first = pixel.train([tmp_path], checkpoint, minutes=10 / 60, batch=4)
        state = torch.load(checkpoint, weights_only=True)
        again = pixel.train([tmp_path], checkpoint, minutes=0)
    assert state["trainer"]["step"] >= 8 and error(first.unet) < untrained
    assert all(torch.equal(a, b) for a, b in zip(first.unet.parameters(), again.unet.parameters(), strict=True))
    pixel.save(again, tmp_path / "weights")
    sizes = [path.stat().st_size for path in (tmp_path / "weights").rglob("*.safetensors")]
    assert sizes and max(sizes) < 10_000_000
    model = load_model(str(tmp_path / "weights"))
    assert isinstance(model, PixelDiffusion) and model.resolution == MODELS["mini-pixel"].resolution
    (image,) = generate(model, model.network, "", [0], steps=2)
    assert image.shape == (32, 32, 3)


@pytest.mark.skipif(not pixel.WEIGHTS.is_dir(), reason="the weights are not trained yet")
def test_embedded_pixel_model_denoises_better_than_nothing() -> None:
    model = load_model("mini-pixel")
    pixels = pixel.shrink(np.stack([picture(i, 128, 128) for i in range(4)])).float() / 255
    latents, timesteps = model.encode(pixels), torch.full((4,), 300)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    target = model.schedule.target(latents, noise, timesteps)
    with torch.no_grad():
        prediction = model.denoise(
            model.network, model.schedule.add_noise(latents, noise, timesteps), timesteps, model.embed("")
        )
    assert float((prediction - target).square().mean()) < 0.5 * float(target.square().mean())
