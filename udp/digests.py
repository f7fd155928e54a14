"""Short names for contents: what was made from equal things needs no second making."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from udp.photos import Photo


def digest(content: Any) -> str:
    """SHA-256 of a JSON value, in hexadecimal; equal content gives equal text."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def photos_digest(photos: Sequence[Photo]) -> str:
    """SHA-256 of the pixels of photos, in order, and of their transparency where they have any."""
    found = hashlib.sha256()
    for photo in photos:
        found.update(str(photo.pixels.shape).encode() + photo.pixels.tobytes())
        if photo.alpha is not None:
            found.update(photo.alpha.tobytes())
    return found.hexdigest()


def captioned_digest(photos: Sequence[Photo]) -> str:
    """`photos_digest`, or where there are captions, a digest of those as well."""
    captions, found = [photo.caption for photo in photos], photos_digest(photos)
    return digest([found, captions]) if any(captions) else found


@torch.no_grad()
def weights_digest(modules: Iterable[torch.nn.Module]) -> str:
    """A short name for a model's weights, so that results of a retrained model are not taken for the old one's.

    Of their bytes: a sum would depend on the number of threads, and a run that goes on with another would begin anew.
    """
    found = hashlib.sha256()
    # One at a time: a large model's copies together would need its memory again.
    for parameter in (p for module in modules for p in module.parameters()):
        plain = parameter.detach().cpu().contiguous().reshape(-1)
        found.update(f"{parameter.dtype} {tuple(parameter.shape)}".encode())
        found.update(plain.view(torch.uint8).numpy())
    return found.hexdigest()[:16]
