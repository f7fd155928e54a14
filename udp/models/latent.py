"""Latent diffusion: an autoencoder in front of the U-Net, and Stable Diffusion 1.x / 2.x on top of it."""

from __future__ import annotations

import copy
import itertools
import string
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DiffusionPipeline

from udp.errors import InvalidInput
from udp.models.base import DiffusionModel
from udp.models.layers import outputs_of
from udp.models.precision import computes_in_bfloat16, encode_large, encode_tiny
from udp.models.tokens import tokenized
from udp.settings import check_text


class LatentDiffusionModel(DiffusionModel):
    """Any family whose U-Net denoises an autoencoder's latents, scaled to about unit variance.

    The autoencoder is an `AutoencoderKL`, `AutoencoderTiny` or `VQModel`. Its weights are float32 whatever the U-Net's are, and
    its encoder computes in bfloat16 where the U-Net does, but for the first layer (see `udp.models.precision`).
    """

    def __init__(self, name: str, pipeline: DiffusionPipeline) -> None:
        super().__init__(name, pipeline)
        self.vae = getattr(pipeline, self._autoencoder_part).float()

    @property
    def _autoencoder_part(self) -> str:
        """What the pipeline calls it."""
        return "vae" if hasattr(self.pipeline, "vae") else "vqvae"

    @property
    def resolution(self) -> int:
        """See `DiffusionModel.resolution`."""
        config = self.vae.config
        widths = config.get("block_out_channels") or config.encoder_block_out_channels
        return self.network.config.sample_size * 2 ** (len(widths) - 1)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) in [0, 1] to scaled latents (N, C, S/f, S/f), differentiable.

        The mean of a KL autoencoder's posterior, not a sample (it would add noise to the image gradient), and a VQ
        autoencoder's latents before quantisation, which is what latent diffusion trains on.
        """
        if isinstance(self.vae, AutoencoderTiny):
            return (encode_tiny(self.vae, pixels) - self._shift) * self.vae.config.scaling_factor
        mixed = self.autocast and computes_in_bfloat16(pixels.device.type)
        encoded = encode_large(self.vae, pixels * 2 - 1) if mixed else self.vae.encode(pixels * 2 - 1)
        latents = encoded.latent_dist.mean if isinstance(self.vae, AutoencoderKL) else encoded.latents
        return (latents.float() - self._shift) * self.vae.config.scaling_factor

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Scaled latents to pixels (N, 3, S, S) in [0, 1], differentiable."""
        pixels = self.vae.decode(latents / self.vae.config.scaling_factor + self._shift).sample
        return (pixels / 2 + 0.5).clamp(0, 1)

    @property
    def _shift(self) -> float:
        """What is taken from latents before they are scaled; 0 but for rectified flows."""
        return self.vae.config.get("shift_factor") or 0.0

    def check_autoencoder(self) -> None:
        """See `DiffusionModel.check_autoencoder`: there is one."""

    def with_own_autoencoder(self) -> LatentDiffusionModel:
        """See `DiffusionModel.with_own_autoencoder`."""
        return self.replaced(**{self._autoencoder_part: copy.deepcopy(self.vae)})

    def seen_through(self, base: LatentDiffusionModel) -> LatentDiffusionModel:
        """See `DiffusionModel.seen_through`."""
        return self if self.vae is base.vae else self.replaced(**{self._autoencoder_part: base.vae})

    def encoder_features(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """What the encoder makes of (N, 3, S, S) in [0, 1] at every resolution below the pixels' own, differentiable."""
        with outputs_of(_ends_of_resolutions(self.vae.encoder)) as found:
            self.encode(pixels)
        return found


def _ends_of_resolutions(encoder: torch.nn.Module) -> list[torch.nn.Module]:
    """The last layer of every resolution below the pixels' own in an `AutoencoderTiny`, the down blocks of any other."""
    if hasattr(encoder, "down_blocks"):
        return [*encoder.down_blocks]
    layers = [*encoder.layers]
    before = [earlier for earlier, later in itertools.pairwise(layers) if isinstance(later, torch.nn.Conv2d)]
    return before[1:]


def most_tokens(tokenizer: Any, encoder: torch.nn.Module) -> int:
    """How many tokens the text encoder takes, the first and the last among them.

    A tokenizer whose configuration does not say it claims a number beyond all bounds.
    """
    return min(tokenizer.model_max_length, encoder.config.max_position_embeddings)


def check_read(tokenizers: Sequence[Any], prompt: str) -> None:
    """Raise `InvalidInput` if `prompt` has a mark in it that ends or begins a text for one of `tokenizers`."""
    for mark in (mark for tokenizer in tokenizers for mark in (tokenizer.bos_token, tokenizer.eos_token)):
        if mark and mark in prompt:
            raise InvalidInput(f"expected a prompt without {mark!r}, at which the model stops to read, got {prompt!r}")


def check_length(tokenizer: Any, length: int, prompt: str) -> None:
    """Raise `InvalidInput` if `prompt` has more tokens than `length`, the marks of a text among them."""
    ids, marks = tokenized(tokenizer, prompt, verbose=False).input_ids, tokenizer.num_special_tokens_to_add()
    if len(ids) > length:
        # The last of them is the mark of the end, where there is one.
        kept = tokenizer.decode(ids[: length - min(marks, 1)], skip_special_tokens=True)
        raise InvalidInput(
            f"expected a prompt of at most {length - marks} tokens for this model, got {len(ids) - marks}: all after "
            f"{kept!r} would be lost, so shorten it"
        )


def check_letters(tokenizers: Sequence[Any], prompt: str) -> None:
    """Raise `InvalidInput` if a letter of `prompt` is known to none of `tokenizers`."""
    # Plain punctuation means nothing to a model that lacks it.
    letters = dict.fromkeys(sign for sign in prompt if not (sign.isspace() or sign in string.punctuation))
    if unknown := [letter for letter in letters if not any(_knows(tokenizer, letter) for tokenizer in tokenizers)]:
        raise InvalidInput(
            f"expected a prompt in letters and signs that this model reads, got {''.join(unknown[:10])!r} in {prompt!r}: the "
            "embedded model knows English alone, so say it in English, or choose another model"
        )


def _knows(tokenizer: Any, letter: str) -> bool:
    ids = tokenized(tokenizer, letter, add_special_tokens=False).input_ids
    # A tokenizer for which an unknown letter is the end of the text has no other token for it.
    return bool(ids) and not {tokenizer.unk_token_id, tokenizer.eos_token_id}.intersection(ids)


class StableDiffusion(LatentDiffusionModel):
    """Stable Diffusion 1.x and 2.x, epsilon or v-prediction, and the embedded model; one text encoder."""

    pipelines: ClassVar[tuple[str, ...]] = ("StableDiffusionPipeline",)
    texts: ClassVar[tuple[tuple[str, str], ...]] = (("tokenizer", "text_encoder"),)

    def __init__(self, name: str, pipeline: DiffusionPipeline) -> None:
        super().__init__(name, pipeline)
        self.tokenizers = tuple(getattr(pipeline, tokenizer) for tokenizer, _ in self.texts)
        self.text_encoders = tuple(getattr(pipeline, encoder) for _, encoder in self.texts)

    @property
    def text_encoder(self) -> torch.nn.Module:
        """The only one, or the first."""
        return self.text_encoders[0]

    def check_prompt(self, prompt: str) -> None:
        """See `DiffusionModel.check_prompt`: for a prompt that is too long, or in letters that the model does not know."""
        check_text("the prompt", prompt)
        for tokenizer, encoder in zip(self.tokenizers, self.text_encoders, strict=True):
            check_read([tokenizer], prompt)
            check_length(tokenizer, most_tokens(tokenizer, encoder), prompt)
            check_letters([tokenizer], prompt)

    def token_ids(self, tokenizer: Any, prompt: str) -> torch.Tensor:
        """One prompt as int64 (1, L), padded or cut to the text encoder's length; `check_prompt` tells before."""
        encoder = self.text_encoders[self.tokenizers.index(tokenizer)]
        length = most_tokens(tokenizer, encoder)
        options = {"padding": "max_length", "max_length": length, "truncation": True, "return_tensors": "pt"}
        tokens = tokenized(tokenizer, prompt, **options)
        return tokens.input_ids.to(encoder.device)

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        """The text encoder's output, (1, L, D) in float32."""
        return self.text_encoder(self.token_ids(self.tokenizers[0], prompt))[0].float()

    def predict(
        self, network: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: torch.Tensor
    ) -> torch.Tensor:
        """See `DiffusionModel.predict`; `conditioning` is (1, L, D)."""
        text = conditioning.expand(len(noisy), -1, -1).to(noisy.dtype)
        return network(noisy, timesteps, encoder_hidden_states=text).sample
