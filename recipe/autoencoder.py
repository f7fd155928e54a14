"""The embedded model's autoencoder: an `AutoencoderTiny`, f = 8, 24 latent channels, written down by `recipe.transform`.

Nothing is trained by gradient descent. 36 minutes of that on two cores gave 24.9 dB on unseen photos and latents that
hardly answered a perturbation; the transform takes a minute and beats it at both (figures in the card, udp/mini/README.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from recipe.pictures import squares
from recipe.transform import LATENT_SCALE, WIDTH, initialise

LATENT_CHANNELS = 24
# Few blocks where pixels are many: a 64-channel 3x3 convolution at 128 px costs 64 times the same one at 16 px.
ENCODER_BLOCKS = (0, 0, 0, 3)
DECODER_BLOCKS = (3, 3, 1, 1)
FITTED_SQUARES = 1500  # their 384,000 blocks determine 192 x 192 covariances and the tails of 24 curves well


def build(latent_channels: int = LATENT_CHANNELS) -> AutoencoderTiny:
    """An autoencoder with random weights, 3 x 128 x 128 <-> `latent_channels` x 16 x 16."""
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=ENCODER_BLOCKS,
        num_decoder_blocks=DECODER_BLOCKS,
        latent_channels=latent_channels,
        scaling_factor=LATENT_SCALE,
        shift_factor=0.0,
        force_upcast=False,
    ).to(memory_format=torch.channels_last)


def fit(folders: list[Path], seed: int = 0) -> AutoencoderTiny:
    """The autoencoder fitted to the training squares in `folders` (at most `FITTED_SQUARES` of them, drawn by `seed`)."""
    images, _ = squares(folders, seed)
    chosen = np.random.default_rng(seed).permutation(len(images))[:FITTED_SQUARES]
    model = build()
    initialise(model, torch.from_numpy(images[chosen]).permute(0, 3, 1, 2).float() / 255)
    return model
