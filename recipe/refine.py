"""Train the decoder to forgive: from the U-Net's estimates and from noisy latents, back to the picture.

The transform's decoder is exact, so it shows every error of a latent as it is: edges of the 8 x 8 blocks and loose grain.
Here it learns what to make of latents that a U-Net is unsure about. The encoder, and with it everything that a
protection and a fine-tune see, stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

from recipe.clock import train_by_clock
from recipe.denoiser import encode_all
from recipe.pictures import squares
from recipe.student import reconstruction_loss
from udp.models.training import Trainer, TrainingSettings

SETTINGS = TrainingSettings(learning_rate=3e-4, betas=(0.9, 0.99), schedule="cosine", warmup=0.1)
REPORT_EVERY = 50  # steps between lines of the log and checkpoints
ESTIMATED = 4000  # squares whose latents the U-Net estimates once, before the training
LATEST = 700  # of 1,000 timesteps: beyond, an estimate says more about the caption than about the picture
GRAIN = 0.3  # largest standard deviation of the noise on latents of standard deviation 1
WINDOW = 8  # latents a side of the crops that are decoded: 64 pixels


@torch.no_grad()
def estimates(pipeline: StableDiffusionPipeline, latents: torch.Tensor, captions: list[str], seed: int) -> torch.Tensor:
    """What the U-Net takes `latents` (N, C, h, w) for, seen once through noise at a random timestep below `LATEST`."""
    device = latents.device
    generator = torch.Generator().manual_seed(seed)
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    alphas = scheduler.alphas_cumprod.to(device)
    found = []
    for start in range(0, len(latents), 16):
        clean = latents[start : start + 16].float()
        tokens = pipeline.tokenizer(
            captions[start : start + 16], padding="max_length", truncation=True, return_tensors="pt"
        )
        timesteps = torch.randint(20, LATEST, (len(clean),), generator=generator).to(device)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        noisy = scheduler.add_noise(clean, noise, timesteps)
        text = pipeline.text_encoder(tokens.input_ids.to(device))[0]
        velocity = pipeline.unet(noisy, timesteps, encoder_hidden_states=text).sample
        alpha = alphas[timesteps].reshape(-1, 1, 1, 1)
        found.append((alpha.sqrt() * noisy - (1 - alpha).sqrt() * velocity).half())
    return torch.cat(found)


@torch.no_grad()
def open_up(decoder: torch.nn.Module) -> list[tuple[torch.nn.Parameter, torch.Tensor]]:
    """The trainable parameters of a transform's `decoder`, each with a mask of the entries that must not move.

    Everything that the transform wrote stays. What it left free becomes two small networks beside it: one at the size of
    the latents that corrects coefficients from their neighbours', and one in the last blocks that smooths pixels. In
    between nothing may change: the gates there compare neighbours for exact equality. Free units get small random
    weights, and what reads them starts at zero, so the decoder still does what it did.
    """
    opened = []
    layers = [layer for layer in decoder.layers if isinstance(layer, torch.nn.Conv2d | AutoencoderTinyBlock)]
    halvings = [index for index, layer in enumerate(layers[:-1]) if index and isinstance(layer, torch.nn.Conv2d)]
    used = torch.zeros(0, dtype=torch.bool, device=layers[0].weight.device)
    for index, layer in enumerate(layers):
        stage = sum(index >= halving for halving in halvings)
        if index == len(layers) - 1:
            opened += _open(layer, torch.ones_like(layer.weight[:, 0, 0, 0], dtype=torch.bool), used)
        elif isinstance(layer, torch.nn.Conv2d):
            used = layer.weight.flatten(1).abs().sum(1) > 0
            if layer.bias is not None:
                used |= layer.bias != 0
            if stage != 1:
                opened += _open(layer, used, torch.ones_like(layer.weight[0, :, 0, 0], dtype=torch.bool))
        elif stage != 1:
            first, _, second, _, third = layer.conv
            busy = first.weight.flatten(1).abs().sum(1) > 0
            opened += _open(first, busy, torch.ones_like(used))
            combined = (second.weight.flatten(1).abs().sum(1) > 0) | (second.bias != 0)
            opened += _open(second, combined, torch.ones_like(busy))
            # Between the sizes, free channels may change, but not those that the next gates compare.
            read = torch.ones_like(combined) if stage == 2 else combined
            opened += _open(third, used, read, start=0.0)
    return opened


def _open(
    convolution: torch.nn.Conv2d, rows: torch.Tensor, columns: torch.Tensor, start: float = 0.02
) -> list[tuple[torch.nn.Parameter, torch.Tensor]]:
    """`convolution`'s parameters with the mask `rows` x `columns` (out,) x (in,) of what stays; the other rows start random."""
    free = ~rows
    fresh = torch.randn(convolution.weight[free].shape)  # from the CPU's generator, whatever the device
    convolution.weight[free] += start * fresh.to(convolution.weight.device)
    kept = (rows[:, None] & columns)[:, :, None, None].expand_as(convolution.weight)
    opened: list[tuple[torch.nn.Parameter, torch.Tensor]] = [(convolution.weight, kept)]
    if convolution.bias is not None:
        opened.append((convolution.bias, rows))
    return opened


