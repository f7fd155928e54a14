"""Shapes and colours: a picture is most like itself, less like it blurred or recoloured, and least like another."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from tests.conftest import picture
from udp.evaluation.metrics.shapes import shapes


def test_likeness_falls_with_shape_and_with_colour() -> None:
    photo, other = picture(0, width=200, height=128), picture(5, width=128, height=160)
    blurred = gaussian_filter(photo, (12, 12, 0))
    recoloured = photo[..., ::-1].copy()
    seen = shapes([photo, photo, blurred, recoloured, other, np.full_like(photo, 128)])
    assert torch.allclose(seen.norm(dim=1)[:5], torch.ones(5), atol=1e-5) and torch.isfinite(seen).all()
    alike = (seen[0] @ seen[1:].T).tolist()
    assert alike[0] > 0.9999
    assert max(alike[1:3]) < 0.97 and alike[3] < min(alike[1:3])
