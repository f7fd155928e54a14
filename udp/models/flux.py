"""FLUX.1 (Black Forest Labs 2024): packed latents, rotary positions, and in [dev] a guidance that the network is told."""

from __future__ import annotations

from typing import ClassVar

import torch

from udp.models.flow import FEED_FORWARD, JOINT, MODULATION, PATCH, PatchedFlow

# What diffusers' trainers tell a distilled network while it learns, which is also its pipeline's default.
GUIDANCE = 3.5
SINGLE = ("proj_mlp", "proj_out")  # of the blocks in which text and picture share their weights
Told = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Flux(PatchedFlow):
    """FLUX.1 [dev] and [schnell]. The T5's states are the text; of CLIP only the pooled output is seen."""

    pipelines: ClassVar[tuple[str, ...]] = ("FluxPipeline",)
    texts: ClassVar[tuple[tuple[str, str], ...]] = (("tokenizer", "text_encoder"),)
    reader: ClassVar[tuple[str, str]] = ("tokenizer_2", "text_encoder_2")
    most_read: ClassVar[int] = 512
    wide_layers: ClassVar[tuple[str, ...]] = (*JOINT, *FEED_FORWARD, *SINGLE)
    linear_layers: ClassVar[tuple[str, ...]] = (*JOINT, *FEED_FORWARD, *SINGLE, *MODULATION, "norm.linear")

    @property
    def sampling(self) -> tuple[int, float]:
        """See `FlowTransformer.sampling`: those of FluxPipeline; [schnell], distilled to few steps, takes no guidance."""
        return (28, GUIDANCE) if self.guidance_distilled else (4, 1.0)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """See `DiffusionModel.latent_shape`: before they are packed."""
        return self.network.config.in_channels // PATCH**2, self.latent_side, self.latent_side

    @property
    def guidance_distilled(self) -> bool:
        """See `DiffusionModel.guidance_distilled`: [dev] is."""
        return self.network.config.guidance_embeds

    def told_guidance(self, conditioning: Told, guidance: float) -> Told:
        """See `DiffusionModel.told_guidance`."""
        return *conditioning[:2], torch.full_like(conditioning[2], guidance)

    def encode_prompt(self, prompt: str) -> Told:
        """The T5's states, (1, L, D), CLIP's pooled output, (1, P), and the guidance to be told, (1,)."""
        (tokenizer,), (encoder,) = self.tokenizers, self.text_encoders
        pooled = self.ask(encoder, lambda asked: asked(self.token_ids(tokenizer, prompt)).pooler_output)
        read = self.read(prompt, self.network.config.joint_attention_dim)
        return read, pooled, torch.full((1,), GUIDANCE, device=self.device)

    def predict(
        self, network: torch.nn.Module, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Told
    ) -> torch.Tensor:
        """See `DiffusionModel.predict`; `conditioning` as `encode_prompt` returns it."""
        count, channels, height, width = noisy.shape
        read, pooled, guidance = (part.expand(count, *part.shape[1:]).to(noisy.dtype) for part in conditioning)
        where = {"device": noisy.device, "dtype": noisy.dtype}
        packed = network(
            self.pipeline._pack_latents(noisy, count, channels, height, width),
            timestep=timesteps / 1000,  # the network multiplies it again
            guidance=guidance if self.guidance_distilled else None,
            pooled_projections=pooled,
            encoder_hidden_states=read,
            txt_ids=torch.zeros(read.shape[1], 3, **where),
            img_ids=self.pipeline._prepare_latent_image_ids(count, height // PATCH, width // PATCH, **where),
        ).sample
        return self.pipeline._unpack_latents(packed, height, width, vae_scale_factor=1)
