"""A smaller U-Net is taught what the embedded one's knows, and is moved to where fine-tunes begin well."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recipe import distil, reptile
from recipe.distil import Lesson, captions
from tests.conftest import picture
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model

SQUARES = 12


@pytest.fixture
def options(tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """Of both commands; pictures of the tiny model's size, and a clock that ticks with every look at it."""
    images = np.stack([picture(index, 64, 64) for index in range(SQUARES)])
    words = [f"a photo of a toy, {index // 4}" for index in range(SQUARES)]
    monkeypatch.setattr(distil, "squares", lambda folders, seed: (images, words))
    monkeypatch.setattr(distil, "DRAWN_STEPS", 2)
    monkeypatch.setattr(distil, "REPORT_EVERY", 6)
    clock = iter(range(1_000_000))
    monkeypatch.setattr(time, "monotonic", lambda: 0.01 * next(clock))
    return Namespace(
        data=[tmp_path / "data"], teacher=tiny_model_folder, start=tiny_model_folder, widths=[32, 32], views=2, pictures=4,
        batch=4, seed=0, steps=6, rate=0.5, at_once=2, minutes=0.0, work=tmp_path / "work", out=tmp_path / "out",
    )  # fmt: skip


def taught(options: Namespace, minutes: float) -> LatentDiffusionModel:
    return made(distil.train, options, minutes)


def made(train: Callable[[Namespace], None], options: Namespace, minutes: float) -> LatentDiffusionModel:
    """A folder of its own each time: a loaded model is kept by its folder."""
    options.minutes, options.out = minutes, options.out.with_name(f"{options.out.name}x")
    train(options)
    return load_model(str(options.out))


def lesson_of(options: Namespace) -> Lesson:
    """The same batches at every call."""
    teacher = load_model(str(options.teacher))
    latents, words = distil.material(teacher, options.data, 2, 4, options.work, 0)
    return Lesson(teacher, latents, words, 8, 3)


def distance(options: Namespace, model: LatentDiffusionModel) -> float:
    lesson = lesson_of(options)
    with torch.no_grad():
        return sum(float(lesson.loss(model.network)) for _ in range(4))


def test_a_smaller_network_learns_what_the_teacher_predicts_and_resumes(options: Namespace) -> None:
    untaught = distance(options, taught(options, 0))
    student = taught(options, 2 / 60)
    assert tuple(student.network.config.block_out_channels) == (32, 32)
    assert distance(options, student) < 0.7 * untaught
    again = taught(options, 0)
    for before, after in zip(student.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(before, after)


def test_the_material_is_views_of_the_squares_and_then_drawn_pictures_and_is_kept(
    options: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    options.work.mkdir()
    teacher = load_model(str(options.teacher))
    latents, words = distil.material(teacher, options.data, 2, 4, options.work, 0)
    assert latents.shape == (2 * SQUARES + 4, *teacher.latent_shape) and latents.dtype == torch.float16
    assert words[:SQUARES] == words[SQUARES : 2 * SQUARES] and words[-4:] == captions(4, 0)
    assert not torch.equal(latents[:SQUARES], latents[SQUARES : 2 * SQUARES])
    monkeypatch.setattr(distil, "drawn", lambda *given: pytest.fail("expected the latents that were kept"))
    kept, _ = distil.material(teacher, options.data, 2, 4, options.work, 0)
    assert torch.equal(kept, latents)


def test_captions_are_drawn_by_seed_in_plain_words() -> None:
    found = captions(200, 1)
    assert found == captions(200, 1) != captions(200, 2)
    assert all(text.startswith(("a photo of a", "a drawing of a", "a watercolor", "a cartoon")) for text in found)


def test_a_handful_is_of_one_picture_or_of_several_and_never_drawn() -> None:
    squares, views, drawn = 40, 2, 7
    latents = torch.arange(views * squares + drawn).view(-1, 1, 1, 1).half()
    words = [f"square {index}" for index in range(squares)] * views + ["drawn"] * drawn
    generator, near, named = torch.Generator().manual_seed(0), 0, 0
    for _ in range(60):
        found, called = reptile.handful(latents, words, views, drawn, generator)
        assert found.dtype == torch.float32 and reptile.FEWEST <= len(found) == len(called) <= reptile.MOST
        assert found.max() < views * squares
        places = found.flatten().long() % squares
        near += bool((places.diff() == 1).all())
        if called[0] in reptile.SUBJECTS:
            assert len(set(called)) == 1
        else:
            named += 1
            assert called == [f"square {place}" for place in places.tolist()]
    assert 15 < near < 45 and 15 < named < 45


def test_weights_move_a_share_of_the_way_to_the_mean_of_the_ends() -> None:
    network, one, two = (torch.nn.Linear(2, 1, bias=False) for _ in range(3))
    for layer, value in ((network, 1.0), (one, 2.0), (two, 4.0)):
        torch.nn.init.constant_(layer.weight, value)
    reptile.move(network, [one, two], 0.25)
    assert network.weight.tolist() == [[1.5, 1.5]]


def test_fine_tunes_end_lower_from_where_the_weights_were_moved_and_it_resumes(options: Namespace) -> None:
    """On pictures of which neither has seen any."""
    start = load_model(str(options.start))
    moved = made(reptile.train, options, 0.28 / 60)
    pictures = torch.from_numpy(np.stack([picture(index, 64, 64) for index in range(50, 54)])).permute(0, 3, 1, 2)
    with torch.no_grad():
        latents = start.encode(pictures.float() / 255)
    found = latents, ["a photo of sks"] * 4
    ends = [reptile.fine_tune(model, model.copy_network(), found, options.steps, seed=9) for model in (start, moved)]
    assert ends[1] < 0.95 * ends[0]
    again = made(reptile.train, options, 0)
    for before, after in zip(moved.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(before, after)
