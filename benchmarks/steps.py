"""The steps that `benchmarks.speed` times: ours, and plain ones in the way of the field's scripts."""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from udp.imitation.recipes import DreamBooth
from udp.models.base import DiffusionModel
from udp.models.latent import LatentDiffusionModel
from udp.models.sampling import generate, own_sampling
from udp.models.training import TrainingSettings
from udp.photos import Photo
from udp.progress import Progress, Stage
from udp.protection.methods import AdvDM
from udp.tensors import to_tensor

PROMPT = "a photo of sks"
PICTURES = 4
# What a step computes in, entered anew in each: autocast keeps the weights it has converted until the outermost one is left, so a
# fine-tune within a single one would go on with those of its first step.
Precision = Callable[[], contextlib.AbstractContextManager]


class Enough(Exception):
    """As many steps as were asked for."""


class Clock:
    """Notes when steps end, and ends the work after `steps` of them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.ends = steps, [time.perf_counter()]
        self.network: torch.nn.Module | None = None

    def stamp(self, network: torch.nn.Module | None = None) -> None:
        """A step has ended, of the fine-tune of `network` if that is what it was. Raises `Enough` at the last."""
        self.network = network
        self.ends.append(time.perf_counter())
        if len(self.ends) > self.steps:
            raise Enough

    def seconds(self) -> float:
        """The median of all steps but the first."""
        taken = [later - earlier for earlier, later in zip(self.ends, self.ends[1:], strict=False)]
        return statistics.median(taken[1:] or taken)


def fine_tune(model: LatentDiffusionModel, photos: list[Photo], batch: int, clock: Clock, seed: int = 0) -> None:
    """Our DreamBooth."""
    recipe = DreamBooth(steps=max(10, clock.steps), batch_size=batch, prior_preservation="no")
    recipe.fit(photos, model, PROMPT, seed, watch=lambda step, network, words: clock.stamp(network))


def plain_fine_tune(
    model: LatentDiffusionModel, photos: list[Photo], batch: int, clock: Clock, half: Precision = contextlib.nullcontext
) -> None:
    """DreamBooth as the scripts have it."""
    network = plain_network(model)
    peak = model.suited(DreamBooth()).learning_rate
    settings = TrainingSettings(peak, weight_decay=1e-2, schedule="cosine", warmup=0.05)  # our DreamBooth's
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=settings.weight_decay)
    for step, pixels in enumerate(batches(model, photos, batch)):
        optimizer.param_groups[0]["lr"] = settings.rate(step / max(10, clock.steps))
        with half():
            with torch.no_grad():
                latents = posterior(model, pixels)
            loss = plain_loss(model, network, latents)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.stamp(network)


def pgd(model: LatentDiffusionModel, photos: list[Photo], batch: int, clock: Clock, seed: int = 0) -> None:
    """Our AdvDM, all photos in a step."""

    def on_progress(progress: Progress) -> None:
        if progress.stage is Stage.PERTURBING:
            clock.stamp()

    AdvDM(pgd_steps=clock.steps + 1)(photos, model, seed=seed, on_progress=on_progress)


def plain_pgd(
    model: LatentDiffusionModel, photos: list[Photo], batch: int, clock: Clock, half: Precision = contextlib.nullcontext
) -> None:
    """AdvDM as the scripts have it: one photo at a time, and gradients for weights that nobody trains."""
    network = plain_network(model)
    clean = next(batches(model, photos, len(photos)))
    moved = clean.clone()
    while True:
        for index in range(len(clean)):
            leaf = moved[index : index + 1].clone().requires_grad_(True)
            with half():
                loss = plain_loss(model, network, posterior(model, leaf))
            loss.backward()
            step = (leaf + leaf.grad.sign() / 255).detach()
            moved[index] = (clean[index] + (step - clean[index]).clamp(-8 / 255, 8 / 255)).clamp(0, 1)
            network.zero_grad()
        clock.stamp()


def sampling(model: LatentDiffusionModel, photos: list[Photo], batch: int, clock: Clock, seed: int = 0) -> None:
    """Our sampling, all pictures in a batch."""
    steps, guidance = own_sampling(model.small)
    network = model.copy_network(trainable=False)

    def on_progress(progress: Progress) -> None:
        if progress.stage is Stage.GENERATING:
            clock.stamp()

    generate(model, network, PROMPT, range(seed, seed + PICTURES), max(steps, clock.steps + 1), guidance, on_progress)


def plain_sampling(
    model: LatentDiffusionModel, photos: list[Photo], batch: int, clock: Clock, half: Precision = contextlib.nullcontext
) -> None:
    """The pipeline of diffusers, all pictures in a batch."""
    steps, guidance = own_sampling(model.small)
    model.pipeline.unet = plain_network(model).requires_grad_(False)
    model.pipeline.set_progress_bar_config(disable=True)
    side = model.resolution

    def on_step(pipeline: object, step: int, timestep: object, values: dict) -> dict:
        clock.stamp()
        return values

    with half():
        model.pipeline(
            PROMPT, height=side, width=side, num_inference_steps=max(steps, clock.steps + 1), guidance_scale=guidance,
            num_images_per_prompt=PICTURES, callback_on_step_end=on_step,
        )  # fmt: skip


def plain_network(model: DiffusionModel) -> torch.nn.Module:
    """A float32 copy in the usual layout, every weight of which collects gradients."""
    network = copy.deepcopy(model.network).float().to(memory_format=torch.contiguous_format)
    return network.requires_grad_(True)


def plain_loss(model: LatentDiffusionModel, network: torch.nn.Module, latents: torch.Tensor) -> torch.Tensor:
    """The denoising loss, its prompt encoded anew, uniform timesteps."""
    noise = torch.randn_like(latents)
    timesteps = torch.randint(len(model.schedule), (len(latents),))
    noisy = model.schedule.add_noise(latents, noise, timesteps)
    text = model.encode_prompt(PROMPT).expand(len(latents), -1, -1)
    prediction = network(noisy, model.schedule.times[timesteps], encoder_hidden_states=text).sample
    return torch.nn.functional.mse_loss(prediction, model.schedule.target(latents, noise, timesteps))


def posterior(model: LatentDiffusionModel, pixels: torch.Tensor) -> torch.Tensor:
    """Latents by a draw from the autoencoder's posterior where it has one."""
    encoded = model.vae.encode(pixels * 2 - 1)
    latents = encoded.latent_dist.sample() if hasattr(encoded, "latent_dist") else encoded.latents
    return latents * model.vae.config.scaling_factor


def batches(model: LatentDiffusionModel, photos: list[Photo], size: int) -> Iterator[torch.Tensor]:
    """Squares as the model sees them, (size, 3, S, S) in [0, 1], in the photos' order again and again."""
    squares = model.prepare([to_tensor(photo.pixels)[None] for photo in photos]).contiguous()
    start = 0
    while True:
        yield squares[torch.arange(start, start + size) % len(squares)]
        start += size


WORK = {
    "fine-tuning step": (fine_tune, plain_fine_tune),
    "PGD step": (pgd, plain_pgd),
    "sampling step": (sampling, plain_sampling),
}
