"""Model folders and files as people have them: half downloaded, of other formats, in the home folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from udp.cli import main
from udp.errors import ModelUnavailable
from udp.models.base import DiffusionModel
from udp.models.loading import is_small, load_model

WEIGHTS = "diffusion_pytorch_model.safetensors"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def configured(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def fewer(path: Path) -> None:
    weights = load_file(path)
    weights.pop(max(weights, key=lambda key: weights[key].numel()))
    save_file(weights, path, metadata={"format": "pt"})


def pickled(path: Path) -> None:
    path.unlink()
    torch.save({}, path.with_name("diffusion_pytorch_model.bin"))


def sharded(folder: Path) -> None:
    (folder / f"{WEIGHTS}.index.json").write_text(
        json.dumps({"weight_map": {"a": "diffusion_pytorch_model-9.safetensors"}})
    )


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut text encoder": (
        lambda f: cut(f / "text_encoder/model.safetensors"),
        "text_encoder/model.safetensors.*cut short",
    ),
    "cut U-Net": (lambda f: cut(f / "unet" / WEIGHTS), f"unet/{WEIGHTS}.*cut short or damaged"),
    "empty autoencoder": (lambda f: (f / "vae" / WEIGHTS).write_bytes(b""), "vae/.*cut short or damaged"),
    "LFS pointer": (lambda f: pointer(f / "text_encoder/model.safetensors"), "text_encoder/.*git lfs pull"),
    "LFS pointer, U-Net": (lambda f: pointer(f / "unet" / WEIGHTS), "unet/.*git lfs pull"),
    "no tokenizer": (lambda f: shutil.rmtree(f / "tokenizer"), "a folder 'tokenizer'.*copy the whole model"),
    "no words": (lambda f: (f / "tokenizer/tokenizer.json").unlink(), "the tokenizer's words in 'tokenizer'"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "a folder 'scheduler'"),
    "no weights": (lambda f: (f / "unet" / WEIGHTS).unlink(), "safetensors weights in 'unet'.*got none"),
    "pickles": (lambda f: pickled(f / "unet" / WEIGHTS), "got diffusion_pytorch_model.bin: pickles can run code"),
    "other width": (lambda f: configured(f / "unet/config.json", cross_attention_dim=64), "unet|match"),
    "one more layer": (lambda f: configured(f / "unet/config.json", layers_per_block=2), "unet|match"),
    "weights that lack one": (lambda f: fewer(f / "text_encoder/model.safetensors"), "'text_encoder'.*belong together"),
    "a shard missing": (lambda f: sharded(f / "unet"), "unet/diffusion_pytorch_model-9.safetensors.*which lists it"),
    "no JSON": (lambda f: (f / "model_index.json").write_text("{"), "expected"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_folder_is_named(wrong: str, tiny_model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "own")
    spoil, words = WRONG[wrong]
    spoil(folder)
    with pytest.raises(ModelUnavailable, match=words):
        load_model(str(folder))


def test_a_folder_of_one_variant_alone_is_loaded(
    tiny_model_folder: Path, tiny_model: DiffusionModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "own")
    for part in ("unet", "vae", "text_encoder"):
        (path,) = (folder / part).glob("*.safetensors")
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    loaded = load_model(str(folder))
    pairs = zip(loaded.network.parameters(), tiny_model.network.parameters(), strict=True)
    assert all(torch.equal(a, b) and a.dtype == torch.float32 for a, b in pairs)


def test_a_home_folder_is_found(tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_model_folder, tmp_path / "models" / "own")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_model("~/models/own").resolution == 64 and is_small("~/models/own")
    with pytest.raises(ModelUnavailable, match="a diffusers folder 'other' for '~/models/other', got no such folder"):
        load_model("~/models/other")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lora.safetensors", "a LoRA or one part of a model"),
        ("cut.safetensors", "cut short or damaged"),
        ("model.ckpt", "pickles can run code"),
        ("notes.txt", "a diffusers folder or a .safetensors checkpoint"),
        ("whole.safetensors", "from_single_file"),
    ],
)
def test_a_single_file_says_what_it_is_or_how_to_convert_it(
    name: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    photo_files: list[Path],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
    key = "cond_stage_model.transformer.x" if name.startswith("whole") else "lora_unet_x.alpha"
    save_file({key: torch.zeros(2)}, tmp_path / name)
    if name.startswith("cut"):
        cut(tmp_path / name)
    with pytest.raises(ModelUnavailable, match=words):
        load_model(str(tmp_path / name))
    arguments = ["protect", str(photo_files[0]), "--out", str(tmp_path / "out"), "--model", str(tmp_path / name)]
    assert main([*arguments, "--method", "random"]) == 2 and "expected" in capsys.readouterr().err


def test_a_single_file_loads_offline_with_its_configuration_beside_it(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What diffusers makes of the file is its own; ours is to give it the folder, and to let it ask nobody else."""
    save_file({"cond_stage_model.transformer.x": torch.zeros(2)}, tmp_path / "own.safetensors")
    shutil.copytree(tiny_model_folder, tmp_path / "own", ignore=shutil.ignore_patterns("*.safetensors"))
    given: dict[str, object] = {}

    def from_single_file(source: str, **options: object) -> StableDiffusionPipeline:
        given.update(options, source=source)
        return StableDiffusionPipeline.from_pretrained(tiny_model_folder)

    monkeypatch.setattr(StableDiffusionPipeline, "from_single_file", from_single_file)
    assert load_model(str(tmp_path / "own.safetensors")).resolution == 64
    assert given["source"] == str(tmp_path / "own.safetensors")
    assert given["config"] == str(tmp_path / "own") and given["local_files_only"] is True
