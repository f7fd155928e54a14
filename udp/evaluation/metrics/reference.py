"""What arms are compared with by models of others: the clean photos, as such a model sees them."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from udp.evaluation.metrics.base import Metric
from udp.language import Text


class Reference(abc.ABC):
    """The clean photos as further models see them. `evidence` is the class of what `see` gives, as rows of the table name it."""

    evidence: ClassVar[type]

    @abc.abstractmethod
    def see(self, images: Sequence[np.ndarray]) -> Any:
        """The evidence of uint8 pictures, each (S, S, 3)."""

    @abc.abstractmethod
    def rests_on(self, row: Metric, pictures: int) -> Text | None:
        """What sees `pictures` pictures for a figure and how many samples it rests on; None if there is no such figure."""

    @abc.abstractmethod
    def basis(self) -> Text:
        """How the figures are made."""
