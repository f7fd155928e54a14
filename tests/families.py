"""Tiny random models of the true architectures, built offline and saved as diffusers saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LDMPipeline,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers import pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

import recipe.text
from recipe.text import build_tokenizer

SIDE = 32
T5_LENGTH = 16
CHAT_LENGTH = 96
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tokenizer() -> CLIPTokenizer:
    return build_tokenizer(["a photo of a toy"] * 20, size=200)


def text_config(words: CLIPTokenizer, width: int) -> CLIPTextConfig:
    return recipe.text.text_config(words, width, inner=width, heads=2)


def autoencoder_kl() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 16),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        sample_size=SIDE,
    )


def conditional_unet(**changes: Any) -> UNet2DConditionModel:
    usual = {
        "sample_size": SIDE // 2,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 16),
        "norm_num_groups": 8,
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 2,
    }
    return UNet2DConditionModel(**{**usual, **changes})


def t5_tokenizer() -> T5TokenizerFast:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'-!?"
    words = ("a", "photo", "of", "toy", "sks")
    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces = [*((letter, -3.0) for letter in letters), *((f"▁{word}", -1.0) for word in words)]
    return T5TokenizerFast(vocab=[*marks, *pieces], extra_ids=0, model_max_length=T5_LENGTH)


def t5(words: T5TokenizerFast, width: int) -> T5EncoderModel:
    return T5EncoderModel(T5Config(vocab_size=len(words), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2))


def chat_tokenizer() -> Qwen2Tokenizer:
    """As Qwen3's: bytes, so that it knows every letter, and a format of questions and answers."""
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    marks = {"eos_token": "<|im_end|>", "extra_special_tokens": ["<|im_start|>"]}
    return Qwen2Tokenizer(vocab=letters, merges=[], model_max_length=CHAT_LENGTH, chat_template=CHAT, **marks)


def language_model(words: Qwen2Tokenizer, width: int) -> Qwen3Model:
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    return Qwen3Model(Qwen3Config(vocab_size=len(words), hidden_size=width, intermediate_size=32, **sizes))


def autoencoder_16() -> AutoencoderKL:
    """As SD3's, FLUX.1's and Z-Image's: 16 channels, shifted, without layers of its own around the latents."""
    return AutoencoderKL(
        block_out_channels=(16, 16),
        norm_num_groups=8,
        mid_block_add_attention=False,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=16,
        sample_size=SIDE,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def unconditional_unet(side: int, channels: int) -> UNet2DModel:
    return UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )


