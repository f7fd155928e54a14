"""What fits into a machine: arithmetic beside what tiny models really hold, and refusals before a download."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import ZImageTransformer2DModel
from transformers import Qwen3Config, Qwen3Model

from tests.families import pipeline
from udp.errors import ModelUnavailable, OutOfMemory
from udp.models import fitting
from udp.models.adapters import RANK, adapters, add_adapters
from udp.models.base import DiffusionModel
from udp.models.fitting import GIB, gib_needed, gib_to_download
from udp.models.loading import FAMILIES, load_model
from udp.models.registry import MODELS, ModelRow, Weights
from udp.models.training import Trainer, TrainingSettings
from udp.models.z_image import BASE, TURBO, ZImage

# What the README of a machine says, and what at most fits there: by weights, adapters and the least spare.
LARGEST = {12: "sd35-medium", 16: "z-image", 24: "sd35-large", 48: "flux-dev"}
FLOW_ROWS = ("sd3", "sd35-medium", "z-image", "sd35-large", "flux-dev")


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def row_of(model: DiffusionModel, half: bool) -> ModelRow:
    network = model.copy_network(trainable=False)
    add_adapters(network, model.adapter_layers("wide"), RANK, 0)
    learned = sum(parameter.numel() for parameter in adapters(network))
    text = sum(count(module) for module in model.modules) - count(model.network) - count(model.vae)
    sizes = Weights(*(number / 1e9 for number in (count(model.network), count(model.vae), text, learned)))
    return ModelRow("tiny", "tiny", "tiny", "none", 32, 0.0, half=half, weights=sizes)


def held(parameters: list[torch.nn.Parameter]) -> int:
    """Bytes of weights, gradients and optimiser state after a step of the one training loop."""
    trainer = Trainer(parameters, TrainingSettings(1e-3))
    seen: list[int] = []

    def loss(step: int) -> torch.Tensor:
        return sum(parameter.square().sum() for parameter in parameters)

    step = trainer.optimizer.step

    def spy() -> None:
        seen.append(sum(p.grad.numel() * p.grad.element_size() for p in parameters))
        step()

    trainer.optimizer.step = spy
    trainer.run(loss, 1)
    state = [value for entry in trainer.optimizer.state.values() for value in entry.values() if value.dim()]
    weights = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    return weights + seen[0] + sum(value.numel() * value.element_size() for value in state)


@pytest.mark.parametrize("name", ["sd1", "sd3", "flux", "z_image"])
def test_arithmetic_is_what_a_tiny_model_holds(name: str) -> None:
    built = pipeline(name)
    model = FAMILIES[type(built).__name__](name, built)
    half = name != "sd1"
    if half:
        model.network.to(torch.bfloat16)
    beside = (model.network, model.vae) if half else model.modules
    base = sum(p.numel() * p.element_size() for module in beside for p in module.parameters())
    network = model.copy_network(trainable=False)
    add_adapters(network, model.adapter_layers("wide"), RANK, 0)
    row = row_of(model, half)
    measured = {
        "frozen": base,
        "adapters": base + held(adapters(network)),
        "full": base + held(list(model.copy_network().parameters())),
    }
    for work, found in measured.items():
        assert gib_needed(row, work) * GIB == pytest.approx(found, rel=1e-6), work


def test_what_fits_into_common_gpus() -> None:
    for size, largest in LARGEST.items():
        fitting_rows = [n for n in FLOW_ROWS if gib_needed(MODELS[n], "adapters") + fitting.SPARE <= size]
        assert fitting_rows[-1] == largest, size
    assert all(gib_needed(MODELS[name], "full") > 24 for name in FLOW_ROWS), "so adapters are their surrogates"
    for name in FLOW_ROWS:
        row = MODELS[name]
        assert row.memory_gb == pytest.approx(18 * row.weights.network + 4 * row.weights.autoencoder, abs=1)
        assert 10 < gib_to_download(row) < 35 and row.gated == (name != "z-image") and len(row.revision) == 40


def test_the_sizes_of_z_image_are_those_of_its_architecture() -> None:
    """Without weights; its configuration is the class's own, but for a longer text."""
    with torch.device("meta"):
        network = ZImageTransformer2DModel(axes_lens=[1536, 512, 512])
        reader = Qwen3Model(
            Qwen3Config(
                vocab_size=151936, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36,
                num_attention_heads=32, num_key_value_heads=8, head_dim=128,
            )
        )  # fmt: skip
        counted = [count(network), count(reader)]
        add_adapters(network, ZImage.wide_layers, RANK, 0)
    base, turbo = MODELS["z-image"], MODELS["z-image-turbo"]
    counted.append(sum(parameter.numel() for parameter in adapters(network)))
    size = base.weights
    assert [size.network, size.text] == [round(number / 1e9, 3) for number in counted[:2]]
    assert size.adapters == round(counted[2] / 1e9, 4) and turbo.weights == size and turbo.memory_gb == base.memory_gb
    # Turbo's network is published in float32.
    assert gib_to_download(turbo) - gib_to_download(base) == pytest.approx(2 * size.network * 1e9 / GIB, abs=0.1)
    assert (base.sampling, turbo.sampling) == (BASE, TURBO)


def test_what_cannot_fit_is_refused_before_it_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("looked for on the Hub")

    monkeypatch.setattr("udp.models.loading.DiffusionPipeline.load_config", never)
    monkeypatch.setattr(fitting, "gib_of", lambda device: 12.0)
    fits = r"'flux-dev'.*got 12\.0 GiB: sd15, sd21-base, sd21 would fit"
    with pytest.raises(OutOfMemory, match=rf"expected at least 6\d\.\d GiB of memory for {fits}"):
        load_model("flux-dev")
    monkeypatch.setattr(fitting, "gib_of", lambda device: 100.0)
    monkeypatch.setattr(fitting, "gib_free_for_downloads", lambda: 20.0)
    with pytest.raises(ModelUnavailable, match=r"expected 31\.\d GiB free for the download of 'flux-dev', got 20\.0"):
        load_model("flux-dev")


def test_a_gpu_is_asked_for_what_its_half_base_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "gib_of", lambda device: {"cuda": 23.6, "cpu": 8.0}[device])
    with pytest.raises(
        OutOfMemory, match=r"24\.\d GiB of GPU memory for 'flux-dev'.*sd35-large, z-image, z-image-turbo would fit"
    ):
        fitting.check_fits(MODELS["flux-dev"], "cuda")
    monkeypatch.setattr(fitting, "gib_free_for_downloads", lambda: 1000.0)
    fitting.check_fits(MODELS["sd35-large"], "cuda")
    with pytest.raises(OutOfMemory, match=r"5\d\.\d GiB of GPU memory for .*sd35-large as it is published"):
        fitting.check_fits(MODELS["sd35-large"], "cuda", torch.float32)  # twice the weights
    fitting.check_fits(MODELS["sd35-large"], "cuda", torch.bfloat16)
    fitting.check_fits(dataclasses.replace(MODELS["flux-dev"], weights=None), "cuda")
    monkeypatch.setattr(fitting, "gib_of", lambda device: 1.0)
    with pytest.raises(OutOfMemory, match="the embedded model, mini"):
        fitting.check_fits(MODELS["sd15"], "cpu")
