"""Faults found in other people's protection code, which ours must not have.

Three more are tested beside what they concern: JPEG in and JPEG out in `test_protect_regions.py`, gradients that vanish to
sign 0 in `test_protect_pgd.py`, fine-tunes of bfloat16 weights in `test_recipes.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from tests.conftest import picture
from udp.errors import InvalidInput
from udp.imitation.recipes import LoRA
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.models.loss import DenoisingLoss
from udp.models.schedule import Prediction
from udp.models.timesteps import TimestepDistribution, greedy_distribution, timestep_distribution
from udp.photos import Photo
from udp.protection.base import ProtectionMethod
from udp.protection.budget import to_8_bits
from udp.protection.methods import ASPL, EUDP, FSMG, SDS, AdvDM, PhotoGuard

ROUNDS = {"rounds": 2, "surrogate_steps": 1, "pgd_steps": 2}
WITH_SURROGATE = [EUDP(**ROUNDS), ASPL(**ROUNDS), FSMG(surrogate_steps=1, pgd_steps=2)]
# Those whose surrogates learn in adapters on the base's own weights keep the same promises, but for what a copy is.
ANY_SURROGATE = [*WITH_SURROGATE, *(dataclasses.replace(method, surrogate="adapters") for method in WITH_SURROGATE)]
names = {"ids": lambda method: f"{method.name}-{getattr(method, 'surrogate', 'none')}"}


@pytest.fixture
def forward_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[UNet2DConditionModel, bool]]:
    """Every U-Net call of a test: the network, and whether a graph was recorded for its output."""
    calls = []
    plain = UNet2DConditionModel.forward

    def forward(self, sample, *args, **kwargs):
        calls.append((self, sample.requires_grad, any(p.requires_grad for p in self.parameters())))
        return plain(self, sample, *args, **kwargs)

    monkeypatch.setattr(UNet2DConditionModel, "forward", forward)
    return calls


@pytest.mark.parametrize("method", ANY_SURROGATE, **names)
def test_images_and_weights_never_get_gradients_together(
    method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo], forward_calls: list
) -> None:
    method(photos, tiny_model)
    assert any(of_weights for _, _, of_weights in forward_calls) and any(of_image for _, of_image, _ in forward_calls)
    assert not any(of_image and of_weights for _, of_image, of_weights in forward_calls)


@pytest.mark.parametrize("method", WITH_SURROGATE, **names)
def test_the_surrogate_is_a_float32_copy_whose_weights_move(
    method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo], forward_calls: list
) -> None:
    method(photos, tiny_model)
    surrogates = {id(unet): unet for unet, _, _ in forward_calls}
    assert id(tiny_model.network) not in surrogates
    for surrogate in surrogates.values():
        pairs = list(zip(surrogate.parameters(), tiny_model.network.parameters(), strict=True))
        assert all(a.dtype == torch.float32 for a, _ in pairs)
        assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("method", WITH_SURROGATE, **names)
def test_a_surrogate_of_a_bfloat16_base_moves_at_the_published_rate(
    method: ProtectionMethod, tiny_model_folder: Path, photos: list[Photo], forward_calls: list
) -> None:
    """5e-7 is far below half a step of bfloat16 at most weights: a surrogate in the base's own type would stand still."""
    model = load_model(str(tiny_model_folder), torch.bfloat16)
    dataclasses.replace(method, surrogate_learning_rate=5e-7)(photos[:1], model)
    surrogate = next(unet for unet, _, of_weights in forward_calls if of_weights)
    pairs = list(zip(surrogate.parameters(), model.network.parameters(), strict=True))
    assert all((a.dtype, b.dtype) == (torch.float32, torch.bfloat16) for a, b in pairs)
    moved, count = sum(int((a != b.float()).sum()) for a, b in pairs), sum(b.numel() for _, b in pairs)
    assert moved > 0.5 * count


