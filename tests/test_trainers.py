"""LoRA as public trainers do it: rank, alpha, layers, and what is saved means the same everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

from tests.families import build, pipeline
from udp.cli import build_parser, main
from udp.imitation.recipes import LoRA
from udp.imitation.recipes.lora import KOHYA_FILE
from udp.imitation.recipes.trainers import TRAINERS
from udp.models.base import DiffusionModel
from udp.models.loading import FAMILIES, load_model
from udp.photos import Photo
from udp.settings import check_settings

PROMPT = "a photo of sks"
TIMES = torch.tensor([500.0])


def predicted(model: DiffusionModel, network: torch.nn.Module) -> torch.Tensor:
    noisy = torch.randn(1, *model.latent_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.denoise(network, noisy, TIMES, model.embed(PROMPT))


def test_presets_are_what_their_sources_say() -> None:
    for recipe in TRAINERS.values():
        check_settings(recipe)
    found = {name: (r.rank, r.alpha or r.rank, r.scope, r.batch_size) for name, r in TRAINERS.items()}
    assert found == {
        "diffusers": (4, 4, "attention", 4), "kohya": (16, 1, "linear", 1), "ai-toolkit": (16, 16, "linear", 1),
    }  # fmt: skip
    assert {recipe.learning_rate for recipe in TRAINERS.values()} == {1e-4}


@pytest.mark.parametrize("family", ["sd1", "flux", "z_image"])
def test_a_small_alpha_is_in_what_is_saved(family: str, photos: list[Photo], tmp_path: Path) -> None:
    model = load_model(str(build(family, tmp_path / "base")))
    base = predicted(model, model.network)
    recipe = LoRA(steps=10, learning_rate=1e-2, rank=4, alpha=1, scope="linear")
    tuned = recipe.fit(photos, model, PROMPT)
    learned = predicted(model, tuned.network)
    recipe.save(tuned, tmp_path / "saved")
    fresh = DiffusionPipeline.from_pretrained(tmp_path / "base", use_safetensors=True)
    files = [path.name for path in (tmp_path / "saved").iterdir()]
    assert (KOHYA_FILE in files) == (family == "sd1")
    for file in files:
        fresh.load_lora_weights(tmp_path / "saved", weight_name=file, adapter_name=file.split(".")[0])
        loaded = predicted(model, getattr(fresh, model.network_part))
        fresh.delete_adapters(file.split(".")[0])
        assert torch.allclose(loaded, learned, atol=1e-4), file
    assert not torch.allclose(learned, base, atol=1e-3)


def test_linear_adapts_every_linear_layer_of_the_blocks() -> None:
    places = {"sd3": ("transformer_blocks.",), "flux": ("transformer_blocks.",), "z_image": ("layers.", "_refiner.")}
    for family, inside in places.items():
        built = pipeline(family)
        model = FAMILIES[type(built).__name__](family, built)
        network = LoRA(rank=2, scope="linear").trainable(model, 0)
        blocks = [(n, m) for n, m in network.named_modules() if any(p in n for p in inside) and ".lora_" not in n]
        assert blocks
        missed = [n for n, m in blocks if isinstance(m, torch.nn.Linear) and not n.endswith("base_layer")]
        assert missed == [], family


def test_the_command_line_takes_a_trainer_and_what_is_said_beside_it(
    tiny_model_folder: Path, photo_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["attack", "--instance", str(photo_files[0].parent), "--model", str(tiny_model_folder), "--pictures", "1"]
    assert main([*start, "--out", str(tmp_path / "a"), "--trainer", "kohya", "--steps", "10"]) == 0
    settings = json.loads((tmp_path / "a" / "manifest.json").read_text())["settings"]
    kept = {key: settings[key] for key in ("rank", "alpha", "scope", "batch_size", "learning_rate", "steps")}
    assert kept == {"rank": 16, "alpha": 1, "scope": "linear", "batch_size": 1, "learning_rate": 1e-4, "steps": 10}
    assert main([*start, "--out", str(tmp_path / "b"), "--trainer", "kohya", "--recipe", "dreambooth"]) == 2
    assert "expected --trainer with lora alone, got it with dreambooth" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        build_parser(["attack"]).parse_args([*start, "--out", "x", "--trainer", "nobody"])
