"""Attacks on encoders need no network: an autoencoder alone, of a model that nobody here could run, serves them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from tests.conftest import picture
from udp.cli import main
from udp.errors import InvalidInput, ModelUnavailable
from udp.imitation.recipes import DreamBooth
from udp.models.autoencoder import AutoencoderAlone, stands_alone
from udp.models.encoders import STUDENT, load_encoder
from udp.models.loading import load_model
from udp.models.sampling import generate
from udp.photos import Photo, read_photos
from udp.protection.base import ProtectionMethod
from udp.protection.methods import EUDP, METHODS, Mist, PhotoGuard
from udp.protection.targets import target_latents
from udp.tensors import to_tensor

PUBLISHED_KINDS = {
    "tiny": lambda: AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, num_encoder_blocks=(0, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 0), latent_channels=16,
    ),
    "kl": lambda: AutoencoderKL(
        block_out_channels=(4,) * 4, norm_num_groups=2, latent_channels=4, layers_per_block=1, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        mid_block_add_attention=False,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=PUBLISHED_KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    PUBLISHED_KINDS[request.param]().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", [PhotoGuard(pgd_steps=6, target="pattern"), Mist(mode="textural", pgd_steps=6)])
def test_encoder_attacks_reach_their_target_without_a_network(method: ProtectionMethod, folder: Path) -> None:
    model = load_model(str(folder))
    assert isinstance(model, AutoencoderAlone) and model.resolution == 512
    photo = Photo("a", picture(0, 512, 512))

    def distance(changed: Photo) -> float:
        with torch.no_grad():
            latents = model.encode(to_tensor(changed.pixels)[None])
        assert latents.shape[1:] == model.latent_shape
        return float((latents - target_latents(model, "pattern")).square().mean())

    (protected,) = method([photo], model)
    assert np.abs(protected.pixels.astype(int) - photo.pixels).max() <= 8
    random = [METHODS["random"]()([photo], model, seed=seed)[0] for seed in (0, 1)]
    assert distance(protected) < min(map(distance, (photo, *random)))


@pytest.mark.parametrize("method", [EUDP(), Mist(), METHODS["advdm"]()])
def test_what_denoises_is_told_what_it_lacks(method: ProtectionMethod, folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"expected a model that denoises.*got the autoencoder .* alone: photoguard"):
        method([Photo("a", picture(0))], load_model(str(folder)))


def test_nothing_is_trained_on_it_nor_sampled_from_it(folder: Path) -> None:
    model = load_model(str(folder))
    with pytest.raises(InvalidInput, match="expected a model that can be fine-tuned and sampled from"):
        DreamBooth(steps=10).fit([Photo("a", picture(0))], model, "a photo of sks")
    with pytest.raises(InvalidInput, match="expected a model that can be fine-tuned and sampled from"):
        generate(model, model.network, "a photo of sks", [0])


def test_the_command_line_takes_it_and_says_at_once_where_it_cannot(
    folder: Path, photo_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = photo_files[0].parent, tmp_path / "out"
    command = ["protect", str(source), "--out", str(out), "--model", str(folder)]
    assert main([*command, "--method", "photoguard", "--pgd-steps", "2"]) == 0
    assert len(read_photos(sorted(out.glob("*.png")))) == len(photo_files)
    attack = ["attack", "--clean", str(source), "--instance", str(out), "--model", str(folder)]
    assert main([*attack, "--out", str(tmp_path / "attack")]) == 2
    assert "fine-tuned and sampled from, got the autoencoder" in capsys.readouterr().err


def test_short_names_and_folders_are_told_from_whole_models(
    folder: Path, tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stands_alone(str(folder)) and stands_alone(STUDENT) and stands_alone("taef1")
    assert not stands_alone(str(tiny_model_folder)) and not stands_alone(str(tiny_model_folder / "unet"))
    assert not stands_alone(str(tmp_path)) and not stands_alone("mini") and not stands_alone("a/b")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
    with pytest.raises(ModelUnavailable, match="expected a network or a downloaded copy of 'madebyollin/taesd'"):
        load_model("taesd")


def test_ours_sees_what_its_encoder_sees() -> None:
    pixels = to_tensor(picture(0, 64, 64))[None]
    with torch.no_grad():
        assert torch.equal(load_model(STUDENT).encode(pixels), load_encoder(STUDENT).encode(pixels))


def test_it_is_refused_before_photos_are_protected_or_cleaned_for_nothing(
    folder: Path, photo_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = str(photo_files[0].parent), tmp_path / "out"
    lab = ["evaluate", source, "--out", str(out), "--model", str(folder), "--method", "photoguard", "--pgd-steps", "1"]
    assert main([*lab, "--cleaning", "upscale"]) == 2 and main(["check-model", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.count("expected a model that can be fine-tuned and sampled from, got the autoencoder") == 2
    assert not list(tmp_path.rglob("*.png"))


def test_a_catalogue_whose_method_it_cannot_serve_fails_once_and_not_set_after_set(
    folder: Path, photo_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        shutil.copy(photo_files[0], tmp_path / "photos" / name)
    line = ["protect-many", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--model", str(folder)]
    assert main([*line, "--method", "advdm"]) == 2
    assert capsys.readouterr().err.count("expected a model that denoises") == 1
    assert not list((tmp_path / "out").rglob("*failure*"))
