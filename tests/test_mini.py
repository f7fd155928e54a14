"""The embedded model and the recipe that trains it."""

from __future__ import annotations

import functools
import json
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, DDPMScheduler, StableDiffusionPipeline
from PIL import Image

from recipe import denoiser, student
from recipe.crops import Crops
from recipe.data import ALLOWED, licence_of, read_copyright, read_rcc
from recipe.pictures import NARROWEST, pack, squares, view
from recipe.text import EXTRA_WORDS, build_tokenizer
from tests.conftest import picture
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


def test_squares_have_shape_captions_and_seed(folder: Path) -> None:
    (first, captions), (second, _) = (squares([folder], seed=3) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (10 + 2 + 4, 128, 128, 3) and len(captions) == len(first)
    assert np.array_equal(first, second)
    assert np.array_equal(first[-1], picture(3, 128, 128))  # renders stay as they are


def test_a_pack_holds_the_same_squares(folder: Path, tmp_path: Path) -> None:
    (images, captions), packed = squares([folder], seed=3), tmp_path / "packed"
    assert pack([folder], 3, packed).stat().st_size < images.nbytes / 3
    again, same = squares([packed], seed=0)
    assert same == captions and again.shape == images.shape
    assert (again.astype(float) - images).__pow__(2).mean() < 40  # 32 dB, on pictures that are half noise


def test_views_are_mirrored_windows(folder: Path) -> None:
    ramp = torch.linspace(-1, 1, 128).expand(40, 3, 128, 128).clone()  # brighter to the right
    seen = view(ramp, torch.Generator().manual_seed(0))
    rises = seen[:, 0, 64].diff(dim=1).sum(1)  # over the width, 2 for all of the side, negative for a mirror image
    assert 10 < int((rises < 0).sum()) < 30
    assert (rises.abs() > 2 * NARROWEST - 0.05).all() and (rises.abs() <= 2).all()
    assert rises.abs().std() > 0.02
    again = view(ramp, torch.Generator().manual_seed(0))
    assert torch.equal(seen, again) and seen.abs().max() <= 1


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that ticks with every look at it: trainings by the clock then take the same steps on every machine."""
    clock = iter(range(100_000))
    monkeypatch.setattr(time, "monotonic", lambda: 0.01 * next(clock))
    for module in (student, denoiser):
        monkeypatch.setattr(module, "REPORT_EVERY", 6)


@pytest.fixture(scope="module")
def teacher() -> AutoencoderTiny:
    """Of the published teacher's architecture, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        built = AutoencoderTiny(
            num_encoder_blocks=(1, 3, 3, 3), num_decoder_blocks=student.DECODER_BLOCKS, latent_channels=4
        )
    return built.requires_grad_(False).eval()


def pixels_of(folder: Path) -> torch.Tensor:
    """Training squares in [0, 1]."""
    images, _ = squares([folder], seed=0)
    return torch.from_numpy(images[:4]).permute(0, 3, 1, 2).float() / 255


def latent_error(model: AutoencoderTiny, teacher: AutoencoderTiny, pixels: torch.Tensor) -> float:
    """How far the student's latents are from the teacher's, in standard deviations."""
    with torch.no_grad():
        wanted = teacher.encode(pixels * 2 - 1).latents
        return float((model.encode(pixels * 2 - 1).latents - wanted).square().mean().sqrt() / wanted.std())


