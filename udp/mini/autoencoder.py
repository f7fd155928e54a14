"""Train the embedded model's autoencoder: an `AutoencoderTiny` with 16 whitened latent channels, f = 8.

Published diffusion autoencoders have latents of about unit variance in every direction; a plain autoencoder does not
(one direction takes most of the variance), and then answers a perturbation weakly for a wrong reason. So the latent
covariance is pulled to the identity while training, and what is left is removed exactly at the end by a linear map
folded into the last encoder and the first decoder convolution (`whiten`).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

from udp.mini.clock import train_by_clock
from udp.mini.pictures import CropSource
from udp.training import Trainer, TrainingSettings

CHANNELS = 64
LATENT_CHANNELS = 16
# Few blocks where pixels are many: a 64-channel 3x3 convolution at 128 px costs 64 times the same one at 16 px.
ENCODER_BLOCKS = (0, 0, 3, 3)
DECODER_BLOCKS = (3, 3, 1, 0)
REPORT_EVERY = 200  # steps between lines of the log and checkpoints
SETTINGS = TrainingSettings(learning_rate=1.5e-3, betas=(0.9, 0.99), schedule="cosine", warmup=0.03)


def build() -> AutoencoderTiny:
    """An untrained autoencoder, 3 x 128 x 128 <-> 16 x 16 x 16."""
    return AutoencoderTiny(
        encoder_block_out_channels=(CHANNELS,) * 4,
        decoder_block_out_channels=(CHANNELS,) * 4,
        num_encoder_blocks=ENCODER_BLOCKS,
        num_decoder_blocks=DECODER_BLOCKS,
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
        shift_factor=0.0,
        force_upcast=False,
    ).to(memory_format=torch.channels_last)


@torch.no_grad()
def open_colour_path(model: AutoencoderTiny, channel: int = 0, latent: int = 0, gain: float = 6.0) -> None:
    """Give red - green a straight way through, in place: one feature channel and one latent that carry its average.

    Photographs have little of it beside brightness and blue - yellow, and training never found that direction by itself:
    while neither half uses a latent for it, neither half gains by starting to (red toys came out olive). The feature is
    (R - G) / 2 + 1/2, so it is positive and passes every ReLU; the blocks add nothing to it until they learn to.
    """

    def straight(convolution: torch.nn.Conv2d, kernel: torch.Tensor) -> None:
        convolution.weight[channel] = 0
        convolution.weight[:, channel] = 0
        convolution.weight[channel, channel] = kernel
        if convolution.bias is not None:
            convolution.bias[channel] = 0

    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    smooth = torch.outer(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.5, 0.25]))
    for half, kernel in ((model.encoder, smooth), (model.decoder, centre)):
        layers = [layer for layer in half.layers if isinstance(layer, torch.nn.Conv2d)]
        for convolution in layers[1:-1]:
            straight(convolution, kernel)
        for block in half.layers:
            if isinstance(block, AutoencoderTinyBlock):
                block.conv[0].weight[:, channel] = 0
                block.conv[-1].weight[channel] = 0
                block.conv[-1].bias[channel] = 0
        first, last = layers[0], layers[-1]
        if half is model.encoder:
            first.weight[channel] = torch.stack([0.5 * centre, -0.5 * centre, 0 * centre])
            first.bias[channel] = 0.5
            last.weight[:, channel] = 0
            last.weight[latent] = 0
            last.weight[latent, channel] = gain * centre
            last.bias[latent] = -0.5 * gain
        else:
            first.weight[:, latent] = 0
            first.weight[channel] = 0
            first.weight[channel, latent] = centre / gain
            first.bias[channel] = 0.5
            last.weight[:, channel] = torch.stack([centre, -centre, 0 * centre])
            last.bias[0] -= 0.5
            last.bias[1] += 0.5


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 at four scales, of values, of their horizontal and vertical differences, and of colour differences.

    Differences in space keep edges sharp. Differences between channels (red - green, blue - the other two) get a term
    of their own: in photographs they are small beside brightness, and without it red came out orange.
    """
    residual = output - target
    loss = residual.abs().mean()
    for scale in range(4):
        if scale:
            residual = torch.nn.functional.avg_pool2d(residual, 2)
            red, green, blue = residual.unbind(1)
            chroma = (red - green).abs().mean() + (blue - (red + green) / 2).abs().mean()
            loss = loss + 0.5 * residual.abs().mean() + 0.5 * chroma
        down = (residual[..., 1:, :] - residual[..., :-1, :]).abs().mean()
        across = (residual[..., 1:] - residual[..., :-1]).abs().mean()
        loss = loss + 0.5 * (down + across)
    return loss


