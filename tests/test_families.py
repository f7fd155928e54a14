"""Every model family, by one table: loading, the algebra, fine-tune, generate, and what loading refuses.

Protecting is in `test_methods.py`: every method on every family.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline, DiffusionPipeline
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from tests.families import PIPELINES, SIDE, build, their_guidance
from udp.errors import ModelUnavailable
from udp.evaluation.bench import run_trial
from udp.evaluation.metrics.features import features
from udp.evaluation.trial import Trial
from udp.imitation.recipes import DreamBooth, LoRA
from udp.models.base import DiffusionModel
from udp.models.flow import FlowTransformer
from udp.models.flux import Flux
from udp.models.loading import FAMILIES, load_model
from udp.models.loss import DenoisingLoss
from udp.models.memory import MemoryOptions
from udp.models.sampling import generate
from udp.models.schedule import Prediction
from udp.models.timesteps import timestep_distribution
from udp.models.unavailable import explain
from udp.photos import Photo
from udp.tensors import to_pixels, to_tensor


@pytest.fixture(scope="module", params=PIPELINES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return load_model(str(build(request.param, tmp_path_factory.mktemp("family") / request.param)))


def test_loads_as_its_family_and_knows_its_size(model: DiffusionModel) -> None:
    assert type(model) is FAMILIES[type(model.pipeline).__name__]
    assert model.resolution == SIDE
    assert not any(p.requires_grad for m in model.modules for p in m.parameters())


def test_round_trip_and_target_follow_the_noise_schedule(model: DiffusionModel, photos: list[Photo]) -> None:
    """From x_t and the target, for each kind of prediction, the clean latents come back exactly."""
    pixels = model.prepare([to_tensor(p.pixels)[None] for p in photos])
    latents = model.encode(pixels)
    assert latents.dtype == torch.float32 and model.decode(latents).shape == pixels.shape
    noise, timesteps = (
        torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)),
        torch.tensor([1, 300, 800]),
    )
    noisy, target = (
        model.schedule.add_noise(latents, noise, timesteps),
        model.schedule.target(latents, noise, timesteps),
    )
    alpha = model.schedule.signal_share[timesteps][:, None, None, None]
    if model.schedule.prediction is Prediction.FLOW:
        recovered = noisy - model.schedule.sigma[timesteps][:, None, None, None] * target
    elif model.schedule.prediction is Prediction.VELOCITY:
        recovered = alpha.sqrt() * noisy - (1 - alpha).sqrt() * target
    else:
        recovered = (noisy - (1 - alpha).sqrt() * target) / alpha.sqrt()
    assert torch.allclose(recovered, latents, atol=1e-3)


def test_prompts_matter_where_there_are_prompts(model: DiffusionModel) -> None:
    unet, noisy = model.network, torch.zeros(2, *model.latent_shape)
    first, same, other = (
        model.denoise(unet, noisy, torch.tensor([5, 900]), model.embed(prompt))
        for prompt in ("a toy", "a toy", "photo")
    )
    assert torch.equal(first, same) and torch.equal(first, other) != model.takes_prompts
    assert first.shape == noisy.shape and first.dtype == torch.float32


def test_guidance_is_rescaled_where_the_schedule_ends_without_signal() -> None:
    """Again beside the published pipeline, which has the same rescaling (arXiv 2305.08891)."""
    mini = load_model("mini", options=MemoryOptions())  # in float32, as the pipeline is
    assert mini.guidance_rescale == 0.7
    generators, size = [torch.Generator().manual_seed(seed) for seed in (3, 4)], mini.resolution
    with torch.no_grad():
        pictures = mini.pipeline(
            ["a photo of a toy"] * 2,
            height=size,
            width=size,
            num_inference_steps=4,
            guidance_scale=7.5,
            guidance_rescale=0.7,
            generator=generators,
            output_type="pt",
        ).images
    for a, b in zip(generate(mini, mini.network, "a photo of a toy", [3, 4], 4, 7.5), pictures, strict=True):
        assert np.abs(a.astype(int) - to_pixels(b).astype(int)).max() <= 1


def test_sampling_agrees_with_the_pipeline_of_diffusers(model: DiffusionModel) -> None:
    """An independent implementation of the same sampler: the published pipeline, with the same starting noise.

    For a DDPM that is the pipeline of DDIM, which makes its own scheduler out of the model's, as we do.
    """
    ours = generate(model, model.network, "a photo of a toy", [3, 4], steps=4, guidance=3.0)
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    if model.takes_prompts:
        pipeline = model.pipeline
        reads = {"max_sequence_length": model.most_words} if isinstance(model, FlowTransformer) else {}
        # What FLUX calls guidance is told to the network; where it is not, its pipeline has another name for the usual one.
        steers = (
            {"true_cfg_scale": 3.0, "negative_prompt": [""] * 2}
            if isinstance(model, Flux) and not model.guidance_distilled
            else {}
        )
        theirs = pipeline(
            ["a photo of a toy"] * 2,
            height=SIDE,
            width=SIDE,
            num_inference_steps=4,
            guidance_scale=their_guidance(pipeline, 3.0),
            generator=generators,
            output_type="pt",
            **reads,
            **steers,
        ).images
    else:
        pipeline = model.pipeline
        if isinstance(pipeline, DDPMPipeline):
            pipeline = DDIMPipeline(pipeline.unet, pipeline.scheduler)
        theirs = torch.from_numpy(
            pipeline(batch_size=2, num_inference_steps=4, generator=generators, output_type="np").images
        ).permute(0, 3, 1, 2)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a.astype(int) - to_pixels(b).astype(int)).max() <= 1


def test_pixels_get_a_gradient_that_raises_the_loss(model: DiffusionModel, photos: list[Photo]) -> None:
    """At fixed noise: an untrained U-Net hardly looks at its input, so a loss over random draws would drown the step."""
    pixels = model.prepare([to_tensor(p.pixels)[None] for p in photos])
    loss = DenoisingLoss(model, model.embed("a"), timestep_distribution("uniform", model.schedule.signal_share))
    noise = torch.randn(model.encode(pixels).shape, generator=torch.Generator().manual_seed(1))

    def at(moved: torch.Tensor) -> torch.Tensor:
        return loss.at(model.network, model.encode(moved), noise, torch.tensor([50, 200, 400])).sum()

    leaf = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(at(leaf), leaf)
    assert (gradient != 0).float().mean() > 0.9
    assert at(pixels + gradient.sign() * 1e-3) > at(pixels) > at(pixels - gradient.sign() * 1e-3)


def test_full_fine_tune_and_lora_attack(model: DiffusionModel, photos: list[Photo]) -> None:
    trial = Trial(pictures=2, sampling_steps=2)
    for recipe in (DreamBooth(steps=10, learning_rate=3e-3), LoRA(steps=10, scope="attention", learning_rate=1e-2)):
        report = run_trial({"clean": photos}, model, recipe, trial)
        (arm,) = report.arms
        assert arm.metrics["clean_loss"] < report.base.metrics["clean_loss"]
        assert all(image.shape == (SIDE, SIDE, 3) for image in arm.images)
        assert not any("lora" in name for name, _ in model.network.named_modules())


def test_features_are_unit_vectors_that_tell_pictures_apart(model: DiffusionModel, photos: list[Photo]) -> None:
    found = features(model, [p.pixels for p in photos])
    assert torch.allclose(found.norm(dim=1), torch.ones(len(photos)), atol=1e-5)
    assert float(torch.pdist(found).min()) > 1e-3


def response() -> object:
    import httpx

    return httpx.Response(401, request=httpx.Request("GET", "https://example.org"))


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (lambda: GatedRepoError("gated", response=response()), "accept its licence"),
        (lambda: RepositoryNotFoundError("no", response=response()), "a local diffusers folder or a Hub id"),
        (lambda: LocalEntryNotFoundError("not in the cache"), "expected a network or a downloaded copy"),
    ],
)
def test_hub_failures_say_what_to_do(cause, words: str) -> None:
    try:
        try:
            raise cause()
        except Exception as inner:
            raise OSError("the library's own long text") from inner
    except OSError as error:
        assert words in explain("sd15", "somebody/model", error)


def test_unknown_pipeline_pickles_and_plain_folders_are_refused(tmp_path: Path) -> None:
    folder = build("ddpm", tmp_path / "model")
    other = shutil.copytree(folder, tmp_path / "other")
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps({**index, "_class_name": "SanaPipeline"}))
    with pytest.raises(ModelUnavailable, match="got SanaPipeline"):
        load_model(str(other))
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(DiffusionPipeline.from_pretrained(folder).unet.state_dict(), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelUnavailable, match=r"got diffusion_pytorch_model\.bin: pickles can run code"):
        load_model(str(pickled))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnavailable, match=r"model_index\.json"):
        load_model(str(tmp_path / "empty"))


def test_a_name_that_is_nothing_lists_the_known_ones() -> None:
    with pytest.raises(ModelUnavailable, match=r"expected one of mini, .*sd15"):
        load_model("no such model")
