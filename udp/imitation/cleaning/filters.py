"""Cleanings that need no model: compression, scaling, cropping, noise and classical filters.

kornia takes a second to import, so it is where it is needed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from udp.imitation.cleaning.base import Cleaning, OnShare
from udp.models.base import DiffusionModel
from udp.settings import setting
from udp.tensors import to_pixels, to_tensor


@dataclass(frozen=True)
class Nothing(Cleaning):
    """The photos as they were found."""

    name = "none"
    title = "No cleaning"
    reference = "control"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        return pixels


@dataclass(frozen=True)
class JPEG(Cleaning):
    """Saved as JPEG with Pillow's default chroma subsampling, and opened again."""

    quality: int = setting(75, "JPEG quality", 1, 100, 1)

    reference = "Sandoval-Segura et al. 2023, arXiv 2304.02234"

    @property
    def name(self) -> str:
        """See `Cleaning.name`."""
        return f"jpeg{self.quality}"

    @property
    def title(self) -> str:
        """See `Cleaning.title`."""
        return f"JPEG, quality {self.quality}"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=self.quality)
        return np.asarray(Image.open(buffer).convert("RGB"))


@dataclass(frozen=True)
class Resize(Cleaning):
    """Made smaller and brought back to the same size, both with Lanczos."""

    scale: float = setting(0.5, "smaller side over original side", 0.1, 1.0, 0.05)

    name = "half"
    title = "Resized to half and back"
    reference = "every social network; Liang & Wu 2023 (Mist), arXiv 2305.12683"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        image = Image.fromarray(pixels)
        small = (max(1, round(image.width * self.scale)), max(1, round(image.height * self.scale)))
        return np.asarray(image.resize(small, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class Crop(Cleaning):
    """A margin cut off on all sides: the fine-tune's own scaling then meets the perturbation off its grid."""

    margin: float = setting(0.06, "part of each side cut off", 0.0, 0.4, 0.01)

    reframes = True

    name = "crop"
    title = "Cropped a little"
    reference = "Liang & Wu 2023 (Mist), arXiv 2305.12683"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        height, width = pixels.shape[:2]
        top, left = round(height * self.margin), round(width * self.margin)
        return pixels[top : height - top, left : width - left]


@dataclass(frozen=True)
class GaussianBlur(Cleaning):
    """Gaussian blur, `sigma` in pixels of the photo."""

    sigma: float = setting(1.5, "standard deviation in pixels", 0.1, 10.0, 0.1)

    name = "blur"
    title = "Gaussian blur"
    reference = "Van Le et al. 2023 (Anti-DreamBooth), arXiv 2303.15433"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        from kornia.filters import gaussian_blur2d

        size = 2 * int(np.ceil(3 * self.sigma)) + 1
        return to_pixels(gaussian_blur2d(to_tensor(pixels)[None], size, (self.sigma, self.sigma))[0])


@dataclass(frozen=True)
class GaussianNoise(Cleaning):
    """Independent Gaussian noise on every value, to drown the perturbation."""

    sigma: float = setting(12 / 255, "standard deviation", 0.0, 64 / 255, 1 / 255, levels=True)

    name = "noise"
    title = "Gaussian noise"
    reference = "Hoenig et al. 2024, arXiv 2406.12027"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        image = to_tensor(pixels)
        return to_pixels(image + self.sigma * torch.randn(image.shape, generator=generator))


@dataclass(frozen=True)
class Median(Cleaning):
    """The median of each pixel's square neighbourhood, channel by channel."""

    size: int = setting(3, "side of the neighbourhood in pixels, odd", 3, 15, 2)

    name = "median"
    title = "Median filter"
    reference = "Xu et al. 2018 (feature squeezing), arXiv 1704.01155"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        from kornia.filters import median_blur

        return to_pixels(median_blur(to_tensor(pixels)[None], self.size)[0])


@dataclass(frozen=True)
class Bilateral(Cleaning):
    """Smooths flat areas and keeps edges (Tomasi & Manduchi 1998), repeated as in AdverseCleaner."""

    sigma_color: float = setting(
        24 / 255, "largest difference that is smoothed", 1 / 255, 128 / 255, 1 / 255, levels=True
    )
    sigma_space: float = setting(3.0, "standard deviation in pixels", 0.5, 10.0, 0.5)
    repeats: int = setting(4, "times it is applied", 1, 64, 1)

    name = "bilateral"
    title = "Bilateral filter"
    reference = "AdverseCleaner (L. Zhang 2023)"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        from kornia.filters import bilateral_blur

        image = to_tensor(pixels)[None]
        for _ in range(self.repeats):
            image = bilateral_blur(image, 5, self.sigma_color, (self.sigma_space, self.sigma_space))
        return to_pixels(image[0])


@dataclass(frozen=True)
class Guided(Cleaning):
    """The guided filter of He et al. 2010, with a median-filtered copy of the photo as its guide.

    AdverseCleaner guides by a bilateral result; the median is the cheaper guide of the same kind.
    """

    size: int = setting(9, "side of the window in pixels, odd", 3, 31, 2)
    epsilon: float = setting(0.002, "variance below which a window is smoothed, pixels in [0, 1]", 1e-5, 0.1, 1e-5)

    name = "guided"
    title = "Guided filter"
    reference = "He et al. 2010; AdverseCleaner (L. Zhang 2023)"

    def run(
        self, pixels: np.ndarray, model: DiffusionModel | None, generator: torch.Generator, on_share: OnShare
    ) -> np.ndarray:
        """See `Cleaning.run`."""
        from kornia.filters import guided_blur, median_blur

        image = to_tensor(pixels)[None]
        return to_pixels(guided_blur(median_blur(image, 3), image, self.size, self.epsilon)[0])