def test_a_base_in_float16_is_refused() -> None:
    """Its gradients for the pixels would come out as zeros, whose sign moves nothing; bfloat16 has float32's range."""
    with pytest.raises(InvalidInput, match=r"expected float32 or bfloat16 for 'mini', got torch\.float16"):
        load_model("mini", torch.float16)


def test_sds_runs_the_unet_forward_only(
    tiny_model: LatentDiffusionModel, photos: list[Photo], forward_calls: list
) -> None:
    SDS(pgd_steps=2)(photos, tiny_model)
    assert forward_calls and not any(of_image or of_weights for _, of_image, of_weights in forward_calls)


def test_sds_draws_no_timestep_that_is_noise_alone(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gradient is zero there, for every pixel: with zero terminal SNR one photo in a thousand draws would stop the run."""
    alphas = torch.zeros_like(tiny_model.schedule.signal_share)
    alphas[0] = 0.5
    monkeypatch.setattr(tiny_model.schedule, "signal_share", alphas)
    (protected, *_) = SDS(pgd_steps=2)(photos, tiny_model)
    assert not np.array_equal(protected.pixels, photos[0].pixels)
    with pytest.raises(InvalidInput, match="with a positive sum"):
        timestep_distribution("uniform", alphas).where(alphas > 1)


def test_the_encoder_attack_runs_no_unet(
    tiny_model: LatentDiffusionModel, photos: list[Photo], forward_calls: list
) -> None:
    PhotoGuard(pgd_steps=2)(photos, tiny_model)
    assert not forward_calls


@pytest.mark.parametrize("method", [*ANY_SURROGATE, AdvDM(pgd_steps=3)], **names)
def test_text_is_embedded_once(
    method: ProtectionMethod, tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, plain = [], tiny_model.embed
    monkeypatch.setitem(vars(tiny_model), "embed", lambda prompt: calls.append(prompt) or plain(prompt))
    method(photos, tiny_model, prompt="a toy")
    assert calls == ["a toy"]


def test_a_fine_tune_runs_its_frozen_text_encoder_once(
    tiny_model: LatentDiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, plain = [], tiny_model.encode_prompt
    monkeypatch.setitem(vars(tiny_model), "encode_prompt", lambda prompt: calls.append(prompt) or plain(prompt))
    LoRA(steps=10).fit(photos[:1], tiny_model, "a toy that no other test asks for")
    assert calls.count("a toy that no other test asks for") == 1


def test_the_image_step_sees_the_posterior_mean(
    tiny_model: LatentDiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4).requires_grad_(False).eval()
    monkeypatch.setattr(tiny_model, "vae", vae)
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    posterior = vae.encode(pixels * 2 - 1).latent_dist
    assert posterior.std.min() > 0, "a sample would differ from the mean"
    assert torch.equal(tiny_model.encode(pixels), posterior.mean * vae.config.scaling_factor)


def test_saving_rounds_and_does_not_floor() -> None:
    original = np.full((64, 64, 3), 100, np.uint8)
    noise = np.random.default_rng(0).uniform(-8, 8, original.shape)
    saved = to_8_bits(original, (original + noise) / 255, 8 / 255).astype(float)
    assert abs((saved - original - noise).mean()) < 0.05, "a floor would darken the photo by half a level"
    assert np.abs(saved - original - noise).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("levels", [2, 8])
def test_contrast_is_not_stretched(levels: int, tiny_model: LatentDiffusionModel) -> None:
    """A dull photo stays dull: rescaling an output to its own minimum and maximum is how some scripts lose it."""
    dull = Photo("dull", (picture(1) // 8 + 100).astype(np.uint8))
    (protected,) = AdvDM(pgd_steps=2, budget=levels / 255)([dull], tiny_model)
    assert protected.pixels.min() >= dull.pixels.min() - levels and protected.pixels.max() <= dull.pixels.max() + levels


def test_a_long_photo_is_neither_squashed_nor_cropped(
    tiny_model: LatentDiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look at the photo is an undistorted square of it, and the looks differ in where they fall."""
    photo, seen = Photo("wide", picture(0, width=300, height=100)), []
    plain = tiny_model.encode
    monkeypatch.setitem(
        vars(tiny_model), "encode", lambda pixels: seen.append(pixels.detach().clone()) or plain(pixels)
    )
    (protected,) = AdvDM(pgd_steps=6, budget=2 / 255)([photo], tiny_model)
    assert protected.size == (300, 100)
    side = tiny_model.resolution
    small = torch.from_numpy(photo.pixels.copy()).permute(2, 0, 1)[None].float() / 255
    whole = torch.nn.functional.interpolate(
        small, size=(side, round(300 * side / 100)), mode="bilinear", antialias=True
    )
    offsets = set()
    for square in seen:
        errors = [float((whole[..., x : x + side] - square).abs().max()) for x in range(whole.shape[-1] - side + 1)]
        assert min(errors) < 2.5 / 255, "expected a window of the photo, at its own aspect"
        offsets.add(int(np.argmin(errors)))
    assert len(offsets) > 1


def test_first_and_last_timestep_are_reached_and_mean_what_they_say(tiny_model: LatentDiffusionModel) -> None:
    """No off-by-one at t = 0 (an index of -1 would wrap around to pure noise) and none at the end."""
    alphas, generator = tiny_model.schedule.signal_share, torch.Generator().manual_seed(0)
    drawn = timestep_distribution("uniform", alphas).sample(4 * len(alphas), generator)
    assert drawn.min() == 0 and drawn.max() == len(alphas) - 1
    latents, noise = torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    for t in (0, len(alphas) - 1):
        kept = tiny_model.schedule.add_noise(latents, noise, torch.tensor([t]))
        assert torch.allclose(kept, latents * alphas[t].sqrt(), atol=1e-6)
    only_first = TimestepDistribution("first", torch.eye(len(alphas))[0])
    assert only_first.sample(5, generator).tolist() == [0] * 5


@pytest.mark.parametrize("weakest", [0, 999])
def test_greedy_search_does_not_wrap_around(weakest: int) -> None:
    """Striking off the neighbourhood of one end must not reach the other."""
    kept = greedy_distribution(score_away_from(weakest), 1000, torch.Generator().manual_seed(0))
    assert kept.weights[weakest] == 0
    # distances of 900 and more from the weak end are the strongest, so most of what is left lies there
    far = (torch.arange(1000) - weakest).abs() > 500
    assert kept.weights[far].sum() > kept.weights[~far].sum()
    assert 0 < kept.weights.sum() <= 100


def score_away_from(place: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda timesteps: (timesteps - place).abs().float()


def test_score_distillation_is_the_residual_of_the_noise(tiny_model: LatentDiffusionModel) -> None:
    """Also for a model that predicts velocity, where the residual must first be brought from v to the noise."""
    assert tiny_model.schedule.prediction is Prediction.VELOCITY
    t = 300
    only = TimestepDistribution("one", torch.eye(len(tiny_model.schedule))[t])
    loss = DenoisingLoss(tiny_model, tiny_model.embed("a"), only)
    latents = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    value = loss.score_distillation(tiny_model.network, latents, torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(value, latents)
    timesteps, noise = loss.draw(latents, torch.Generator().manual_seed(2))
    with torch.no_grad():
        alpha = tiny_model.schedule.signal_share[t]
        noisy = tiny_model.schedule.add_noise(latents, noise, timesteps)
        velocity = tiny_model.denoise(tiny_model.network, noisy, timesteps, loss.text)
        predicted_noise = alpha.sqrt() * velocity + (1 - alpha).sqrt() * noisy
        plain = loss(tiny_model.network, latents, torch.Generator().manual_seed(2))
    assert torch.allclose(gradient * 2, predicted_noise - noise, atol=1e-3)  # the mean over two samples halves it
    assert float(value.detach()) == pytest.approx(float(plain), rel=1e-3)
