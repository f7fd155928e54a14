"""Model folders and files as people have them: half downloaded, of other formats, in the home folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints import single_checkpoint
from tests.families import build
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


def prefixed(path: Path) -> None:
    """As trainers that wrap a model save it: the numbers are right, and no loader finds one of them."""
    save_file({f"module.{key}": value for key, value in load_file(path).items()}, path, metadata={"format": "pt"})


def words_alone(folder: Path) -> None:
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(words))


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
    "no JSON": (lambda f: (f / "model_index.json").write_text("{"), "model_index.json .* cut short or damaged"),
    "a list": (lambda f: (f / "model_index.json").write_text("[]"), "model_index.json .* a JSON object, got a list"),
    "pointers for JSON": (lambda f: pointer(f / "model_index.json"), "model_index.json.*git lfs pull"),
    "no configuration": (lambda f: (f / "text_encoder/config.json").unlink(), "text_encoder/config.json .*got none"),
    "cut configuration": (lambda f: cut(f / "unet/config.json"), "unet/config.json .*cut short or damaged"),
    "pointer for words": (lambda f: pointer(f / "tokenizer/tokenizer.json"), "tokenizer/tokenizer.json.*git lfs pull"),
    "words alone": (lambda f: words_alone(f / "tokenizer"), "tokenizer/merges.txt beside vocab.json"),
    "no scheduler's file": (lambda f: (f / "scheduler/scheduler_config.json").unlink(), "scheduler_config.json .*none"),
    "another prediction": (
        lambda f: configured(f / "scheduler/scheduler_config.json", prediction_type="dreams"),
        "to be those of a StableDiffusionPipeline, got: 'dreams'",
    ),
    "a part unlisted": (lambda f: configured(f / "model_index.json", vae=[None, None]), "got it without vae"),
    "other words": (lambda f: configured(f / "text_encoder/config.json", vocab_size=20), "of other sizes"),
    "weights of other names": (lambda f: prefixed(f / "unet" / WEIGHTS), "every weight of 'unet' .*belong together"),
    "text encoder of other names": (
        lambda f: prefixed(f / "text_encoder/model.safetensors"),
        "every weight of 'text_encoder' .*belong together",
    ),
    "renamed weights": (
        lambda f: (f / "unet" / WEIGHTS).rename(f / "unet/mine.safetensors"),
        f"unet/{WEIGHTS} .*got mine.safetensors",
    ),
    "shards without their list": (
        lambda f: (f / "unet" / WEIGHTS).rename(f / "unet/diffusion_pytorch_model-00001-of-00002.safetensors"),
        "index.json .*which shard",
    ),
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
        ("LOUD.SAFETENSORS", "call it LOUD.safetensors"),
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
    whole = ("cond_stage_model.transformer.x", "first_stage_model.x", "model.diffusion_model.x")
    keys = whole if name.startswith("whole") else ("lora_unet_x.alpha",)
    save_file({key: torch.zeros(2) for key in keys}, tmp_path / name)
    if name.startswith("cut"):
        cut(tmp_path / name)
    with pytest.raises(ModelUnavailable, match=words):
        load_model(str(tmp_path / name))
    arguments = ["protect", str(photo_files[0]), "--out", str(tmp_path / "out"), "--model", str(tmp_path / name)]
    assert main([*arguments, "--method", "random"]) == 2 and "expected" in capsys.readouterr().err


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A model's folder, and its tensors as a single file has them."""
    folder = build("sd1", tmp_path_factory.mktemp("single") / "model")
    return folder, single_checkpoint(folder)


def beside(folder: Path, tensors: dict[str, torch.Tensor], place: Path) -> str:
    """A file of the tensors with the model's configuration in the folder called like it, the file's name."""
    save_file(tensors, place / "own.safetensors", metadata={"modelspec.title": "own"})
    shutil.copytree(folder, place / "own", ignore=shutil.ignore_patterns("*.safetensors"))
    return str(place / "own.safetensors")


@pytest.mark.parametrize("half", [False, True])
def test_a_single_file_loads_offline_with_its_configuration_beside_it(
    half: bool, checkpoint: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder, tensors = checkpoint
    tensors = {key: value.half() if half else value for key, value in tensors.items()}
    loaded, known = load_model(beside(folder, tensors, tmp_path)), load_model(str(folder))
    for part in ("network", "vae", "text_encoder"):
        pairs = zip(getattr(loaded, part).parameters(), getattr(known, part).parameters(), strict=True)
        assert all(torch.allclose(a.float(), b, atol=2e-3) for a, b in pairs)
    assert torch.allclose(loaded.encode_prompt("a photo"), known.encode_prompt("a photo"), atol=2e-2)


SPOILED: dict[str, tuple[Callable[[str, torch.Tensor], torch.Tensor | None], str]] = {
    "no autoencoder": (lambda key, value: None if key.startswith("first_stage") else value, "without an autoencoder"),
    "no text encoder": (lambda key, value: None if key.startswith("cond_stage") else value, "without a text encoder"),
    "inpainting": (
        lambda key, value: (
            torch.cat([value, value, value[:, :1]], 1) if key.endswith("input_blocks.0.0.weight") else value
        ),
        "takes 9 channels instead of 4",
    ),
    "a block missing": (lambda key, value: None if ".input_blocks.1." in key else value, "fewer weights"),
    "another width": (
        lambda key, value: value[..., :16] if key.endswith("attn2.to_k.weight") else value,
        "what the configuration in the folder 'own' beside it describes, got",
    ),
}


@pytest.mark.parametrize("wrong", SPOILED)
def test_what_is_wrong_with_a_single_file_is_named(
    wrong: str, checkpoint: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    spoil, words = SPOILED[wrong]
    tensors = {key: changed for key, value in checkpoint[1].items() if (changed := spoil(key, value)) is not None}
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    with pytest.raises(ModelUnavailable, match=words):
        load_model(beside(checkpoint[0], contiguous, tmp_path))


def test_what_is_no_models_name_is_said_so(tmp_path: Path) -> None:
    for name in ("", " ", "a" * 5000, "a\0b"):
        with pytest.raises(ModelUnavailable, match="the name of a model"):
            load_model(name)
    for name in ("sd15.safetensors", str(tmp_path / "sd15.safetensors"), "downloads/other.ckpt"):
        with pytest.raises(ModelUnavailable, match="no such file"):
            load_model(name)
    with pytest.raises(ModelUnavailable, match="no such folder"):
        load_model("~nobody-of-that-name/model")


def test_a_folder_beside_the_right_one_says_which_is_right(tiny_model_folder: Path, tmp_path: Path) -> None:
    cached = tmp_path / "models--somebody--something"
    shutil.copytree(tiny_model_folder, cached / "snapshots" / "abc")
    for place, words in (
        (cached, "give the folder 'snapshots/abc' in it"),
        (cached / "snapshots" / "abc" / "unet", "give the folder that it lies in, 'abc'"),
        (cached / "snapshots" / "abc" / "model_index.json", "give the folder that it lies in"),
    ):
        with pytest.raises(ModelUnavailable, match=words):
            load_model(str(place))
    (tmp_path / "checkpoints").mkdir()
    save_file({}, tmp_path / "checkpoints" / "real.safetensors")
    with pytest.raises(ModelUnavailable, match=r"a file in it, such as 'real\.safetensors'"):
        load_model(str(tmp_path / "checkpoints"))
