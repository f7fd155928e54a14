"""Rectified-flow transformers, Stable Diffusion 3, FLUX.1 and Z-Image: what they have and other families lack.

Loading, sampling and fine-tuning are in `test_families.py`, protecting in `test_methods.py`, as for every family.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from tests.families import CHAT_LENGTH, T5_LENGTH, build, pipeline, their_guidance
from udp import attack
from udp.errors import InvalidInput, ModelUnavailable
from udp.imitation.recipes import RECIPES, DreamBooth, LoRA, TextualInversion
from udp.imitation.recipes.base import FineTuned
from udp.models import flow
from udp.models.adapters import adapters
from udp.models.base import DiffusionModel, side_by_side
from udp.models.flow import FlowTransformer
from udp.models.flux import GUIDANCE
from udp.models.loading import FAMILIES, load_model
from udp.models.memory import MemoryOptions
from udp.models.sampling import generate
from udp.models.training import Trainer
from udp.models.z_image import ZImage
from udp.photos import Photo
from udp.protection.methods import EUDP, FSMG
from udp.tensors import to_pixels

PROMPT = "a photo of sks"
WITH_CLIP = ("sd3", "flux")  # whose text a recipe may train
FLOWS = (*WITH_CLIP, "z_image")


def model_of(name: str) -> FlowTransformer:
    built = pipeline(name)
    return FAMILIES[type(built).__name__](name, built)


@pytest.fixture(scope="module")
def models() -> dict[str, FlowTransformer]:
    return {name: model_of(name) for name in (*FLOWS, "schnell", "sd3-without-t5", "z_image_turbo")}


def as_loaded(name: str) -> DiffusionPipeline:
    """The pipeline of diffusers as it comes from a folder: without dropout, which a T5 has."""
    built = pipeline(name)
    for part in built.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return built


def theirs(model: DiffusionModel, pipe: DiffusionPipeline, prompt: str = PROMPT, **more: object) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    size = {"height": model.resolution, "width": model.resolution, "max_sequence_length": model.most_words}
    generator = torch.Generator().manual_seed(3)
    settings = {"num_inference_steps": 3, "guidance_scale": their_guidance(pipe, 3.0), "output_type": "pt", **more}
    (image,) = pipe(prompt, generator=generator, **size, **settings).images
    return to_pixels(image).astype(int)


def ours(
    model: DiffusionModel, network: torch.nn.Module | None = None, prompt: str = PROMPT, guidance: float = 3.0
) -> np.ndarray:
    return generate(model, network or model.network, prompt, [3], 3, guidance)[0].astype(int)


def test_without_guidance_or_a_t5_pictures_are_still_those_of_the_pipeline(models: dict[str, FlowTransformer]) -> None:
    schnell, lean, turbo = (models[name] for name in ("schnell", "sd3-without-t5", "z_image_turbo"))
    assert np.abs(ours(schnell, guidance=1.0) - theirs(schnell, schnell.pipeline)).max() <= 1
    assert np.abs(ours(turbo, guidance=1.0) - theirs(turbo, turbo.pipeline, guidance_scale=0.0)).max() <= 1
    assert lean.most_words == 256 and np.abs(ours(lean) - theirs(lean, lean.pipeline)).max() <= 1


def test_a_network_that_is_told_its_guidance_is_asked_once_a_step(models: dict[str, FlowTransformer]) -> None:
    for name, steered in (("flux", 1), ("schnell", 2), ("sd3", 2), ("z_image", 2)):
        model, seen = models[name], []
        hook = model.network.register_forward_hook(lambda *given, seen=seen: seen.append(len(given[-1].sample)))
        ours(model)
        hook.remove()
        assert seen == [steered] * 3, f"{name}: samples in each step for one picture"
    dev = models["flux"]
    assert not np.array_equal(ours(dev, guidance=1.0), ours(dev, guidance=9.0))
    assert float(dev.embed(PROMPT)[2]) == GUIDANCE and float(dev.told_guidance(dev.embed(PROMPT), 9.0)[2]) == 9.0


def test_sampling_and_surrogate_follow_the_family(models: dict[str, FlowTransformer]) -> None:
    assert {name: model.sampling for name, model in models.items()} == {
        "sd3": (28, 7.0), "sd3-without-t5": (28, 7.0), "flux": (28, 3.5), "schnell": (4, 1.0),
        "z_image": (50, 5.0), "z_image_turbo": (8, 1.0),
    }  # fmt: skip
    method = models["flux"].suited(EUDP())
    assert method.surrogate == "adapters" and method.surrogate_learning_rate == 4e-3
    assert models["flux"].suited(EUDP(surrogate="full")).surrogate == "full"
    other = models["flux"].with_network(models["flux"].network)
    assert other.usual == models["flux"].usual


@pytest.mark.parametrize("name", FLOWS)
def test_a_full_surrogate_can_be_asked_for(name: str, models: dict[str, FlowTransformer], photos: list[Photo]) -> None:
    before = [parameter.clone() for parameter in models[name].network.parameters()]
    method = FSMG(surrogate="full", surrogate_steps=2, pgd_steps=2, step_size=3 / 255)
    (protected,) = method(photos[:1], models[name], PROMPT)
    assert 0 < np.abs(protected.pixels.astype(int) - photos[0].pixels.astype(int)).max() <= 8
    assert all(torch.equal(a, b) for a, b in zip(before, models[name].network.parameters(), strict=True))


class Recorded(torch.nn.Module):
    """An encoder that writes down where it is sent; on this machine there is one device only."""

    def __init__(self, learns: bool) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1), requires_grad=learns)
        self.device, self.sent = torch.device("meta"), []

    def to(self, device: torch.device | str) -> Recorded:
        self.sent.append(str(device))
        return self


def test_encoders_come_to_the_device_and_go_again(
    models: dict[str, FlowTransformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = models["flux"], Recorded(learns=False)
    assert model.ask(encoder, lambda asked: torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32
    assert encoder.sent == ["cpu", "cpu"]  # to the model's, and back to that of the weights
    with pytest.raises(RuntimeError):
        model.ask(encoder, lambda asked: torch.ones(2) @ torch.ones(3))
    assert len(encoder.sent) == 4, "it came back after an error too"
    learning = Recorded(learns=True)
    model.ask(learning, lambda asked: torch.ones(2))
    monkeypatch.setattr(flow, "room_for", lambda module, device: False)
    model.ask(encoder, lambda asked: torch.ones(2))
    assert learning.sent == [] and len(encoder.sent) == 4, "no room, or gradients to come: it computes where it is"


def test_encoders_are_left_beside_the_device_when_a_model_is_placed() -> None:
    built, moved = pipeline("sd3"), []
    for part in ("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"):
        getattr(built, part).to = lambda device, part=part: moved.append((part, device))
    FAMILIES[type(built).__name__].place(built, "cuda")
    assert moved == [("transformer", "cuda"), ("vae", "cuda")]


def test_the_t5_reads_each_prompt_once_while_clip_learns(photos: list[Photo]) -> None:
    model, read = model_of("sd3"), []
    model.read_encoder.register_forward_hook(lambda *arguments: read.append(1))
    frozen = [parameter.clone() for parameter in model.read_encoder.parameters()]
    tuned = LoRA(steps=10, rank=2, train_text_encoder=True).fit(photos, model, PROMPT)
    assert len(read) <= 2 and tuned.model.read_encoder is model.read_encoder
    assert all(torch.equal(a, b) for a, b in zip(frozen, model.read_encoder.parameters(), strict=True))
    assert not any("lora" in name for name, _ in model.read_encoder.named_modules())


def test_prompts_of_two_lengths_in_one_batch_predict_as_each_alone(models: dict[str, FlowTransformer]) -> None:
    """A language model's states are as many as the prompt has tokens, and filled up beside a longer one's."""
    for name in FLOWS:
        model, texts = models[name], ("a photo of a toy, seen from above", "", "a photo of a toy, seen from above")
        told = [model.embed(text) for text in texts]
        noisy = torch.randn(3, *model.latent_shape, generator=torch.Generator().manual_seed(0))
        times = torch.tensor([900.0, 500.0, 10.0])
        together = model.denoise(model.network, noisy, times, side_by_side([(one, 1) for one in told]))
        for row, one in enumerate(told):
            alone = model.denoise(model.network, noisy[row, None], times[row, None], one)
            assert torch.allclose(together[row, None], alone, atol=1e-4), name
    assert [int(count) for _, count in told[:2]] == [model.around + len(texts[0]), model.around]


def test_a_picture_whose_tokens_are_filled_up_is_that_of_the_pipeline_and_its_features_its_own() -> None:
    """Z-Image's network fills up what it sees to a multiple of 32 tokens: 36 to 64."""
    side = 24
    built = pipeline("z_image")
    built.vae.register_to_config(sample_size=side)
    model, seen = ZImage("small", built), []
    assert model.resolution == side and np.abs(ours(model) - theirs(model, built)).max() <= 1
    hook = model.feature_layer.register_forward_hook(lambda *given: seen.append(given[-1]))
    model.denoise(model.network, torch.zeros(2, *model.latent_shape), torch.tensor([5.0, 900.0]), model.embed("a"))
    hook.remove()
    features = model.feature_map(seen[0])
    assert seen[0].shape[1] > 64 and features.shape == (2, 32, 6, 6)
    assert torch.equal(features[1, :, 2, 3], seen[0][1, 2 * 6 + 3])