def train(
    pipeline: StableDiffusionPipeline, folders: list[Path], checkpoint: Path, minutes: float, seed: int = 0, batch: int = 4
) -> None:  # fmt: skip
    """Train the decoder of `pipeline` in place, for `minutes` of wall clock, resuming from `checkpoint` if it exists.

    It runs on the device of `pipeline`.
    """
    vae = pipeline.vae.requires_grad_(False)
    device = vae.device
    images, captions = squares(folders, seed)
    chosen = np.random.default_rng(seed).permutation(len(images))[:ESTIMATED]
    images, captions = images[chosen], [captions[index] for index in chosen]
    exact = encode_all(vae, images)
    guessed = estimates(pipeline, exact, captions, seed)
    targets = torch.from_numpy(images).to(device)
    decoder = vae.decoder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        opened = open_up(decoder)
    kept = [parameter.detach().clone() for parameter, _ in opened]
    trainer = Trainer([parameter.requires_grad_() for parameter, _ in opened], SETTINGS)
    spent = 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        decoder.load_state_dict(state["decoder"])
        trainer.load_state_dict(state["trainer"])
        spent = state["spent"]
    generator = torch.Generator().manual_seed(seed + trainer.step)

    def loss(step: int) -> torch.Tensor:
        pick = torch.randint(len(targets), (batch,), generator=generator).to(device)
        y, x = torch.randint(exact.shape[-1] - WINDOW + 1, (2,), generator=generator).tolist()
        window = (..., slice(y, y + WINDOW), slice(x, x + WINDOW))
        guess, grain = torch.rand(2, batch, 1, 1, 1, generator=generator).to(device)
        latents = torch.where(guess < 0.5, guessed[pick][window], exact[pick][window]).float()
        noise = torch.randn(latents.shape, generator=generator).to(device)
        latents = latents + GRAIN * grain * noise
        pixels = targets[pick, 8 * y : 8 * (y + WINDOW), 8 * x : 8 * (x + WINDOW)]
        pixels = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        decoded = vae.decode((latents / vae.config.scaling_factor).contiguous(memory_format=torch.channels_last))
        return reconstruction_loss(decoded.sample, pixels)

    @torch.no_grad()
    def restore(step: int, share: float) -> None:
        for (parameter, mask), value in zip(opened, kept, strict=True):
            parameter[mask] = value[mask]

    def weights() -> dict[str, Any]:
        return {"decoder": decoder.state_dict()}

    train_by_clock(trainer, loss, minutes, spent, REPORT_EVERY, checkpoint, weights, restore)
    vae.requires_grad_(False)
