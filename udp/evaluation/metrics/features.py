"""Figures about photos, about generated pictures, and about what a fine-tune learned.

None needs downloaded weights: perceptual distances come from the base model's own U-Net.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from udp.models.base import DiffusionModel
from udp.models.layers import outputs_of
from udp.models.loss import DenoisingLoss
from udp.models.timesteps import timestep_distribution
from udp.photos import Photo
from udp.tensors import to_tensor


@torch.no_grad()
def clean_loss(
    model: DiffusionModel, network: torch.nn.Module, photos: Sequence[Photo], prompt: str, draws: int = 16
) -> float:
    """The denoising loss of `network` on the clean photos, at fixed stratified timesteps and fixed noise.

    It says how well the model now knows the real subject, whatever it was trained on: lower is better for the imitator.
    """
    generator = torch.Generator().manual_seed(20_230_602)
    loss = DenoisingLoss(model, model.embed(prompt), timestep_distribution("uniform", model.schedule.signal_share))
    latents = model.encode(model.prepare([to_tensor(photo.pixels)[None] for photo in photos]))
    return float(np.mean([float(loss(network, latents, generator)) for _ in range(draws)]))


@torch.no_grad()
def features(model: DiffusionModel, images: Sequence[np.ndarray]) -> torch.Tensor:
    """Perceptual features of uint8 pictures (H, W, 3), (N, D), each of unit length.

    Activations of the base U-Net's middle block at a little noise (t = 100), as in DIFT (Tang et al. 2023,
    arXiv 2306.03881), pooled to 2 x 2 so that they keep a coarse layout.
    """
    with outputs_of([model.feature_layer]) as captured:
        latents = model.encode(model.prepare([to_tensor(image)[None] for image in images]))
        timesteps = torch.full((len(latents),), 100)
        noise = torch.randn(latents[:1].shape, generator=torch.Generator().manual_seed(0)).to(latents.device)
        noisy = model.schedule.add_noise(latents, noise.expand_as(latents), timesteps.to(latents.device))
        model.denoise(model.network, noisy, model.schedule.times[timesteps], model.embed_nothing())
    pooled = torch.nn.functional.adaptive_avg_pool2d(model.feature_map(captured[0]).float(), 2).flatten(1)
    return torch.nn.functional.normalize(pooled, dim=1)


def similarity(generated: torch.Tensor, real: torch.Tensor, origin: torch.Tensor) -> float:
    """Mean cosine of each generated picture to its nearest real photo, features centred on `origin` (D,).

    `origin` is the mean feature of what the base model gives for the same prompt: 0 then means "no nearer to the
    subject than the model was before fine-tuning", 1 means "the same picture".
    """
    a = torch.nn.functional.normalize(generated - origin, dim=1)
    b = torch.nn.functional.normalize(real - origin, dim=1)
    return float((a @ b.T).max(1).values.mean())


def diversity(generated: torch.Tensor) -> float:
    """Mean distance between pairs of generated pictures' features; 0 means all the same. 0 for a single picture."""
    return float(torch.pdist(generated).mean()) if len(generated) > 1 else 0.0