def stable_diffusion(scheduler) -> StableDiffusionPipeline:
    words = tokenizer()
    return StableDiffusionPipeline(
        vae=autoencoder_kl(),
        text_encoder=CLIPTextModel(text_config(words, 32)),
        tokenizer=words,
        unet=conditional_unet(cross_attention_dim=32),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sd1() -> DiffusionPipeline:
    """As Stable Diffusion 1.5 is saved: epsilon-prediction, PNDM."""
    return stable_diffusion(PNDMScheduler(skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False, **BETAS))


def sd2() -> DiffusionPipeline:
    """As Stable Diffusion 2.1 at 768 px is saved: v-prediction, DDIM."""
    return stable_diffusion(
        DDIMScheduler(
            prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1, **BETAS
        )
    )


def sdxl() -> DiffusionPipeline:
    words = tokenizer()
    return StableDiffusionXLPipeline(
        vae=autoencoder_kl(),
        text_encoder=CLIPTextModel(text_config(words, 32)),
        tokenizer=words,
        text_encoder_2=CLIPTextModelWithProjection(text_config(words, 64)),
        tokenizer_2=tokenizer(),
        unet=conditional_unet(
            cross_attention_dim=96,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=64 + 6 * 8,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(steps_offset=1, timestep_spacing="leading", **BETAS),
        add_watermarker=False,
    )


def sd3() -> DiffusionPipeline:
    """As Stable Diffusion 3.5 is saved, with a block of double attention and one without."""
    words, read = tokenizer(), t5_tokenizer()
    return StableDiffusion3Pipeline(
        vae=autoencoder_16(),
        text_encoder=CLIPTextModelWithProjection(text_config(words, 32)),
        tokenizer=words,
        text_encoder_2=CLIPTextModelWithProjection(text_config(words, 64)),
        tokenizer_2=tokenizer(),
        text_encoder_3=t5(read, 96),
        tokenizer_3=read,
        transformer=SD3Transformer2DModel(
            sample_size=SIDE // 2,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=96,
            caption_projection_dim=32,
            pooled_projection_dim=96,
            pos_embed_max_size=16,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def sd3_without_t5() -> DiffusionPipeline:
    """As people save Stable Diffusion 3 for small GPUs."""
    parts = {**sd3().components, "text_encoder_3": None, "tokenizer_3": None}
    return StableDiffusion3Pipeline(**parts)


def flux(guidance_embeds: bool = True, dynamic: bool = True) -> DiffusionPipeline:
    """As FLUX.1 [dev] is saved: told its guidance, and shifted by the size of the picture."""
    words, read = tokenizer(), t5_tokenizer()
    return FluxPipeline(
        vae=autoencoder_16(),
        text_encoder=CLIPTextModel(text_config(words, 32)),
        tokenizer=words,
        text_encoder_2=t5(read, 32),
        tokenizer_2=read,
        transformer=FluxTransformer2DModel(
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            guidance_embeds=guidance_embeds,
            axes_dims_rope=(4, 4, 8),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0 if dynamic else 1.0, use_dynamic_shifting=dynamic),
    )


def schnell() -> DiffusionPipeline:
    """As FLUX.1 [schnell] is saved: distilled to few steps, without guidance."""
    return flux(guidance_embeds=False, dynamic=False)


def z_image(shift: float = 6.0) -> DiffusionPipeline:
    """As Z-Image is saved."""
    words = chat_tokenizer()
    return ZImagePipeline(
        vae=autoencoder_16(),
        text_encoder=language_model(words, 32),
        tokenizer=words,
        transformer=ZImageTransformer2DModel(
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=32,
            axes_dims=[4, 6, 6],
            axes_lens=[256, 32, 32],
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
    )


def z_image_turbo() -> DiffusionPipeline:
    """As Z-Image-Turbo is saved: distilled to few steps, which its schedule shows."""
    return z_image(shift=3.0)


def ddpm() -> DiffusionPipeline:
    """As google/ddpm-cifar10-32 is saved: 32 px, linear betas."""
    return DDPMPipeline(unet=unconditional_unet(SIDE, 3), scheduler=DDPMScheduler())


def ldm_vq() -> DiffusionPipeline:
    """As CompVis/ldm-celebahq-256 is saved: a VQ autoencoder."""
    vqvae = VQModel(
        block_out_channels=(16, 16),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=3,
        num_vq_embeddings=64,
    )
    return LDMPipeline(vqvae=vqvae, unet=unconditional_unet(SIDE // 2, 3), scheduler=DDIMScheduler(**BETAS))


def ldm_kl() -> DiffusionPipeline:
    return LDMPipeline(vqvae=autoencoder_kl(), unet=unconditional_unet(SIDE // 2, 4), scheduler=DDIMScheduler(**BETAS))


PIPELINES: dict[str, Callable[[], DiffusionPipeline]] = {
    builder.__name__: builder for builder in (sd1, sd2, sdxl, sd3, flux, z_image, ddpm, ldm_vq, ldm_kl)
}
# Of an architecture that is there already.
VARIANTS: dict[str, Callable[[], DiffusionPipeline]] = {
    "schnell": schnell, "sd3-without-t5": sd3_without_t5, "z_image_turbo": z_image_turbo,
}  # fmt: skip


def their_guidance(built: DiffusionPipeline, ours: float) -> float:
    """What a pipeline is told for a guidance of ours: Z-Image's counts from the prediction under the prompt, others from that under none."""
    return ours - 1 if isinstance(built, ZImagePipeline) else ours


def pipeline(name: str) -> DiffusionPipeline:
    """The tiny pipeline called `name`, the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return (PIPELINES | VARIANTS)[name]()


def build(name: str, folder: Path) -> Path:
    """Save the tiny pipeline called `name` in `folder`."""
    pipeline(name).save_pretrained(folder)
    return folder