def covariance_loss(latents: torch.Tensor) -> torch.Tensor:
    """Squared distance of the latents' mean and covariance, over batch and positions, from 0 and the identity."""
    flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    mean = flat.mean(0)
    centred = flat - mean
    covariance = centred.T @ centred / (len(flat) - 1)
    identity = torch.eye(len(mean))
    return ((covariance - identity) ** 2).sum() / len(mean) + (mean**2).mean()


@torch.no_grad()
def whiten(model: AutoencoderTiny, images: torch.Tensor) -> AutoencoderTiny:
    """A copy whose latents on `images` (N, 3, H, W) have mean 0 and covariance I, and that decodes as before.

    With latents z of mean m and covariance C = U S U^T, z' = S^-1/2 U^T (z - m) goes into the encoder's last
    convolution and z = U S^1/2 z' + m into the decoder's first. The decoder's soft clamp acts on z' afterwards instead of
    on z, which differs only where |z| is large; fine-tuning the decoder (`train` with `encoder=False`) absorbs it.
    """
    model = copy.deepcopy(model)
    latents = torch.cat([model.encode(batch).latents for batch in (images * 2 - 1).split(16)])
    flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T))
    forward = torch.diag(values.clamp_min(1e-8).rsqrt()) @ vectors.T
    backward = vectors @ torch.diag(values.clamp_min(1e-8).sqrt())
    last, first = model.encoder.layers[-1], model.decoder.layers[0]
    weight = last.weight.double()
    last.weight.copy_(torch.einsum("ij,jabc->iabc", forward, weight))
    last.bias.copy_(forward @ (last.bias.double() - mean))
    first.bias.copy_(first.bias + torch.einsum("ojab,j->o", first.weight.double(), mean))
    first.weight.copy_(torch.einsum("ojab,ji->oiab", first.weight.double(), backward))
    return model


def train(
    folders: list[Path],
    checkpoint: Path,
    minutes: float,
    seed: int = 0,
    encoder: bool = True,
    batch: int = 8,
    side: int = 64,
) -> AutoencoderTiny:
    """Train for `minutes` of wall clock (the schedule follows the clock), resuming from `checkpoint` if it exists.

    `encoder=False` trains the decoder alone, so that latents, and a U-Net trained on them, stay valid.
    """  # fmt: skip
    torch.manual_seed(seed)  # initial weights only; batches come from the source's own generator
    model = build()
    source = CropSource(folders, seed)
    generator = torch.Generator().manual_seed(seed)
    spent, state = 0.0, {}
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
    else:
        open_colour_path(model)
    model.encoder.requires_grad_(encoder)
    trainer = Trainer(model.parameters(), SETTINGS)
    if state.get("encoder") == encoder:
        trainer.load_state_dict(state["trainer"])
        spent = state["spent"]

    def loss(step: int) -> torch.Tensor:
        images = source.draw(batch, side) * 2 - 1
        with torch.set_grad_enabled(encoder):
            latents = model.encode(images).latents
        # A little noise on the latents teaches the decoder to forgive a sampler's small errors.
        noise = 0.05 * torch.randn(latents.shape, generator=generator)
        value = reconstruction_loss(model.decode(latents + noise).sample, images)
        return value + 0.02 * covariance_loss(latents) if encoder else value

    def weights() -> dict[str, Any]:
        return {"model": model.state_dict(), "encoder": encoder}

    train_by_clock(trainer, loss, minutes, spent, REPORT_EVERY, checkpoint, weights)
    return model
