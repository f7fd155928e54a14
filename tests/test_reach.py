"""Resolutions and encoders beyond the model at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from tests.conftest import picture
from udp.errors import InvalidInput, ModelUnavailable
from udp.models.encoders import STUDENT, Encoder, load_encoder, parse_encoders
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo
from udp.protection.budget import project
from udp.protection.methods import METHODS
from udp.protection.pgd import PGD, PGDSettings
from udp.protection.reach import Kept, Reach, parse_sides, seen, seen_size
from udp.settings import check_settings, publish_settings
from udp.tensors import resize, to_tensor
from udp.ui.state.values import from_names


@pytest.mark.parametrize(("text", "sides"), [("off", ()), ("512", (512,)), ("512+1024", (512, 1024))])
def test_resolutions_are_read(text: str, sides: tuple[int, ...]) -> None:
    assert parse_sides(text) == sides


@pytest.mark.parametrize("text", ["", "256", "512+512", "512,768", "big"])
def test_other_resolutions_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected off, or resolutions out of 512, 768, 1024"):
        parse_sides(text)


def test_encoders_are_named_once_and_unknown_ones_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
    assert parse_encoders(" taesd, a/b ,") == ("taesd", "a/b")
    assert parse_encoders("off") == () and "taesdxl" in parse_encoders("published")
    assert parse_encoders("published,a/b")[-2:] == ("taef1", "a/b")
    with pytest.raises(InvalidInput, match="expected off, or every encoder once"):
        parse_encoders("off,taesd")
    with pytest.raises(InvalidInput, match="every encoder once"):
        parse_encoders("taesd,taesd")
    with pytest.raises(ModelUnavailable, match="expected a network or a downloaded copy of 'no-such-encoder'"):
        load_encoder("no-such-encoder")


def test_a_page_takes_no_encoder_but_those_it_offers(tmp_path: Path) -> None:
    assert from_names(METHODS, "eudp", {"encoders": "published"}).encoders == "published"
    with pytest.raises(InvalidInput, match="expected encoders to be one of off, taesd"):
        from_names(METHODS, "eudp", {"encoders": str(tmp_path)})
    check_settings(METHODS["eudp"](encoders=str(tmp_path)))


def test_a_manifest_names_a_folder_by_its_last_part(tmp_path: Path) -> None:
    found = publish_settings(METHODS["eudp"](encoders=f"taesd,{tmp_path}"))
    assert found["encoders"] == f"taesd,{tmp_path.name}"


def test_a_model_of_pixels_has_no_latents_at_other_sizes() -> None:
    with pytest.raises(InvalidInput, match="expected encoders beside reach=512 for a model of pixels"):
        METHODS["advdm"](pgd_steps=1, reach="512")([Photo("a", picture(0, 64, 64))], load_model("mini-pixel"))


def test_the_student_speaks_four_channels_and_answers_pixels() -> None:
    encoder = load_encoder(STUDENT)
    image = to_tensor(picture(0, 64, 96))[None].requires_grad_()
    latents = encoder.encode(image)
    assert latents.shape == (1, 4, 12, 8) and latents.dtype == torch.float32
    (gradient,) = torch.autograd.grad(latents.square().sum(), image)
    assert torch.isfinite(gradient).all() and gradient.any()


def test_an_encoder_in_a_folder_is_a_target(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoencoderTiny(num_encoder_blocks=(0, 1, 1, 1), latent_channels=16).save_pretrained(tmp_path / "sd3")
    encoder = load_encoder(str(tmp_path / "sd3"))
    assert encoder.encode(torch.zeros(1, 3, 32, 32)).shape == (1, 16, 4, 4)


def linear(pixels: torch.Tensor) -> torch.Tensor:
    """An encoder whose latents are means of 8 x 8 blocks."""
    return torch.nn.functional.avg_pool2d(pixels, 8)


def test_windows_cover_a_photo_evenly_and_keep_to_the_grid() -> None:
    reach = Reach([Encoder("linear", linear)], (512,), torch.Generator().manual_seed(0), window=128)
    seen = torch.zeros(512)
    for _ in range(400):
        top, left, height, width = reach._draw(512, 128)
        assert top % 8 == 0 and left == 0 and (height, width) == (128, 128)
        seen[top : top + height] += 1
    assert seen.min() > 0.4 * seen.mean() and seen[:128].mean() > 0.6 * seen.mean()


def test_distance_is_in_clean_standard_deviations_and_has_gradients() -> None:
    photo = to_tensor(picture(1, 512, 512))[None]
    moved = (photo + 0.1).requires_grad_()
    whole = Reach([Encoder("linear", linear)], (512,), torch.Generator().manual_seed(0))
    assert float(whole([moved], [photo]).detach()) == pytest.approx((0.1 / float(linear(photo).std())) ** 2, rel=1e-3)
    reach = Reach([Encoder("linear", linear)], (512,), torch.Generator().manual_seed(0), window=128)
    (gradient,) = torch.autograd.grad(reach([moved], [photo]), moved)
    assert 0 < int((gradient != 0).sum()) <= 3 * 128 * 128
    assert float(reach([photo], [photo])) == pytest.approx(0, abs=1e-8)


def test_photos_are_seen_at_the_trainers_size() -> None:
    assert seen_size(torch.zeros(1, 3, 300, 405), 512) == (512, 688)
    assert seen_size(torch.zeros(1, 3, 1024, 1024), 512) == (512, 512)
    ramp = torch.linspace(0, 1, 1024).expand(1, 3, 1024, 1024)
    part = seen(ramp, 512, (64, 128, 64, 256))
    assert part.shape == (1, 3, 64, 256)
    assert float(part[0, 0, 0, 0]) == pytest.approx(128 / 512, abs=2e-3)
    assert float(part[0, 0, 0, -1]) == pytest.approx(384 / 512, abs=3e-3)


def test_a_panorama_is_never_enlarged_whole() -> None:
    photo = torch.rand(1, 3, 32, 11_900, generator=torch.Generator().manual_seed(0))
    reach = Reach([Encoder("linear", linear)], (512,), torch.Generator().manual_seed(0), window=128)
    assert torch.isfinite(reach([photo], [photo]))


def test_several_terms_have_the_same_say_whatever_their_scale() -> None:
    image = torch.full((1, 3, 8, 8), 0.5)
    attack = PGD([image], [torch.zeros_like(image)], [8 / 255], PGDSettings(1 / 255, "ascend"))

    def terms(perturbed, clean, step):
        left, right = perturbed[0][..., :4], perturbed[0][..., 4:]
        return [1e-6 * left.sum() - 0.9e-6 * right.sum(), 1e3 * right.sum()]

    attack.run(terms, 1)
    assert (attack.perturbations[0] > 0).all()


def test_protection_reaches_the_latents_of_stable_diffusion_at_512() -> None:
    """The windows' objective alone: PGD moves the student's latents at 512 px more than random signs do."""
    photo = Photo("a", picture(2, 512, 512))
    encoder = load_encoder(STUDENT)
    clean = to_tensor(photo.pixels)[None]
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, clean.shape, generator=generator) * 2.0 - 1
    reach = Reach([encoder], (512,), generator, window=512)
    attack = PGD([clean], [signs * 8 / 255], [8 / 255], PGDSettings(4 / 255, "ascend"))
    attack.run(lambda perturbed, originals, step: reach(perturbed, originals), 8)

    def shift(perturbation: torch.Tensor) -> float:
        with torch.no_grad():
            moved = encoder.encode((clean + perturbation).clamp(0, 1)) - encoder.encode(clean)
        return float(moved.square().mean().sqrt())

    assert shift(attack.perturbations[0]) > 1.2 * shift(signs * 8 / 255)


def test_every_pgd_method_takes_further_encoders(tmp_path: Path, tiny_model: LatentDiffusionModel) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoencoderTiny(num_encoder_blocks=(0, 0, 0, 1), latent_channels=4).save_pretrained(tmp_path / "other")
    photo = Photo("a", picture(3, 96, 80))
    method = METHODS["advdm"](pgd_steps=1, encoders=str(tmp_path / "other"))
    (result,) = method([photo], tiny_model)
    (plain,) = METHODS["advdm"](pgd_steps=1)([photo], tiny_model)
    assert not np.array_equal(result.pixels, plain.pixels)
    assert np.abs(result.pixels.astype(int) - photo.pixels).max() <= 8


def test_steps_leave_what_a_smaller_model_sees() -> None:
    """Noise at full strength over a pattern at three quarters of the budget: the pattern is as before, the noise has room."""
    generator = torch.Generator().manual_seed(0)
    limit = torch.full((1, 1, 128, 192), 8 / 255)
    limit[..., :32] = 0
    coarse = torch.randint(0, 2, (1, 3, 32, 48), generator=generator) * 2.0 - 1
    pattern = torch.nn.functional.interpolate(coarse, size=(128, 192)) * 0.75 * limit
    noise = (torch.randint(0, 2, pattern.shape, generator=generator) * 2.0 - 1) * 8 / 255
    bright = torch.full_like(pattern, 0.5)
    bright[..., 160:] = 1 - 2 / 255  # where half of what is added would leave the range
    pattern = project(pattern, bright, limit)
    stepped = project(pattern + noise, bright, limit)
    kept = project(Kept([bright], [pattern], [limit], 32)(0, pattern + noise), bright, limit)

    def lost(perturbation: torch.Tensor) -> float:
        return float((resize(perturbation - pattern, 32, 48)[..., 9:]).square().mean().sqrt()) * 255

    assert lost(kept) < 0.3 * lost(stepped)
    assert not kept[..., :32].any()
    assert float((kept - pattern).square().mean().sqrt()) > 0.4 * float((stepped - pattern).square().mean().sqrt())


def test_the_last_steps_move_latents_at_512_and_not_what_the_model_sees(tiny_model: LatentDiffusionModel) -> None:
    photo = Photo("a", picture(2, 256, 256))
    clean, encoder = to_tensor(photo.pixels)[None], load_encoder(STUDENT)
    before, after = (
        to_tensor(METHODS["advdm"](pgd_steps=3, **settings)([photo], tiny_model)[0].pixels)[None] - clean
        for settings in ({"budget": 6 / 255}, {"reach": "512", "reach_steps": 3, "reach_share": 0.25})
    )

    def shift(perturbation: torch.Tensor) -> float:
        with torch.no_grad():
            whole = [encoder.encode(seen(each, 512, (0, 0, 512, 512))) for each in (clean, clean + perturbation)]
        return float((whole[1] - whole[0]).square().mean().sqrt())

    assert shift(after) > 1.3 * shift(before)
    moved = resize(after - before, tiny_model.resolution, tiny_model.resolution)
    assert float(moved.square().mean().sqrt()) < 0.1 * float((after - before).square().mean().sqrt())


def test_a_photo_that_the_model_sees_whole_keeps_all_of_its_budget(tiny_model: LatentDiffusionModel) -> None:
    photos = [Photo("a", picture(2, 32, 40))]
    reaching, plain = (METHODS["advdm"](pgd_steps=3, reach=r)(photos, tiny_model)[0] for r in ("512", "off"))
    assert np.array_equal(reaching.pixels, plain.pixels)


def test_the_embedded_models_default_reaches_512(tiny_model: LatentDiffusionModel) -> None:
    method = METHODS["eudp"]()
    assert load_model("mini").suited(method).reach == "512" and tiny_model.suited(method).reach == "off"
    assert load_model("mini").suited(METHODS["eudp"](reach="off")).reach == "off"
    assert load_model("mini-pixel").suited(method).reach == "off"
    assert method.reach_units == 0 < load_model("mini").suited(method).reach_units


def test_a_mask_that_no_window_meets_ends_nothing(tiny_model: LatentDiffusionModel) -> None:
    """A step that sees nothing of what may move is no step; the photo was protected before."""
    photo = Photo("a", picture(2, 300, 1024))
    mask = np.zeros((1024, 300), np.uint8)
    mask[:40] = 255
    (result,) = METHODS["advdm"](pgd_steps=2, reach="512", reach_steps=2)([photo], tiny_model, masks=[mask])
    assert (result.pixels[:40] != photo.pixels[:40]).any() and (result.pixels[40:] == photo.pixels[40:]).all()


def test_a_small_photo_beside_large_ones_changes_nothing_for_them(
    tmp_path: Path, tiny_model: LatentDiffusionModel
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoencoderTiny(num_encoder_blocks=(0, 0, 0, 1), latent_channels=4).save_pretrained(tmp_path / "other")
    method, seen = METHODS["advdm"](pgd_steps=1, reach_steps=2, encoders=str(tmp_path / "other")), []
    photos = [Photo("large", picture(1, 96, 96)), Photo("small", picture(2, 32, 32))]
    apart, together = method.moved_by(
        Reach([], (512,), torch.Generator()), [to_tensor(p.pixels)[None] for p in photos], tiny_model
    )
    assert (apart, together) == ([0], [1])
    after = method(photos, tiny_model, on_progress=seen.append)
    assert all((new.pixels != old.pixels).any() for new, old in zip(after, photos, strict=True))
    assert seen[-1].done == seen[-1].total == 1 + 2 + 2
