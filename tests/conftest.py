"""Fixtures: a tiny random model in the embedded model's shape, and photos on disk. No network, no large weights."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from transformers import CLIPTextModel

from recipe.denoiser import assemble, build_scheduler
from recipe.text import build_tokenizer, text_config
from tests.families import conditional_unet
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.models.timesteps import greedy_distribution
from udp.photos import Photo, read_photos
from udp.protection import denoising_method


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline with random weights, 64 px, that protects and fine-tunes in seconds."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = build_tokenizer(["a photo of a toy"] * 20, size=200)
        text = CLIPTextModel(text_config(tokenizer, 32, inner=32, layers=1, heads=2))
        vae = AutoencoderTiny(
            encoder_block_out_channels=(16,) * 4,
            decoder_block_out_channels=(16,) * 4,
            num_encoder_blocks=(0, 0, 1, 1),
            num_decoder_blocks=(1, 1, 1, 0),
            latent_channels=16,
        )
        unet = conditional_unet(
            sample_size=8,
            in_channels=16,
            out_channels=16,
            block_out_channels=(32, 64),
            norm_num_groups=32,
            cross_attention_dim=32,
        )
    assemble(vae, unet, text, tokenizer, build_scheduler()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder: Path) -> LatentDiffusionModel:
    """The tiny model, loaded as any local folder is."""
    return load_model(str(tiny_model_folder))


def picture(seed: int, width: int = 96, height: int = 96) -> np.ndarray:
    """A smooth coloured gradient with a disc on it, uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    image = np.stack([x, y, 1 - x], 2) * random.uniform(0.3, 1.0, 3)
    image[(x - 0.5) ** 2 + (y - 0.5) ** 2 < random.uniform(0.02, 0.1)] = random.uniform(0, 1, 3)
    return (image * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photo_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three PNGs of 96 x 96."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"view_{index}.png" for index in range(3)]
    for index, path in enumerate(paths):
        Image.fromarray(picture(index)).save(path)
    return paths


@pytest.fixture(scope="session")
def photos(photo_files: list[Path]) -> list[Photo]:
    """The same, read."""
    return read_photos(photo_files)


@pytest.fixture(scope="module")
def quick_search() -> Iterator[None]:
    """SimAC's search in a tenth of its comparisons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoising_method, "greedy_distribution", functools.partial(greedy_distribution, width=0.2))
        yield


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs for the tab Example (`tests.kept`)."""
    from tests.kept import make_runs  # here, because it imports gradio

    make_runs(place := tmp_path_factory.mktemp("kept"))
    return place


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where arms are made one after the other."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


def free_port() -> int:
    """One of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def served(model_folder: Path, temporary: Path, kept: Path | None = None) -> Iterator[str]:
    """The running app's address, with that model and the runs in `kept`; its files lie under `temporary`."""
    from udp.ui.page import build, launch_options  # here, because gradio is slow to import and few tests need it
    from udp.ui.state.kept import read_kept  # here, because gradio is slow to import and few tests need it
    from udp.ui.state.owner import Owner  # here, because gradio is slow to import and few tests need it

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(temporary))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setattr("udp.ui.tabs.example.read_kept", lambda name: read_kept(name, kept) if kept else None)
        demo = build(Owner(model=str(model_folder), models=("mini", "sd15")))
        # Two workers that both look for the first free port find the same one.
        _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_port=free_port(), **launch_options())
        yield address
        demo.close()


def save_picture(path: Path, seed: int) -> None:
    """A picture of 48 x 40, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, 48, 40)).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three sets of two, one photo and two, the first of them on top."""
    for seed, name in enumerate(("a.png", "b.png", "cats/tom.png", "dogs/small/x.png", "dogs/small/y.png")):
        save_picture(tmp_path / "in" / name, seed)
    return tmp_path / "in"
