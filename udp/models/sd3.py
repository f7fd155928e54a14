"""Stable Diffusion 3 and 3.5 (Esser et al. 2024, arXiv 2403.03206): two CLIP encoders and a T5, which may be left out."""

from __future__ import annotations

from typing import ClassVar

import torch

from udp.models.flow import FlowTransformer


class StableDiffusion3(FlowTransformer):
    """SD3 and SD3.5 of either size."""

    pipelines: ClassVar[tuple[str, ...]] = ("StableDiffusion3Pipeline",)
    texts: ClassVar[tuple[tuple[str, str], ...]] = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))
    reader: ClassVar[tuple[str, str]] = ("tokenizer_3", "text_encoder_3")
    optional_parts: ClassVar[tuple[str, ...]] = ("tokenizer_3", "text_encoder_3")
    most_read: ClassVar[int] = 256

    @property
    def sampling(self) -> tuple[int, float]:
        """See `FlowTransformer.sampling`: those of diffusers' StableDiffusion3Pipeline."""
        return 28, 7.0

    def encode_prompt(self, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The states of all encoders, (1, L, D), and CLIP's pooled outputs, (1, P).

        CLIP's states, the last but one layer's, lie side by side, filled up to the T5's width, and the T5's follow them.
        """
        hidden, pooled = [], []
        for tokenizer, encoder in zip(self.tokenizers, self.text_encoders, strict=True):

            def question(asked: torch.nn.Module, tokenizer=tokenizer) -> tuple[torch.Tensor, torch.Tensor]:
                output = asked(self.token_ids(tokenizer, prompt), output_hidden_states=True)
                return output.hidden_states[-2], output[0]

            states, summary = self.ask(encoder, question)
            hidden.append(states)
            pooled.append(summary)
        read = self.read(prompt, self.network.config.joint_attention_dim)
        clip = torch.cat(hidden, dim=-1)
        clip = torch.nn.functional.pad(clip, (0, read.shape[-1] - clip.shape[-1]))
        return torch.cat([clip, read], dim=1), torch.cat(pooled, dim=-1)

    def predict(
        self,
        network: torch.nn.Module,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        conditioning: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """See `DiffusionModel.predict`; `conditioning` as `encode_prompt` returns it."""
        hidden, pooled = (part.expand(len(noisy), *part.shape[1:]).to(noisy.dtype) for part in conditioning)
        return network(noisy, timestep=timesteps, encoder_hidden_states=hidden, pooled_projections=pooled).sample
