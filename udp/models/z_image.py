"""Z-Image (Z-Image Team 2025, arXiv 2511.22699): one stream of picture and text, which a language model reads."""

from __future__ import annotations

from typing import ClassVar

import torch
from diffusers import DiffusionPipeline

from udp.errors import InvalidInput
from udp.models.adapters import ATTENTION
from udp.models.flow import PATCH, PatchedFlow
from udp.models.tokens import tokenized

GATED = ("feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
# Steps and guidance of the model cards, and by how much the base's schedule is shifted; Turbo's, distilled to few steps, by half.
BASE, TURBO = (50, 5.0), (8, 1.0)
BASE_SHIFT = 6.0
Read = tuple[torch.Tensor, torch.Tensor]


class ZImage(PatchedFlow):
    """Z-Image and Z-Image-Turbo. The language model only reads, in its chat's format; there is no CLIP."""

    pipelines: ClassVar[tuple[str, ...]] = ("ZImagePipeline",)
    texts: ClassVar[tuple[tuple[str, str], ...]] = ()
    reader: ClassVar[tuple[str, str]] = ("tokenizer", "text_encoder")
    most_read: ClassVar[int] = 512
    attention_layers: ClassVar[tuple[str, ...]] = ATTENTION
    wide_layers: ClassVar[tuple[str, ...]] = (*ATTENTION, *GATED)
    linear_layers: ClassVar[tuple[str, ...]] = wide_layers

    def __init__(self, name: str, pipeline: DiffusionPipeline) -> None:
        super().__init__(name, pipeline)
        self.around = len(tokenized(self.read_tokenizer, self._asked("")).input_ids)

    @property
    def sampling(self) -> tuple[int, float]:
        """See `FlowTransformer.sampling`; nothing but the shift tells Turbo from the base. The pipeline takes the guidance less 1."""
        return BASE if self.pipeline.scheduler.config.shift >= BASE_SHIFT else TURBO

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """See `DiffusionModel.latent_shape`."""
        return self.network.config.in_channels, self.latent_side, self.latent_side

    def adapter_layers(self, scope: str) -> tuple[str, ...]:
        """See `DiffusionModel.adapter_layers`; modulations by block, because the last layer has a part of that name that is no layer."""
        modulations = tuple(f"{block}.adaLN_modulation.0" for block in range(len(self.network.layers)))
        return super().adapter_layers(scope) + (modulations if scope == "linear" else ())

    def check_prompt(self, prompt: str) -> None:
        """See `FlowTransformer.check_prompt`; marks of the chat's format would end the question, or put other speakers into it."""
        super().check_prompt(prompt)
        marks = [str(token) for token in self.read_tokenizer.added_tokens_decoder.values() if token.special]
        if found := [mark for mark in marks if mark in prompt]:
            raise InvalidInput(
                f"expected a prompt without {found[0]!r}, a mark of the model's own format, got {prompt!r}"
            )

    def _asked(self, prompt: str) -> str:
        """The prompt as a question to the language model."""
        asked = [{"role": "user", "content": prompt}]
        return self.read_tokenizer.apply_chat_template(
            asked, tokenize=False, add_generation_prompt=True, enable_thinking=True
        )

    @torch.no_grad()
    def _read(self, prompt: str) -> torch.Tensor:
        """Not filled up: no token of such a model sees those after it, so its states are the same, for less work."""
        tokens = tokenized(
            self.read_tokenizer, self._asked(prompt), max_length=self.most_words, truncation=True, return_tensors="pt"
        )

        def question(asked: torch.nn.Module) -> torch.Tensor:
            return asked(tokens.input_ids.to(asked.device), output_hidden_states=True).hidden_states[-2]

        return self.ask(self.read_encoder, question)

    def encode_prompt(self, prompt: str) -> Read:
        """The states of the last layer but one, (1, L, D) with zeros after their end, and how many they are, (1,)."""
        states = self.read(prompt, self.network.config.cap_feat_dim)
        count = states.shape[1]
        filled = torch.nn.functional.pad(states, (0, 0, 0, self.most_words - count))
        return filled, torch.tensor([count], device=self.device)

    def predict(
        self, network: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Read
    ) -> torch.Tensor:
        """See `DiffusionModel.predict`; `conditioning` as `encode_prompt` returns it.

        The network takes lists, a picture as one frame and the time as the share of signal, and predicts latents minus noise.
        """
        states, counts = (part.expand(len(noisy), *part.shape[1:]) for part in conditioning)
        texts = [text[:count] for text, count in zip(states.to(noisy.dtype), counts.tolist(), strict=True)]
        directions = network([*noisy.unsqueeze(2)], (1000 - timesteps) / 1000, texts).sample
        return -torch.stack(directions).squeeze(2)

    def feature_map(self, output: torch.Tensor) -> torch.Tensor:
        """See `DiffusionModel.feature_map`: the picture's states come first, then what fills them up and the text's."""
        return super().feature_map((output, output[:, : (self.latent_side // PATCH) ** 2]))

    @property
    def feature_layer(self) -> torch.nn.Module:
        """See `DiffusionModel.feature_layer`: the middle block of those that see picture and text."""
        return self.network.layers[len(self.network.layers) // 2]
