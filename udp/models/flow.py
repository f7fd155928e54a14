"""Rectified-flow transformers (Esser et al. 2024, arXiv 2403.03206): what Stable Diffusion 3, FLUX.1 and Z-Image have in common.

A transformer denoises latents of 16 channels; CLIP's encoders, where there are any, and a reader, a T5 or a language model, read the
prompt. The reader alone has 4 to 4.8 billion weights, so the encoders work one after the other, and lie beside the device
afterwards: a run needs a few prompts, which are kept.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline, SchedulerMixin

from udp.models.adapters import ATTENTION
from udp.models.latent import StableDiffusion, check_length, check_letters, check_read, most_tokens
from udp.models.memory import room_for
from udp.models.recent import recall
from udp.models.schedule import RectifiedFlow, Schedule
from udp.models.tokens import tokenized
from udp.settings import check_text

# Of the text, beside those of the picture: diffusers' trainers for SD3 and FLUX.1 adapt them alike.
JOINT = (*ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
MODULATION = ("norm1.linear", "norm1_context.linear")
MOST_READ = 64  # prompts whose states are kept as the reader gives them, in the main memory: up to 8 MB each
PATCH = 2  # latents a side of the patches that a network sees as one token


class FlowTransformer(StableDiffusion):
    """`texts` are CLIP's encoders, which a recipe may train; the reader only reads, as in diffusers' trainers.

    Surrogates train adapters unless told otherwise: so do the people who fine-tune these models, and a full copy of the
    smallest, in float32 with Adam's state, takes 32 GB.
    """

    network_part: ClassVar[str] = "transformer"
    reader: ClassVar[tuple[str, str]]  # what its pipeline calls the reader's tokenizer and itself; both may be absent
    has_kohya_names: ClassVar[bool] = False
    most_read: ClassVar[int]  # tokens that the reader reads, as many as in its pipeline
    around: int = 0  # of them stand around the prompt
    attention_layers: ClassVar[tuple[str, ...]] = JOINT
    wide_layers: ClassVar[tuple[str, ...]] = (*JOINT, *FEED_FORWARD)
    linear_layers: ClassVar[tuple[str, ...]] = (*JOINT, *FEED_FORWARD, *MODULATION)

    def __init__(self, name: str, pipeline: DiffusionPipeline) -> None:
        super().__init__(name, pipeline)
        self.read_tokenizer, self.read_encoder = (getattr(pipeline, part) for part in self.reader)
        steps, guidance = self.sampling
        self.usual = {"surrogate": "adapters", "sampling_steps": steps, "guidance": guidance}
        self._states: dict[str, torch.Tensor] = {}

    @classmethod
    def place(cls, pipeline: DiffusionPipeline, device: str) -> None:
        """See `DiffusionModel.place`: the transformer and the autoencoder; the encoders come when they are needed."""
        getattr(pipeline, cls.network_part).to(device)
        pipeline.vae.to(device)

    @classmethod
    def usual_dtype(cls, device: str) -> torch.dtype:
        """See `DiffusionModel.usual_dtype`: on a GPU what they are published in, which nothing is lost by."""
        return torch.bfloat16 if device == "cuda" else torch.float32

    @property
    @abc.abstractmethod
    def sampling(self) -> tuple[int, float]:
        """Steps and guidance that suit it."""

    @property
    def most_words(self) -> int:
        """How many tokens the reader is given."""
        return min(self.most_read, self.read_tokenizer.model_max_length) if self.read_tokenizer else self.most_read

    def check_prompt(self, prompt: str) -> None:
        """See `DiffusionModel.check_prompt`: CLIP's encoders see the beginning of a long prompt; the reader has to see all of it."""
        check_text("the prompt", prompt)
        tokenizers = [t for t in (self.read_tokenizer, *self.tokenizers) if t is not None]
        check_read(tokenizers, prompt)
        if self.read_encoder is not None:
            check_length(self.read_tokenizer, self.most_words - self.around, prompt)
        else:
            for tokenizer, encoder in zip(self.tokenizers, self.text_encoders, strict=True):
                check_length(tokenizer, most_tokens(tokenizer, encoder), prompt)
        check_letters(tokenizers, prompt)

    def read(self, prompt: str, width: int) -> torch.Tensor:
        """The reader's states for one prompt, (1, L, D) in float32, without a gradient; zeros of `width` without one."""
        if self.read_encoder is None:
            return torch.zeros(1, self.most_words, width, device=self.device)
        return recall(self._states, prompt, lambda: self._read(prompt).cpu(), MOST_READ).to(self.device)

    @torch.no_grad()
    def _read(self, prompt: str) -> torch.Tensor:
        tokens = tokenized(
            self.read_tokenizer,
            prompt,
            padding="max_length",
            max_length=self.most_words,
            truncation=True,
            return_tensors="pt",
        )
        return self.ask(self.read_encoder, lambda encoder: encoder(tokens.input_ids.to(encoder.device))[0])

    def ask(self, encoder: torch.nn.Module, question: Callable[[torch.nn.Module], Any]) -> Any:
        """`question(encoder)` with the encoder on the model's device, if there is room; afterwards it is where it was.

        One that learns stays where it is: its gradients come back to it. Results, a tensor or several, are float32 and on the
        model's device.
        """
        from diffusers.training_utils import offload_models

        learns = any(parameter.requires_grad for parameter in encoder.parameters())
        moves = not learns and encoder.device != self.device and room_for(encoder, self.device)
        with offload_models(encoder, device=self.device, offload=moves):
            found = question(encoder)
        single = isinstance(found, torch.Tensor)
        results = tuple(part.to(self.device).float() for part in ((found,) if single else found))
        return results[0] if single else results

    def feature_map(self, output: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """See `DiffusionModel.feature_map`: a block returns the text's states and the picture's, (N, h w, D)."""
        states = output[1]
        side = round(states.shape[1] ** 0.5)
        return states.transpose(1, 2).unflatten(2, (side, side))

    @property
    def feature_layer(self) -> torch.nn.Module:
        """See `DiffusionModel.feature_layer`: the middle block of those in which text and picture have weights of their own."""
        blocks = self.network.transformer_blocks
        return blocks[len(blocks) // 2]


class PatchedFlow(FlowTransformer):
    """One whose network's configuration names no size of pictures: FLUX.1 and Z-Image."""

    @property
    def resolution(self) -> int:
        """See `DiffusionModel.resolution`; the network's configuration does not say, and the autoencoder's does."""
        return self.pipeline.vae.config.sample_size

    @property
    def latent_side(self) -> int:
        """Latents a side, before they are packed into patches."""
        return self.resolution // self.pipeline.vae_scale_factor

    def schedule_from(self, scheduler: SchedulerMixin) -> Schedule:
        """See `DiffusionModel.schedule_from`: shifted by the size of the picture if asked to, with steps as the pipelines take them."""
        tokens = (self.latent_side // PATCH) ** 2
        return RectifiedFlow(scheduler, tokens, lambda steps: np.linspace(1.0, 1 / steps, steps).tolist())
