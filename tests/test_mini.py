"""The embedded model and the recipe that trains it."""

from __future__ import annotations

import json
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from PIL import Image

from tests.conftest import picture
from udp.mini import autoencoder, denoiser
from udp.mini.data import ALLOWED, licence_of, read_copyright, read_rcc
from udp.mini.pictures import CropSource
from udp.mini.text import EXTRA_WORDS, build_tokenizer
from udp.models.registry import EMBEDDED_WEIGHTS

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: Somebody
License: GPL-3+

Files: images/land/*
Copyright: Various
License: public-domain

Files: images/land/*-ann*
 images/extra/fish1.jpg
Copyright: 2018, Ann
License: CC-BY-SA-4.0
"""


@pytest.mark.parametrize(
    ("path", "licence"),
    [
        ("images/land/sea.jpg", "public-domain"),
        ("images/land/sea-ann.jpg", "CC-BY-SA-4.0"),
        ("images/extra/fish1.webp", "CC-BY-SA-4.0"),
        ("sounds/x.ogg", "GPL-3+"),
    ],
)
def test_licences_come_from_the_last_matching_paragraph(path: str, licence: str) -> None:
    assert licence_of(path, read_copyright(COPYRIGHT)).licence == licence


def test_only_licences_that_fit_together_are_allowed() -> None:
    assert all(ALLOWED.match(name) for name in ("public-domain", "CC0", "CC-BY-2.0", "CC-BY-SA-3.0", "PD-old"))
    assert not any(ALLOWED.match(name) for name in ("GPL-3+", "GPL-2", "GFDL", "CC-BY-NC-2.0", "CC-BY-ND-3.0"))


def test_qt_resources_are_unpacked() -> None:
    def named(text: str) -> bytes:
        return struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")

    packed = zlib.compress(b"second")
    bodies = [b"first", struct.pack(">I", 6) + packed]
    data = b"".join(struct.pack(">I", len(b)) + b for b in bodies)
    names = named("a") + named("b")
    tree = struct.pack(">IHII", 0, 2, 2, 1)  # the root folder: two children, the first is record 1
    tree += struct.pack(">IHHHI", 0, 0, 0, 0, 0)
    tree += struct.pack(">IHHHI", len(named("a")), 1, 0, 0, 4 + len(bodies[0]))
    head = struct.pack(">4sIIII", b"qres", 1, 20, 20 + len(tree), 20 + len(tree) + len(data))
    assert read_rcc(head + tree + data + names) == {"/a": b"first", "/b": b"second"}
    with pytest.raises(ValueError, match="expected a Qt resource"):
        read_rcc(b"x" * 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Training pictures in both formats."""
    (tmp_path / "pictures").mkdir()
    rows = []
    for index, kind in enumerate(("photo", "drawing")):
        Image.fromarray(picture(index, 200, 160)).save(tmp_path / "pictures" / f"{index}.png")
        rows.append({"file": f"{index}.png", "caption": f"a {kind} of a thing", "kind": kind})
    (tmp_path / "pictures.jsonl").write_text("\n".join(map(json.dumps, rows)))
    images = np.stack([picture(index, 128, 128) for index in range(4)])
    np.savez(tmp_path / "part-00000.npz", images=images, captions=np.array(["a red ball on grass"] * 4))
    return tmp_path


def test_crops_have_range_shape_and_seed(folder: Path) -> None:
    first, second = (CropSource([folder], seed=3).draw(6, 64) for _ in range(2))
    assert first.shape == (6, 3, 64, 64) and first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, second)


def test_whitening_keeps_the_decoder_and_gives_unit_latents(folder: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = autoencoder.build()
    images = CropSource([folder], seed=0).draw(64, 64)
    white = autoencoder.whiten(model, images)
    with torch.no_grad():
        latents = white.encode(images * 2 - 1).latents
        flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
        assert torch.allclose(torch.cov(flat.T), torch.eye(flat.shape[1]), atol=0.05)
        assert flat.mean(0).abs().max() < 0.05
        # The folded maps cancel; only the decoder's soft clamp lies between them, so take it away by calling past it.
        raw, folded = model.encode(images * 2 - 1).latents, latents
        inner = torch.nn.functional.conv2d
        first, last = model.decoder.layers[0], white.decoder.layers[0]
        same = inner(raw, first.weight, first.bias), inner(folded, last.weight, last.bias)
        assert torch.allclose(*same, atol=1e-3)


def test_colour_path_tells_red_from_green() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = autoencoder.build()
    autoencoder.open_colour_path(model, channel=5, latent=3)
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [0, 0, 0]])[:, :, None, None].expand(3, 3, 64, 64)
    with torch.no_grad():
        red, green, gray = model.encode(colours).latents[:, 3, 4, 4]
        decoded = model.decode(model.encode(colours).latents).sample[:, :, 32, 32]
    assert red > gray > green and abs(gray) < 1e-4
    assert decoded[0, 0] - decoded[0, 1] > decoded[2, 0] - decoded[2, 1] > decoded[1, 0] - decoded[1, 1]


def test_autoencoder_learns_and_resumes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = CropSource([folder], seed=9).draw(8, 64) * 2 - 1
    checkpoint = tmp_path / "autoencoder.pt"

    def error(model: torch.nn.Module) -> float:
        with torch.no_grad():
            output = model.decode(model.encode(images).latents).sample
        return float(autoencoder.reconstruction_loss(output, images))

    clock = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: 0.01 * next(clock))
    monkeypatch.setattr(autoencoder, "REPORT_EVERY", 15)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = error(autoencoder.build())
        first = error(autoencoder.train([folder], checkpoint, minutes=0.2 / 60, batch=4))
        state = torch.load(checkpoint, weights_only=True)
        resumed = autoencoder.train([folder], checkpoint, minutes=0, batch=4)
    assert first < untrained
    assert state["trainer"]["step"] >= 15
    assert all(torch.equal(state["model"][name], weight) for name, weight in resumed.state_dict().items())


def velocity_error(pipeline: StableDiffusionPipeline, folder: Path) -> float:
    """The denoising loss on the folder's own squares, at fixed timesteps and noise."""
    squares, captions = denoiser.squares([folder], seed=5)
    latents = denoiser.encode_all(pipeline.vae, squares[:8]).float()
    tokens = pipeline.tokenizer(captions[:8], padding="max_length", return_tensors="pt").input_ids
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    timesteps = torch.linspace(50, 950, len(latents)).long()
    with torch.no_grad():
        text = pipeline.text_encoder(tokens)[0]
        noisy = scheduler.add_noise(latents, noise, timesteps)
        prediction = pipeline.unet(noisy, timesteps, encoder_hidden_states=text).sample
    return float((prediction - scheduler.get_velocity(latents, noise, timesteps)).square().mean())


def test_denoiser_learns_resumes_and_saves_a_plain_pipeline(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denoiser, "REPORT_EVERY", 12)
    clock = iter(range(100_000))
    monkeypatch.setattr(time, "monotonic", lambda: 0.01 * next(clock))
    checkpoint = tmp_path / "unet.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = autoencoder.build().requires_grad_(False)
        untrained = denoiser.train(vae, [folder], checkpoint, minutes=0, batch=4)
        pipeline = denoiser.train(vae, [folder], checkpoint, minutes=0.6 / 60, batch=4)
        resumed = denoiser.train(vae, [folder], checkpoint, minutes=0, batch=4)
    assert velocity_error(pipeline, folder) < 0.99 * velocity_error(untrained, folder)
    assert velocity_error(resumed, folder) == velocity_error(pipeline, folder)
    denoiser.save(pipeline, tmp_path / "weights")
    assert max(p.stat().st_size for p in (tmp_path / "weights").rglob("*") if p.is_file()) < 10_000_000
    loaded = StableDiffusionPipeline.from_pretrained(tmp_path / "weights", safety_checker=None)
    image = loaded("a red ball on grass", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (128, 128, 3) and np.isfinite(image).all()


def test_every_prompt_can_be_spelled_and_sks_is_one_token() -> None:
    tokenizer = build_tokenizer(["a photo of a red ball"] * 5)
    assert tokenizer.tokenize("sks") == ["sks</w>"]
    assert all(len(tokenizer.tokenize(word)) == 1 for word in EXTRA_WORDS)
    assert tokenizer.unk_token not in tokenizer.tokenize("a qzxv on the moon, 1969!")


@pytest.mark.skipif(not EMBEDDED_WEIGHTS.is_dir(), reason="the weights are not trained yet")
def test_embedded_weights_fit_and_load_with_plain_diffusers() -> None:
    sizes = [p.stat().st_size for p in EMBEDDED_WEIGHTS.rglob("*") if p.is_file()]
    assert max(sizes) < 10_000_000 and sum(sizes) < 40_000_000
    assert not [p for p in EMBEDDED_WEIGHTS.rglob("*") if p.suffix in (".bin", ".ckpt", ".pt", ".pkl")]
    pipeline = StableDiffusionPipeline.from_pretrained(EMBEDDED_WEIGHTS, safety_checker=None, local_files_only=True)
    assert pipeline.unet.config.sample_size * pipeline.vae_scale_factor == 128
