"""Shapes and colours without any network: a second pair of eyes, which no attack on a model was made against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from skimage.color import rgb2gray, rgb2lab
from skimage.feature import hog

from udp.evaluation.metrics.quality import squares

SIDE = 128  # pixels of the squares that are looked at
CELL = 16  # pixels of a cell of gradients, and of a block of colour


def shapes(images: Sequence[np.ndarray]) -> torch.Tensor:
    """Descriptors of uint8 pictures of any size, (N, D), each of unit length: outlines and colours have the same say.

    Histograms of oriented gradients in cells of 16 px (Dalal & Triggs 2005, "Histograms of Oriented Gradients for Human
    Detection") and the mean CIELAB colour of blocks of that size, both of the centre square at 128 px.
    """
    rows = []
    for image in squares(images, SIDE):
        outlines = hog(rgb2gray(image), orientations=9, pixels_per_cell=(CELL, CELL), cells_per_block=(2, 2))
        blocks = rgb2lab(image).reshape(SIDE // CELL, CELL, SIDE // CELL, CELL, 3).mean((1, 3))
        colours = (blocks - [50, 0, 0]).ravel()  # mid-gray is the origin
        rows.append(np.concatenate([part / max(np.linalg.norm(part), 1e-9) for part in (outlines, colours)]))
    return torch.from_numpy(np.stack(rows) / 2**0.5).float()
