"""Differentiable image transformations: expectation over transformation (Athalye et al. 2018, arXiv 1707.07397).

A perturbation that is optimised through what photos go through on their way to an imitator, re-encoding above all, has a
better chance of surviving it. Every parameter is drawn from a passed generator, and one draw can be applied to several
versions of a photo.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from udp.errors import InvalidInput
from udp.tensors import resize

# (1, 3, H, W) in [0, 1] -> the same, of any size
Transformation = Callable[[torch.Tensor], torch.Tensor]
# One draw in this many leaves the photo alone, so that the perturbation stays strong without any transformation.
UNTOUCHED_SHARE = 0.25


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def jpeg(image: torch.Tensor, quality: float) -> torch.Tensor:
    """JPEG with chroma subsampling at `quality` (1 to 100); rounding is replaced by a differentiable polynomial."""
    from kornia.enhance import jpeg_codec_differentiable  # a second to import, and only this needs it

    return jpeg_codec_differentiable(image, torch.tensor([quality], device=image.device))


def down_and_up(image: torch.Tensor, scale: float) -> torch.Tensor:
    """Resized to `scale` times its size and back."""
    height, width = image.shape[-2:]
    return resize(resize(image, max(1, round(height * scale)), max(1, round(width * scale))), height, width)


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur with a standard deviation of `sigma` pixels."""
    from kornia.filters import gaussian_blur2d

    size = 2 * max(1, round(2 * sigma)) + 1
    return gaussian_blur2d(image, (size, size), (sigma, sigma))


def crop(image: torch.Tensor, share: float, down: float, right: float) -> torch.Tensor:
    """A window of `share` of both sides, at `down` and `right` (0 to 1) of the room that is left."""
    height, width = image.shape[-2:]
    high, wide = max(1, round(height * share)), max(1, round(width * share))
    top, left = round((height - high) * down), round((width - wide) * right)
    return image[..., top : top + high, left : left + wide]


def draw_jpeg(generator: torch.Generator) -> Transformation:
    """A JPEG quality between 50 and 95."""
    return functools.partial(jpeg, quality=uniform(50, 95, generator))


def draw_resize(generator: torch.Generator) -> Transformation:
    """Down to between 0.4 and 0.9 of the size, and back."""
    return functools.partial(down_and_up, scale=uniform(0.4, 0.9, generator))


def draw_blur(generator: torch.Generator) -> Transformation:
    """A blur of 0.4 to 1.2 pixels."""
    return functools.partial(blur, sigma=uniform(0.4, 1.2, generator))


def draw_crop(generator: torch.Generator) -> Transformation:
    """A window of 80 to 100 % of each side."""
    share, down, right = uniform(0.8, 1, generator), uniform(0, 1, generator), uniform(0, 1, generator)
    return functools.partial(crop, share=share, down=down, right=right)


def draw_flip(generator: torch.Generator) -> Transformation:
    """The mirror image."""
    return lambda image: image.flip(-1)


def draw_noise(generator: torch.Generator) -> Transformation:
    """Gaussian noise of up to 8/255, the same for every version of a photo that the draw is applied to."""
    strength, seed = uniform(0, 8 / 255, generator), int(torch.randint(2**31, (), generator=generator))

    def add(image: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
        return (image + strength * noise.to(image.device)).clamp(0, 1)

    return add


AUGMENTATIONS: dict[str, tuple[Callable[[torch.Generator], Transformation], ...]] = {
    "none": (),
    "jpeg": (draw_jpeg,),
    "resize": (draw_resize,),
    "crop": (draw_crop,),
    "all": (draw_jpeg, draw_resize, draw_blur, draw_crop, draw_flip, draw_noise),
}


def draw_transformation(name: str, generator: torch.Generator) -> Transformation | None:
    """A random member of the set called `name`, or None for "leave it alone". Draws nothing for "none".

    Raises `InvalidInput` for an unknown name.
    """
    if name not in AUGMENTATIONS:
        raise InvalidInput(f"expected an augmentation among {', '.join(AUGMENTATIONS)}, got {name!r}")
    members = AUGMENTATIONS[name]
    if not members or float(torch.rand((), generator=generator)) < UNTOUCHED_SHARE:
        return None
    return members[int(torch.randint(len(members), (), generator=generator))](generator)
