"""What a shared app keeps of its visitors' prompts: the latest few."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import pytest
import torch

from udp.imitation.recipes import LoRA, subject
from udp.models.base import MOST_PROMPTS
from udp.models.latent import LatentDiffusionModel
from udp.models.recent import recall


def test_the_latest_are_kept_and_made_once() -> None:
    made: list[str] = []
    kept: dict = {}

    def ask(key: str) -> str:
        return recall(kept, key, lambda: made.append(key) or key.upper(), 2)

    assert [ask(key) for key in "abab"] == ["A", "B", "A", "B"] and made == ["a", "b"]
    assert ask("a") and ask("c") == "C" and list(kept) == ["a", "c"]  # b was asked for longest ago
    assert ask("b") == "B" and made == ["a", "b", "c", "b"]


def test_a_model_forgets_prompts_and_encodes_them_alike(tiny_model: LatentDiffusionModel) -> None:
    first = tiny_model.embed("a photo of a toy")
    for index in range(2 * MOST_PROMPTS):
        tiny_model.embed(f"a photo number {index}")
    assert len(tiny_model._prompts) == MOST_PROMPTS and "a photo of a toy" not in tiny_model._prompts
    again = tiny_model.embed("a photo of a toy")
    assert torch.equal(first, again) and tiny_model.embed("a photo of a toy") is again


def test_class_images_of_the_latest_settings_are_kept(
    tiny_model: LatentDiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    monkeypatch.setattr(subject, "_KEPT", WeakKeyDictionary())
    monkeypatch.setattr(LoRA, "_class_latents", lambda self, model, seed, _: made.append(seed) or torch.zeros(1))
    recipe = LoRA(prior_preservation="yes", class_images=16)
    for seed in (0, 0, 1, 2, 3, 4, 5, 0):
        recipe.prior(tiny_model, seed, lambda progress: None)
    assert made == [0, 1, 2, 3, 4, 5, 0]
    assert len(subject._KEPT[tiny_model]) == subject.MOST_KEPT
