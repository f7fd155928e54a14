"""Whether a model works here at all: one small set protected and attacked, and what can be checked of that.

For whoever has real weights at hand, which the tests have not: they run on tiny random models of each architecture. Nothing here says
how well a protection works; that takes the full settings, and `attack` and `evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from udp.evaluation.metrics.features import clean_loss
from udp.imitation.recipes import LoRA
from udp.imitation.recipes.base import FineTuned
from udp.models.base import DiffusionModel
from udp.models.quiet import quietly
from udp.models.sampling import own_sampling
from udp.models.timesteps import timestep_distribution
from udp.photos import Photo, flattened, read_photo, write_png
from udp.progress import OnProgress, Progress, Stage, ignore_progress, span
from udp.protection.budget import largest_difference
from udp.protection.methods import EUDP
from udp.protection.pgd_method import Run
from udp.tensors import to_tensor

PROMPT = "a photo of sks"
LEVELS = 8
METHOD = EUDP(budget=LEVELS / 255, rounds=2, surrogate_steps=2, pgd_steps=5, step_size=2 / 255)
RECIPE = LoRA(steps=30, batch_size=1, scope="attention")
PICTURE_STEPS = 4
SAME = 0.01
NEAR = 0.1  # of how far the adapters move a prediction: the base's dtype rounds them when they are loaded


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is as it has to be, and what was found."""

    name: str
    passed: bool
    found: str


def drawn_photos(side: int, count: int = 2) -> list[Photo]:
    """`count` pictures of one ball before a sky, (side, side), drawn: a set that is always at hand."""
    y, x = np.mgrid[0:side, 0:side] / side
    photos = []
    for index in range(count):
        sky = np.stack([0.3 + 0.4 * y, 0.5 + 0.3 * y, 0.9 - 0.2 * x], 2)
        distance = np.hypot(x - 0.35 - 0.15 * index, y - 0.55) / 0.25
        ball = np.stack([0.9 - 0.4 * distance, 0.3 + 0.2 * np.sin(12 * x), 0.2 + 0.1 * y], 2)
        pixels = np.where(distance[..., None] < 1, ball, sky)
        photos.append(Photo(f"drawn_{index}", (pixels.clip(0, 1) * 255).round().astype(np.uint8)))
    return photos


def check_model(
    model: DiffusionModel, photos: Sequence[Photo], folder: Path, on_progress: OnProgress = ignore_progress
) -> Iterator[Check]:
    """Protect and attack `photos` in a few steps, and yield each check as soon as it is made; files lie in `folder`."""
    protected = METHOD(photos, model, PROMPT, on_progress=span(on_progress, 0.0, 0.4))
    yield _budget(photos, protected, folder)
    yield _direction(model, photos, protected)
    tuned = RECIPE.fit(photos, model, PROMPT, on_progress=span(on_progress, 0.4, 0.9))
    before, after = (clean_loss(model, network, photos, PROMPT, 4) for network in (model.network, tuned.network))
    yield Check("a fine-tune learns the photos", after < before, f"loss {before:.4f} before, {after:.4f} after")
    yield _load_back(model, tuned, photos, folder)
    yield _pictures(tuned, span(on_progress, 0.9, 1.0))


def _budget(photos: Sequence[Photo], protected: Sequence[Photo], folder: Path) -> Check:
    saved = [read_photo(write_png(folder / f"{photo.name}.png", photo)) for photo in protected]
    levels = [largest_difference(a.pixels, b.pixels) for a, b in zip(photos, saved, strict=True)]
    held = all(0 < level <= LEVELS for level in levels)
    return Check(
        "the budget holds on the saved files", held, f"{min(levels)} to {max(levels)} levels, {LEVELS} allowed"
    )


def _direction(model: DiffusionModel, photos: Sequence[Photo], protected: Sequence[Photo]) -> Check:
    """The method's own objective against the untouched model, at the same draws for both."""
    method = model.suited(METHOD)
    uniform = timestep_distribution("uniform", model.schedule.signal_share)
    values = []
    clean = [to_tensor(flattened(photo).pixels)[None] for photo in photos]
    for seen in (clean, [to_tensor(flattened(photo).pixels)[None] for photo in protected]):
        run = Run(model, model.embed(PROMPT), clean, torch.Generator().manual_seed(9), model.network, uniform)
        with torch.no_grad():
            values.append(float(method.objective(run)(seen, clean, 0)))
    name = "protection moves its loss the right way"
    return Check(name, values[1] > values[0], f"{values[0]:.4f} clean, {values[1]:.4f} protected, to rise")


@torch.no_grad()
def _load_back(model: DiffusionModel, tuned: FineTuned, photos: Sequence[Photo], folder: Path) -> Check:
    """Saved adapters, loaded by diffusers into the base, predict what the fine-tune predicts, and the base is whole again."""
    name, pipeline = "adapters load back into the pipeline", model.pipeline
    if not hasattr(pipeline, "load_lora_weights"):
        return Check(name, True, f"{type(pipeline).__name__} loads none")
    latents = model.encode(model.prepare([to_tensor(flattened(photos[0]).pixels)[None]]))
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9)).to(latents.device)
    timesteps = torch.tensor([len(model.schedule) // 2])
    noisy = model.schedule.add_noise(latents, noise, timesteps.to(latents.device))

    def predicted(network: torch.nn.Module) -> torch.Tensor:
        return model.denoise(network, noisy, model.schedule.times[timesteps], model.embed(PROMPT))

    base, learned = predicted(model.network), predicted(tuned.network)
    with quietly():
        pipeline.load_lora_weights(RECIPE.save(tuned, folder / "adapters"), adapter_name="check")
        try:
            loaded = predicted(model.network)
        finally:
            pipeline.unload_lora_weights()
    model.network.requires_grad_(False).eval()
    off, moved = (float((part - learned).norm()) for part in (loaded, base))
    # Not all of a GPU's sums are the same twice.
    whole = float((predicted(model.network) - base).norm()) <= SAME * moved
    found = f"off by {off / max(moved, 1e-12):.1%} of what they change" + (
        "" if whole else "; the base was left changed"
    )
    return Check(name, whole and moved > 0 and off <= NEAR * moved, found)


def _pictures(tuned: FineTuned, on_progress: OnProgress) -> Check:
    _, guidance = own_sampling(tuned.model.small, tuned.model.usual)

    def report(done: int, total: int) -> None:
        on_progress(Progress(Stage.GENERATING, done, total))

    (image,) = tuned.model.sample(tuned.network, PROMPT, [0], PICTURE_STEPS, guidance, report)
    finite, spread = bool(torch.isfinite(image).all()), float(image.std() * 255)
    found = f"{image.shape[-1]} x {image.shape[-2]}, " + (f"spread {spread:.0f} levels" if finite else "not finite")
    return Check("pictures are finite and not flat", finite and spread > 1, found)
