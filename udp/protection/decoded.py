"""How far the pictures that latents decode to are from the clean ones, as the autoencoder's own features see it.

An imitator who learns long enough ends with the photos as their autoencoder holds them: what survives is what the latents of
the protected photos decode to. A distance of latents alone counts grain as much as shape, and moves most where a photo
is plain; this one counts the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from udp.models.latent import LatentDiffusionModel
from udp.models.precision import computes_in_bfloat16


class DecodedDistance:
    """LPIPS (Zhang et al. 2018, arXiv 1801.03924, eq. 1) with all weights 1, on the features of the model's own encoder."""

    def __init__(self, model: LatentDiffusionModel) -> None:
        self.model = model
        self._clean: torch.Tensor | None = None
        self._features: list[torch.Tensor] = []

    def __call__(self, latents: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Scalar mean over what `latents` (N, C, h, w) decode to, from `clean` (N, 3, S, S) in [0, 1]; at most 4 a scale."""
        if self._clean is None or not torch.equal(
            self._clean, clean
        ):  # the same again unless crops or changes are drawn
            with torch.no_grad():
                self._clean, self._features = clean, self._look(clean)
        device = str(latents.device.type)
        # Two thirds of the time where there are units for it: what is small here, the perturbation, is in the latents by now.
        with torch.autocast(device, torch.bfloat16, enabled=computes_in_bfloat16(device)):
            decoded = self._look(self.model.decode(latents))
        pairs = zip(decoded, self._features, strict=True)
        return sum((a - b).square().sum(1).mean() for a, b in pairs)

    def _look(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.normalize(f.float(), dim=1) for f in self.model.encoder_features(pixels)]


def blended(latents: torch.Tensor, losses: Sequence[tuple[torch.Tensor, float]]) -> torch.Tensor:
    """The sum of the losses times their say, but its gradient for `latents` (N, C, h, w) is a blend of every loss's.

    Each is a loss and its say: gradients are divided by their mean magnitude in each sample before they are added, because
    the scales of different losses say nothing about which matters. One way back through the encoder serves all.
    """
    value = sum(say * loss.detach() for loss, say in losses)
    if not latents.requires_grad:
        return value
    total = torch.zeros_like(latents)
    for loss, say in losses:
        (gradient,) = torch.autograd.grad(loss, latents, retain_graph=True)
        size = gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
        total += say * gradient / size
    carrier = ((latents - latents.detach()) * total).sum() / len(latents)  # nothing by value
    return value + carrier
