"""The budget holds exactly after rounding to 8 bits and a PNG round trip."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from udp.errors import BudgetExceeded, InvalidInput
from udp.protection.budget import check_budget, largest_difference, project, to_8_bits, whole_levels

SHAPE = st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))


@given(st.data(), st.integers(1, 32))
@settings(max_examples=80, deadline=None)
def test_budget_holds_after_a_png_round_trip(data: st.DataObject, levels: int) -> None:
    original = data.draw(hnp.arrays(np.uint8, SHAPE))
    wild = data.draw(hnp.arrays(np.float32, original.shape, elements=st.floats(-2, 3, width=32)))
    saved = io.BytesIO()
    Image.fromarray(to_8_bits(original, wild, levels / 255)).save(saved, format="PNG")
    loaded = np.asarray(Image.open(saved))
    check_budget(original, loaded, levels / 255)
    assert largest_difference(original, loaded) <= levels


@given(hnp.arrays(np.uint8, SHAPE), st.integers(1, 32))
@settings(max_examples=50, deadline=None)
def test_a_full_step_is_kept_whole(original: np.ndarray, levels: int) -> None:
    """Rounding to nearest keeps +budget and -budget; a floor would lose a level of every positive change."""
    for sign in (1, -1):
        wanted = np.clip(original.astype(int) + sign * levels, 0, 255)
        perturbed = np.clip(original / np.float32(255) + np.float32(sign * levels / 255), 0, 1)
        assert np.array_equal(to_8_bits(original, perturbed, levels / 255), wanted)


@given(st.floats(0.004, 0.2), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_project_is_inside_both_bounds_and_idempotent(budget: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, 5, 5, generator=generator)
    once = project(torch.randn(1, 3, 5, 5, generator=generator), image, budget)
    assert once.abs().max() <= budget + 1e-6
    assert (image + once).min() >= 0 and (image + once).max() <= 1
    assert torch.allclose(project(once, image, budget), once, atol=1e-6)


def test_excess_and_wrong_shapes_are_caught() -> None:
    original = np.full((4, 4, 3), 100, np.uint8)
    with pytest.raises(BudgetExceeded, match="at most 8/255, got 9/255"):
        check_budget(original, original + 9, 8 / 255)
    with pytest.raises(BudgetExceeded, match="shape"):
        check_budget(original, original[:2], 8 / 255)
    with pytest.raises(InvalidInput, match="at least 1/255"):
        whole_levels(0.5 / 255)


def test_every_whole_level_counts_in_full() -> None:
    assert [whole_levels(n / 255) for n in range(1, 33)] == list(range(1, 33))
