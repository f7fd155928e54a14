"""What a row of the table of metrics says of its figure."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from udp.language import Text, text

# One number; or one of each picture, of which the figure is the mean; or the figure of any choice of pictures, by their
# indices (N,). The last two have a bootstrap interval.
Value = float | np.ndarray | Callable[[np.ndarray], float]


class Better(enum.Enum):
    """Which way a better imitation lies; None in a row where neither end is."""

    LOWER = "lower"
    HIGHER = "higher"


class Extractor(enum.Enum):
    """What sees the pictures for a figure: figures from two extractors do not compare."""

    LOSS = "the model's own denoising loss"
    NETWORK = "features of the base model's network"
    WAVELETS = "wavelets"
    SPECTRA = "power spectra"
    SHAPES = "oriented gradients and colours"
    PIXELS = "pixels"
    TRAINING = "the fine-tune itself"
    CLIP = "CLIP"
    DINOV2 = "DINOv2"
    FACES = "faces and identities"


@dataclass(frozen=True)
class Metric:
    """A figure of one arm's pictures, or of what its fine-tune learned.

    `title` and `help` are English and for people; `unit` is a symbol, the same in every language. `function` takes an
    object of the class `evidence` (`udp.evaluation.metrics.figures`, `figures_pretrained`, `figures_faces`) and returns None where the
    figure is not defined. `digits` is how many are kept after the point; `on_prompt` says that it compares the pictures
    with their prompt instead of the clean photos.
    """

    key: str
    title: str
    help: str
    evidence: type
    function: Callable[[Any], Value | None]
    extractor: Extractor
    better: Better | None = None
    unit: str = ""
    digits: int = 3
    on_prompt: bool = False

    @property
    def heading(self) -> Text:
        """The title with its unit."""
        title = text(f"metric.{self.key}", self.title)
        return text("metric.in_unit", title=title, unit=self.unit) if self.unit else title

    @property
    def meaning(self) -> Text:
        """What the figure says."""
        return text(f"metric.{self.key}.help", self.help)
