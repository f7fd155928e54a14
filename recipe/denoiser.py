"""Train the embedded model's U-Net and text encoder on captioned latents, and assemble the pipeline."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from recipe.clock import Ema, resume, train_by_clock
from recipe.pictures import SIDE, squares, view
from recipe.student import LATENT_CHANNELS
from recipe.text import LENGTH, WIDTH, build_text_encoder, build_tokenizer
from udp.models.training import Trainer, TrainingSettings

SETTINGS = TrainingSettings(learning_rate=1e-3, betas=(0.9, 0.99), weight_decay=1e-2, schedule="cosine", warmup=0.03)
REPORT_EVERY = 100  # steps between lines of the log
UNSEEN_EVERY = 1000  # steps between looks at the squares held out
CAPTION_DROPOUT = 0.1
HELD_OUT = 256  # of the last squares: never trained on, their loss is logged beside the training's


def build_unet(latent_channels: int = LATENT_CHANNELS) -> UNet2DConditionModel:
    """An untrained U-Net on C x 16 x 16 latents; attention where tokens are few, every width a multiple of 64."""
    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=(128, 128, 256),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
    ).to(memory_format=torch.channels_last)


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's betas rescaled to zero terminal SNR, velocity prediction, trailing spacing (Lin et al. 2024)."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether `device` has units for bfloat16. Weights and Adam stay in float32; only the layers compute in bfloat16."""
    return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()


@torch.no_grad()
def encode_all(vae: AutoencoderTiny, images: np.ndarray, views: torch.Generator | None = None) -> torch.Tensor:
    """uint8 (N, 128, 128, 3) to float16 latents (N, C, 16, 16), on the device of `vae`.

    With `views`, a generator, of a random view of each square instead of the square (`recipe.pictures.view`).
    """
    latents = []
    for start in range(0, len(images), 32):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + 32])).to(vae.device)
        pixels = batch.permute(0, 3, 1, 2).float() / 127.5 - 1
        pixels = pixels if views is None else view(pixels, views)
        encoded = vae.encode(pixels.contiguous(memory_format=torch.channels_last)).latents
        latents.append((encoded * vae.config.scaling_factor).half())
    return torch.cat(latents)


