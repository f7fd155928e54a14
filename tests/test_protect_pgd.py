"""The PGD loop: groups, momentum, step sizes, limits, and gradients that say nothing."""

from __future__ import annotations

import pytest
import torch

from udp.errors import InvalidInput, UnusableGradient
from udp.protection.pgd import PGD, PGDSettings


def photos(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(1, 3, 4, 4, generator=generator) * 0.5 + 0.25 for _ in range(count)]


def zeros(images: list[torch.Tensor]) -> list[torch.Tensor]:
    return [torch.zeros_like(i) for i in images]


def brightness(perturbed, clean, step) -> torch.Tensor:
    return torch.cat(list(perturbed)).mean()


def test_groups_of_photos_give_the_same_result_as_all_at_once() -> None:
    images, results = photos(5), []
    for group_size in (2, 8):
        attack = PGD(images, zeros(images), [0.03] * 5, PGDSettings(0.01, "ascend", group_size))
        attack.run(lambda perturbed, clean, step: torch.cat(list(perturbed)).sin().mean(), 4)
        results.append(attack.perturbations)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_an_objective_that_ignores_a_photo_is_refused() -> None:
    images = photos(2)
    with pytest.raises(InvalidInput, match="depend on every photo"):
        PGD(images, zeros(images), [0.1] * 2, PGDSettings(0.1)).run(lambda p, c, step: p[0].sum(), 1)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (lambda p, c, step: torch.cat(p).sum() * float("nan"), "expected finite gradients.*photo 1"),
        (lambda p, c, step: torch.cat(p).sum() / 0.0, "expected finite gradients"),
        (lambda p, c, step: p[0].sum() + p[1].sum() * 0, "got zero everywhere for photo 2"),
        # what half precision does to a small gradient: it is rounded to zero before it reaches the photo
        (lambda p, c, step: (torch.cat(p).half() * 1e-9).float().sum(), "got zero everywhere"),
    ],
)
def test_gradients_that_say_nothing_are_refused(objective, words: str) -> None:
    images = photos(2)
    with pytest.raises(UnusableGradient, match=words):
        PGD(images, zeros(images), [0.1] * 2, PGDSettings(0.1)).run(objective, 1)


def test_the_objective_sees_the_clean_photos() -> None:
    images = photos(2)
    attack = PGD(images, [torch.full_like(i, 0.01) for i in images], [0.05] * 2, PGDSettings(0.01))

    def distance(perturbed, clean, step) -> torch.Tensor:
        assert all(torch.equal(a, b) for a, b in zip(clean, images, strict=True))
        return (torch.cat(list(perturbed)) - torch.cat(list(clean))).square().mean()

    losses = attack.run(distance, 4)
    assert losses == sorted(losses) and losses[-1] > losses[0]


def test_limits_hold_pixel_by_pixel() -> None:
    (image,) = photos(1)
    limit = torch.zeros(1, 1, 4, 4)
    limit[..., 2:] = 0.02
    attack = PGD([image], zeros([image]), [limit], PGDSettings(0.05))
    attack.run(brightness, 3)
    (perturbation,) = attack.perturbations
    assert not perturbation[..., :2].any()
    assert torch.allclose(perturbation[..., 2:], torch.tensor(0.02), atol=1e-6)


def test_momentum_keeps_its_way_where_plain_steps_turn_back() -> None:
    """A gradient of 3 and then -1: plain PGD returns to the start, momentum goes on; also across two calls of `run`."""
    slopes = [3.0, -1.0]
    (image,) = photos(1)

    def ends(momentum: float) -> float:
        attack = PGD([image], zeros([image]), [0.1], PGDSettings(0.01, momentum=momentum))
        for index, slope in enumerate(slopes):
            attack.run(lambda p, c, step, slope=slope: (p[0] * slope).sum() if step >= 0 else None, 1)
            assert attack.step == index + 1
        return float(attack.perturbations[0].mean())

    assert ends(0.0) == pytest.approx(0, abs=1e-6)
    # unit gradients +1 and -1: mu = 1.5 outweighs the turn, and the second step goes on
    assert ends(1.5) == pytest.approx(0.02, abs=1e-6)


def test_linear_schedule_shrinks_the_step() -> None:
    (image,) = photos(1)
    attack = PGD([image], zeros([image]), [1.0], PGDSettings(0.04, schedule="linear", total_steps=4))
    places = []
    for _ in range(4):
        attack.run(brightness, 1)
        places.append(float(attack.perturbations[0].mean()))
    assert places == pytest.approx([0.04, 0.07, 0.09, 0.1], abs=1e-6)
