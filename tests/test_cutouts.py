"""The cut-outs among the training renders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipe.render_cutouts import NOUNS, bled, dominant_colour, inflated, open_cutouts, recoloured
from udp.errors import InvalidInput


def disc(colour: tuple[int, int, int] = (220, 30, 30), radius: float = 90) -> np.ndarray:
    """A disc on nothing, (256, 256, 4) uint8."""
    y, x = np.mgrid[:256, :256] - 127.5
    inside = np.hypot(x, y) < radius
    return np.dstack([np.full((256, 256, 3), colour), 255 * inside]).astype(np.uint8)


def test_a_cutout_is_inflated_to_a_closed_pillow() -> None:
    mesh = inflated(disc()[..., 3] / 255, thickness=0.3)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert high - low == pytest.approx([180 / 256, 0.3, 180 / 256], abs=0.03)
    assert low[1] == pytest.approx(-high[1])
    # Front and back meet at the rim: every edge borders two triangles, once vertices in one place count as one.
    places = np.unique(mesh.vertices.round(6), axis=0, return_inverse=True)[1].reshape(-1)
    corners = places[mesh.faces]
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
    assert np.unique(edges, axis=0, return_counts=True)[1].min() >= 2
    # Faces and normals look outwards.
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    facing = np.cross(b - a, c - a)
    assert (facing[:, 1] * a[:, 1] >= -1e-9).all()
    assert (mesh.normals[:, 1] * mesh.vertices[:, 1] >= 0).all()


def test_what_is_transparent_takes_the_nearest_colour() -> None:
    picture = disc()
    picture[picture[..., 3] == 0, :3] = 0
    filled = bled(picture[..., :3], picture[..., 3] > 200)
    assert (filled == (220, 30, 30)).all()


def test_recolouring_keeps_the_shape_and_follows_the_seed() -> None:
    picture = disc()[..., :3]
    same, again = (recoloured(picture, np.random.default_rng(3)) for _ in range(2))
    assert same.shape == picture.shape and same.dtype == np.uint8 and np.array_equal(same, again)
    words = {
        dominant_colour(recoloured(picture, np.random.default_rng(seed)), disc()[..., 3] > 0) for seed in range(40)
    }
    assert "red" in words and len(words) > 3


def test_a_colour_is_named_only_if_it_prevails() -> None:
    picture = disc()
    inside = picture[..., 3] > 0
    assert dominant_colour(picture[..., :3], inside) == "red"
    picture[:, 128:, :3] = (20, 60, 200)
    assert dominant_colour(picture[..., :3], inside) is None
    assert dominant_colour(picture[..., :3], np.zeros((256, 256), bool)) is None


def test_pictures_are_found_by_code_point(tmp_path: Path) -> None:
    for name in ("1fad6", "1f45f", "2602-fe0f", "1f468", "1f468-200d-1f9b0", "1f44d-1f3fb"):
        Image.fromarray(disc()).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.png").rename(tmp_path / f"{name}.webp")
    cutouts = open_cutouts(tmp_path)
    assert sorted(noun for noun, _ in cutouts.entries) == ["sneaker", "teapot", "umbrella"]  # no man, no hand
    thing = cutouts.thing(np.random.default_rng(0))
    low, high = thing.bounds()
    assert low[2] == pytest.approx(0) and (high - low).max() == pytest.approx(1)
    assert thing.words.split()[-1] in {"sneaker", "teapot", "umbrella"}
    with pytest.raises(InvalidInput, match="expected pictures named by code point"):
        open_cutouts(tmp_path / "nowhere")


def test_no_people_are_among_the_nouns() -> None:
    people = {"man", "woman", "boy", "girl", "baby", "person", "people", "face", "hand", "dancer", "princess"}
    assert not people & {word for noun in NOUNS.values() for word in noun.split()}