@pytest.fixture(params=[0.0, 1.0], ids=["end to end", "blockwise"])
def alone(request: pytest.FixtureRequest, ticking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of one kind of step from their beginning to their end."""
    monkeypatch.setattr(student, "ENCODER_BLOCKWISE", request.param)
    monkeypatch.setattr(student, "DECODER_BLOCKWISE", request.param)


def test_encoder_follows_its_teacher_under_attack_too_blockwise_and_end_to_end_and_resumes(
    folder: Path, tmp_path: Path, teacher: AutoencoderTiny, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student, "ATTACKS_FROM", 0.3)
    checkpoint, pixels = tmp_path / "encoder.pt", pixels_of(folder)
    run = functools.partial(student.train_encoder, teacher, [folder], checkpoint, batch=2, size=32)
    with torch.random.fork_rng(devices=[]):
        untrained = run(minutes=0)
        trained = run(minutes=0.45 / 60)
        resumed = run(minutes=0)
    assert latent_error(trained, teacher, pixels) < 0.5 * latent_error(untrained, teacher, pixels)
    assert latent_error(resumed, teacher, pixels) == latent_error(trained, teacher, pixels)


def test_attacked_pictures_stay_within_their_budgets_and_move_whom_they_are_against(
    folder: Path, teacher: AutoencoderTiny
) -> None:
    generator = torch.Generator().manual_seed(0)
    attacker = student.Attacker(
        student.build().encoder, teacher.encoder, torch.ones(1, 4, 1, 1), Crops([folder], 32, 0), 2, generator
    )
    attacked = attacker._start()
    attacked.against, attacked.target = "teacher", None
    shift = []
    for _ in range(6):
        attacker._step(attacked)
        with torch.no_grad():
            moved = teacher.encoder.layers(attacked.images + attacked.perturbations)
        shift.append(float((moved - attacked.latents).square().mean()))
    assert shift[-1] > shift[0]
    assert (attacked.perturbations.abs() <= attacked.budgets + 1e-6).all()


def test_decoder_learns_its_teachers_blockwise_and_end_to_end_and_resumes(
    folder: Path, tmp_path: Path, teacher: AutoencoderTiny, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student, "LATENT_SIDE", 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, pixels = student.build(), pixels_of(folder)
        run = functools.partial(
            student.train_decoder, model, teacher, [folder], tmp_path / "decoder.pt", batch=4, bank=16
        )

        def lost() -> float:
            with torch.no_grad():
                latents = teacher.encode(pixels * 2 - 1).latents
                wanted, got = (m.decode(latents).sample / 2 + 0.5 for m in (teacher, model))
                return float(student.reconstruction_loss(got, wanted.clamp(0, 1)))

        before = lost()
        run(minutes=0.3 / 60)
        after = lost()
        run(minutes=0)  # resumes, has no time left
    assert after < 0.5 * before and lost() == after


def test_blocks_together_are_the_decoder(teacher: AutoencoderTiny) -> None:
    parts = student.blocks(teacher.decoder)
    latents = torch.linspace(-1, 1, 4 * 16).reshape(1, 4, 4, 4)
    assert len(parts) == sum(student.DECODER_BLOCKS)
    bounded = torch.tanh(latents / 3) * 3
    with torch.no_grad():
        assert torch.equal(student.chain(parts, bounded)[-1] * 2 - 1, teacher.decoder(latents))


def test_parts_of_two_encoders_end_where_the_blocks_of_the_teacher_end(teacher: AutoencoderTiny) -> None:
    ours, pixels = student.build().encoder, torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    parts = student.aligned(teacher.encoder, ours)
    with torch.no_grad():
        for encoder, of_it in zip((teacher.encoder, ours), parts, strict=True):
            values = student.chain(of_it, pixels)
            assert [value.shape[-1] for value in values] == [16] * 3 + [8] * 3 + [4] * 4
            assert torch.equal(values[-1], encoder.layers(pixels))


def test_encoders_that_cannot_be_aligned_are_refused() -> None:
    shallow = AutoencoderTiny(num_encoder_blocks=(1, 3, 2, 4), num_decoder_blocks=(1, 1, 1, 1), latent_channels=4)
    with pytest.raises(ValueError, match="expected encoders whose blocks are alike"):
        student.aligned(shallow.encoder, student.build().encoder)


def test_student_has_no_block_at_full_size_in_its_encoder_and_two_thirds_of_the_teachers_operations_there() -> None:
    published = AutoencoderTiny(num_encoder_blocks=(1, 3, 3, 3), num_decoder_blocks=(3, 3, 3, 1), latent_channels=4)
    ours, pixels = student.build(), torch.zeros(1, 3, 64, 64)
    assert operations(ours.encoder, pixels) < 0.65 * operations(published.encoder, pixels)


def operations(module: torch.nn.Module, example: torch.Tensor) -> int:
    """Multiplications of the convolutions for `example`."""
    total = 0

    def count(layer: torch.nn.Conv2d, given: tuple, output: torch.Tensor) -> None:
        nonlocal total
        total += layer.weight.numel() * output.shape[-1] * output.shape[-2]

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        module(example)
    for hook in hooks:
        hook.remove()
    return total


def velocity_error(pipeline: StableDiffusionPipeline, folder: Path) -> float:
    """The denoising loss on the folder's own squares, at fixed timesteps and noise."""
    images, captions = squares([folder], seed=5)
    latents = denoiser.encode_all(pipeline.vae, images[:8]).float()
    tokens = pipeline.tokenizer(captions[:8], padding="max_length", return_tensors="pt").input_ids
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    timesteps = torch.linspace(50, 950, len(latents)).long()
    with torch.no_grad():
        text = pipeline.text_encoder(tokens)[0]
        noisy = scheduler.add_noise(latents, noise, timesteps)
        prediction = pipeline.unet(noisy, timesteps, encoder_hidden_states=text).sample
    return float((prediction - scheduler.get_velocity(latents, noise, timesteps)).square().mean())


def test_denoiser_learns_resumes_and_saves_a_plain_pipeline(folder: Path, tmp_path: Path, ticking: None) -> None:
    checkpoint = tmp_path / "unet.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = student.build().requires_grad_(False)
        untrained = denoiser.train(vae, [folder], checkpoint, minutes=0, batch=2)
        pipeline = denoiser.train(vae, [folder], checkpoint, minutes=0.3 / 60, batch=2)
        resumed = denoiser.train(vae, [folder], checkpoint, minutes=0, batch=2)
    assert velocity_error(pipeline, folder) < 0.8 * velocity_error(untrained, folder)
    assert velocity_error(resumed, folder) == velocity_error(pipeline, folder)
    denoiser.save(pipeline, tmp_path / "weights")
    assert max(p.stat().st_size for p in (tmp_path / "weights").rglob("*") if p.is_file()) < 10_000_000
    loaded = StableDiffusionPipeline.from_pretrained(tmp_path / "weights", safety_checker=None)
    image = loaded("a red ball on grass", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (128, 128, 3) and np.isfinite(image).all()
    denoiser.save(loaded, tmp_path / "again")
    assert not [p for p in (tmp_path / "again").rglob("*.json") if str(tmp_path) in p.read_text()]


def test_training_can_begin_from_a_pipeline_with_other_latents(folder: Path, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = student.build().requires_grad_(False)
        earlier = denoiser.train(vae, [folder], tmp_path / "unet.pt", minutes=0)
        config = {**earlier.unet.config, "in_channels": 24, "out_channels": 24}
        earlier.register_modules(unet=type(earlier.unet).from_config(config))
        denoiser.save(earlier, tmp_path / "earlier")
        later = denoiser.train(vae, [folder], tmp_path / "again" / "unet.pt", minutes=0, start=tmp_path / "earlier")
    same = [
        torch.equal(a.half(), b.half())
        for a, b in zip(earlier.unet.parameters(), later.unet.parameters(), strict=True)
        if a.shape == b.shape
    ]
    assert all(same) and len(same) > 100
    assert later.unet.config.in_channels == 4


def test_every_prompt_can_be_spelled_and_sks_is_one_token() -> None:
    tokenizer = build_tokenizer(["a photo of a red ball"] * 5)
    assert tokenizer.tokenize("sks") == ["sks</w>"]
    assert all(len(tokenizer.tokenize(word)) == 1 for word in EXTRA_WORDS)
    assert tokenizer.unk_token not in tokenizer.tokenize("a qzxv on the moon, 1969!")
    assert build_tokenizer(["a photo of a red ball"] * 5).get_vocab() == tokenizer.get_vocab()


@pytest.mark.skipif(not EMBEDDED_WEIGHTS.is_dir(), reason="the weights are not trained yet")
def test_embedded_weights_fit_and_load_with_plain_diffusers() -> None:
    sizes = [p.stat().st_size for p in EMBEDDED_WEIGHTS.rglob("*") if p.is_file()]
    assert max(sizes) < 10_000_000 and sum(sizes) < 40_000_000
    assert not [p for p in EMBEDDED_WEIGHTS.rglob("*") if p.suffix in (".bin", ".ckpt", ".pt", ".pkl")]
    pipeline = StableDiffusionPipeline.from_pretrained(EMBEDDED_WEIGHTS, safety_checker=None, local_files_only=True)
    assert pipeline.unet.config.sample_size * pipeline.vae_scale_factor == 128
