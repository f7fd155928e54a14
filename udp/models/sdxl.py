"""Stable Diffusion XL (Podell et al. 2023, arXiv 2307.01952): two text encoders, and conditions on size and crop."""

from __future__ import annotations

from typing import ClassVar

import torch

from udp.models.latent import StableDiffusion


class StableDiffusionXL(StableDiffusion):
    """The base model of SDXL. Photos count as uncropped squares of the model's own resolution."""

    pipelines: ClassVar[tuple[str, ...]] = ("StableDiffusionXLPipeline",)
    texts: ClassVar[tuple[tuple[str, str], ...]] = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))

    def encode_prompt(self, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Both encoders' last hidden layer but one, (1, L, D1 + D2), and the second's pooled output, (1, P)."""
        hidden = []
        for tokenizer, encoder in zip(self.tokenizers, self.text_encoders, strict=True):
            output = encoder(self.token_ids(tokenizer, prompt), output_hidden_states=True)
            hidden.append(output.hidden_states[-2].float())
        return torch.cat(hidden, dim=-1), output[0].float()

    def embed_nothing(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Zeros where the pipeline's configuration asks for them (SDXL base does), else the empty prompt."""
        hidden, pooled = self.embed("")
        if self.pipeline.config.get("force_zeros_for_empty_prompt", True):
            return torch.zeros_like(hidden), torch.zeros_like(pooled)
        return hidden, pooled

    def predict(
        self,
        network: torch.nn.Module,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        conditioning: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """See `DiffusionModel.predict`; `conditioning` as `encode_prompt` returns it."""
        hidden, pooled = (part.to(noisy.dtype) for part in conditioning)
        side = self.resolution
        # Original size, top left corner of the crop, target size (section 2.2 of the paper).
        time_ids = torch.tensor([[side, side, 0, 0, side, side]], dtype=noisy.dtype, device=noisy.device)
        added = {"text_embeds": pooled.expand(len(noisy), -1), "time_ids": time_ids.expand(len(noisy), -1)}
        text = hidden.expand(len(noisy), -1, -1)
        return network(noisy, timesteps, encoder_hidden_states=text, added_cond_kwargs=added).sample