def test_what_a_language_model_is_asked_must_fit_and_hold_no_marks(models: dict[str, FlowTransformer]) -> None:
    model = models["z_image"]
    room = CHAT_LENGTH - model.around
    for prompt in ("", "一张狗的照片", "a toy, “new” 🐶", "x" * room):
        model.check_prompt(prompt)
    assert int(model.embed("x" * room)[1]) == CHAT_LENGTH
    with pytest.raises(
        InvalidInput, match=rf"at most {room} tokens for this model, got {room + 1}: all after '{'x' * room}' would"
    ):
        model.check_prompt("x" * (room + 1))
    for mark in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"):
        with pytest.raises(InvalidInput, match=f"without '{mark}'".replace("|", r"\|")):
            model.check_prompt(f"a toy{mark} on grass")


def test_a_text_that_only_reads_is_not_trained_and_that_is_said_before_any_work(
    models: dict[str, FlowTransformer], photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("work was done first")

    for place, part in ((Trainer, "run"), (DiffusionModel, "sample"), (ZImage, "encode")):
        monkeypatch.setattr(place, part, work)
    model = models["z_image"]
    trains = {"train_text_encoder": True}
    for name, settings in (("textual_inversion", {}), ("lora", trains), ("dreambooth", trains)):
        for start in (
            lambda name=name, settings=settings: RECIPES[name](**settings).fit(photos, model, PROMPT),
            lambda name=name, settings=settings: attack(photos, None, model, recipe=name, **settings),
        ):
            with pytest.raises(
                InvalidInput, match="a text encoder to train, got 'z_image', whose text encoder only reads"
            ):
                start()
    with pytest.raises(InvalidInput, match="only reads"):
        model.with_own_text()


def test_a_language_model_without_a_format_for_questions_is_refused(tmp_path: Path) -> None:
    folder = build("z_image", tmp_path / "model")
    (folder / "tokenizer" / "chat_template.jinja").unlink()
    with pytest.raises(
        ModelUnavailable, match=r"configurations of .* to be those of a ZImagePipeline, got: .*chat_template"
    ):
        load_model(str(folder))


def test_a_long_prompt_must_fit_into_the_t5_and_only_there(models: dict[str, FlowTransformer]) -> None:
    short_for_clip = "toy " * 7
    model = model_of("sd3")
    for tokenizer in model.tokenizers:
        tokenizer.model_max_length = 5
    model.check_prompt(short_for_clip)
    with pytest.raises(InvalidInput, match=f"at most {T5_LENGTH - 1} tokens for this model, got 20"):
        model.check_prompt("toy " * 20)
    with pytest.raises(InvalidInput, match="at most 22 tokens"):
        models["sd3-without-t5"].check_prompt("toy " * 40)
    with pytest.raises(InvalidInput, match="without '</s>'"):
        models["flux"].check_prompt("a toy</s> on grass")
    with pytest.raises(InvalidInput, match="got '狗'"):
        models["flux"].check_prompt("狗")


@pytest.mark.parametrize("name", FLOWS)
def test_adapters_load_in_diffusers_and_give_the_same_pictures(
    name: str, models: dict[str, FlowTransformer], photos: list[Photo], tmp_path: Path
) -> None:
    model, clip = models[name], name in WITH_CLIP
    recipe = LoRA(steps=10, learning_rate=1e-2, rank=4, train_text_encoder=clip)
    tuned = recipe.fit(photos, model, PROMPT)
    recipe.save(tuned, tmp_path)
    (file,) = tmp_path.iterdir()
    names = load_file(file)
    assert any("add_k_proj.lora_A" in key for key in names) == clip == any(k.startswith("text_encoder.") for k in names)
    assert any("context_refiner.0.feed_forward.w2.lora_A" in key for key in names) != clip
    fresh = as_loaded(name)
    base = theirs(model, fresh)
    fresh.load_lora_weights(tmp_path, adapter_name="subject")
    learned = theirs(model, fresh)
    assert np.abs(learned - ours(tuned.model, tuned.network)).max() <= 1 < np.abs(learned - base).max()
    fresh.set_adapters("subject", 0.0)
    assert np.abs(theirs(model, fresh) - base).max() <= 1


def test_a_word_is_learned_by_clip_and_loads_in_diffusers(
    models: dict[str, FlowTransformer], photos: list[Photo], tmp_path: Path
) -> None:
    recipe = TextualInversion(steps=10, learning_rate=1e-1)
    for name in WITH_CLIP:
        tuned: FineTuned = recipe.fit(photos, models[name], PROMPT)
        assert tuned.weight_change > 0 and tuned.network is models[name].network
        # SD3's second encoder has a file of its own, as SDXL's has.
        assert len(recipe.files(tuned)) == len(models[name].texts)
        assert np.abs(ours(tuned.model) - ours(models[name])).max() > 0
    recipe.save(tuned, tmp_path)
    loaded = as_loaded("flux")
    # In this tiny vocabulary "sks" is a token already; the T5, which learns nothing, has to read the old word.
    loaded.load_textual_inversion(tmp_path, weight_name="learned_embeds.safetensors", token="<new>")
    both = {"prompt_2": PROMPT}
    assert np.abs(theirs(models["flux"], loaded, "a photo of <new>", **both) - ours(tuned.model)).max() <= 1


@pytest.mark.parametrize("name", [*FLOWS, "sd3-without-t5"])
def test_a_saved_fine_tune_loads_again(name: str, photos: list[Photo], tmp_path: Path) -> None:
    model = load_model(str(build(name, tmp_path / "base")))
    recipe = DreamBooth(steps=10, train_text_encoder=name == "flux")
    tuned = recipe.fit(photos, model, PROMPT)
    loaded = load_model(str(recipe.save(tuned, tmp_path / "tuned")))
    assert np.array_equal(ours(loaded), ours(tuned.model, tuned.network))
    assert type(loaded) is type(model) and loaded.schedule.sigma.equal(model.schedule.sigma)


@pytest.mark.parametrize("name", FLOWS)
def test_a_bfloat16_base_with_every_memory_option_trains_in_float32(
    name: str, photos: list[Photo], tmp_path: Path
) -> None:
    """As on a GPU, where that is what they get unless told otherwise."""
    options = MemoryOptions(autocast=True, checkpointing=True, tiling=True)
    model = load_model(str(build(name, tmp_path / name)), torch.bfloat16, options)
    assert type(model).usual_dtype("cuda") is torch.bfloat16 and type(model).usual_dtype("cpu") is torch.float32
    assert {part.dtype for part in (model.network, *model.text_encoders, model.read_encoder)} == {torch.bfloat16}
    told = {part.dtype for part in model.embed(PROMPT) if part.is_floating_point()}
    assert told == {torch.float32} == {model.vae.dtype}
    (protected,) = EUDP(rounds=1, surrogate_steps=1, pgd_steps=2)(photos[:1], model, PROMPT)
    assert 0 < np.abs(protected.pixels.astype(int) - photos[0].pixels.astype(int)).max() <= 8
    tuned = LoRA(steps=10, rank=2).fit(photos[:1], model, PROMPT)
    assert {p.dtype for p in adapters(tuned.network)} == {torch.float32} and np.isfinite(tuned.losses).all()
    assert ours(tuned.model, tuned.network).std() > 1