def train(
    vae: AutoencoderTiny,
    folders: list[Path],
    checkpoint: Path,
    minutes: float,
    seed: int = 0,
    batch: int = 16,
    views: int = 2,
    start: Path | None = None,
) -> StableDiffusionPipeline:
    """Train for `minutes` of wall clock, resuming from `checkpoint`, and return the pipeline with averaged weights.

    Everything runs on the device of `vae`. `views` is how many random views of each square there are to draw from,
    encoded once before the training (2 KB each). `start` is a folder with an earlier pipeline of the same widths: training
    begins from its words, text encoder and U-Net, but for the layers whose shapes differ because its latents were others.
    """  # fmt: skip
    torch.manual_seed(seed)  # initial weights only
    device = vae.device
    images, captions = squares(folders, seed)
    held_out = min(HELD_OUT, len(images) // 10)
    seen = len(images) - held_out
    vocabulary = checkpoint.with_name("tokenizer")  # kept: more captions on resuming must not renumber the words
    if not vocabulary.exists():
        known = CLIPTokenizer.from_pretrained(start / "tokenizer") if start else build_tokenizer(captions)
        known.save_pretrained(vocabulary)
    tokenizer = CLIPTokenizer.from_pretrained(vocabulary)
    tokens = tokenizer([*captions, ""], padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    tokens = tokens.input_ids.to(device)
    text_encoder, unet = build_text_encoder(tokenizer).to(device), build_unet(vae.config.latent_channels).to(device)
    if start and not checkpoint.exists():
        take_over(start, unet, text_encoder)
    scheduler = build_scheduler()
    noise_scheduler = DDPMScheduler.from_config(scheduler.config)
    ema = Ema([unet, text_encoder])
    trainer = Trainer([*unet.parameters(), *text_encoder.parameters()], SETTINGS)
    modules = [unet, text_encoder, *ema.averages]

    def load(state: dict[str, Any]) -> None:
        for module, weights in zip(modules, state["modules"], strict=True):
            module.load_state_dict(weights)

    spent = resume(checkpoint, trainer, load, device)
    if spent >= minutes * 60:
        return assemble(vae, ema.averages[0], ema.averages[1], tokenizer, scheduler)
    begun = time.monotonic()
    drawn = torch.Generator().manual_seed(seed)
    latents = torch.stack([encode_all(vae, images[:seen], drawn) for _ in range(views)])
    unseen = encode_all(vae, images[seen:])
    spent += time.monotonic() - begun
    generator = torch.Generator().manual_seed(seed + trainer.step)
    noise_generator = torch.Generator(device).manual_seed(seed + trainer.step)
    # Compiled, normalisation and activations are fused: on a GPU the steps are bound by memory traffic.
    fast_unet = torch.compile(unet) if device.type == "cuda" else unet
    print(f"{seen} squares, {held_out} held out, {views} views, {len(tokenizer)} tokens", flush=True)

    def denoising_loss(
        clean: torch.Tensor, words: torch.Tensor, models: Sequence[torch.nn.Module], noise_from: torch.Generator
    ) -> torch.Tensor:
        """Of `clean` (n, C, h, w) under the tokens `words` (n, LENGTH), at timesteps that cover all evenly.

        `models` are a U-Net and a text encoder.
        """
        denoise, encode_text = models
        count = len(clean)
        places = torch.arange(count, device=device) + torch.rand(count, generator=noise_from, device=device)
        timesteps = (places / count * len(scheduler.betas)).long()
        noise = torch.randn(clean.shape, generator=noise_from, device=device)
        noisy = noise_scheduler.add_noise(clean, noise, timesteps).contiguous(memory_format=torch.channels_last)
        text = encode_text(words)[0]
        with torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bfloat16(device)):
            prediction = denoise(noisy, timesteps, encoder_hidden_states=text).sample
        error = prediction.float() - noise_scheduler.get_velocity(clean, noise, timesteps)
        return error.square().mean()

    def loss(step: int) -> torch.Tensor:
        chosen = torch.randint(seen, (batch,), generator=generator)
        clean = latents[torch.randint(views, (batch,), generator=generator), chosen].float()
        chosen[torch.rand(batch, generator=generator) < CAPTION_DROPOUT] = len(tokens) - 1
        return denoising_loss(clean, tokens[chosen], [fast_unet, text_encoder], noise_generator)

    def weights() -> dict[str, Any]:
        return {"modules": [module.state_dict() for module in modules]}

    @torch.no_grad()
    def after_step(step: int, share: float) -> None:
        ema.update(step)
        if held_out and step % UNSEEN_EVERY == 0:
            fixed = torch.Generator(device).manual_seed(seed)
            value = denoising_loss(unseen.float(), tokens[seen:-1], ema.averages, fixed)
            print(f"step {step} loss on squares held out {float(value):.4f}", flush=True)

    train_by_clock(trainer, loss, minutes, spent, REPORT_EVERY, checkpoint, weights, after_step)
    return assemble(vae, ema.averages[0], ema.averages[1], tokenizer, scheduler)


def take_over(start: Path, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
    """Copy the weights of the pipeline in `start` wherever shapes agree; the U-Net's last layer then begins small."""
    earlier = UNet2DConditionModel.from_pretrained(start / "unet").float().state_dict()
    text_encoder.load_state_dict(CLIPTextModel.from_pretrained(start / "text_encoder").float().state_dict())
    own = unet.state_dict()
    unet.load_state_dict({name: earlier[name] if earlier[name].shape == own[name].shape else own[name] for name in own})
    if earlier["conv_out.weight"].shape != own["conv_out.weight"].shape:
        with torch.no_grad():
            unet.conv_out.weight.mul_(0.1)
            unet.conv_out.bias.zero_()


def assemble(vae, unet, text_encoder, tokenizer, scheduler) -> StableDiffusionPipeline:
    """The parts as one `StableDiffusionPipeline`, in evaluation mode."""
    return StableDiffusionPipeline(
        vae=vae.eval(), text_encoder=text_encoder.eval(), tokenizer=tokenizer, unet=unet.eval(), scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def save(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Float16 safetensors, in shards below 10 MB (a larger file is refused by some Space pushes)."""
    half = copy.deepcopy(pipeline.components)
    for name in ("vae", "unet", "text_encoder"):
        half[name] = half[name].half().to(memory_format=torch.contiguous_format)
    StableDiffusionPipeline(**half, requires_safety_checker=False).save_pretrained(folder, max_shard_size="9MB")
    for config in folder.glob("*/config.json"):
        known = json.loads(config.read_text())
        known.pop("_name_or_path", None)  # where the weights once lay is nobody's business
        if config.parent.name == "text_encoder":
            # transformers loads in the dtype that the config names, diffusers in float32: name float32, or a plain
            # `from_pretrained` gives a pipeline of two dtypes that cannot run.
            known["dtype"] = "float32"
        config.write_text(json.dumps(known, indent=2) + "\n")
