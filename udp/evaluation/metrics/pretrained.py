"""CLIP and DINOv2 features of pictures, for figures that compare with the literature.

Nothing is downloaded, and no model is loaded, before `load_pretrained` is called: the Hub would learn that it was.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Model,
    PreTrainedModel,
)

from udp.errors import ModelUnavailable
from udp.models.unavailable import explain

CLIP = "openai/clip-vit-base-patch32"
DINOV2 = "facebook/dinov2-small"
# CLIP's main branch holds pickles only; this commit is the conversion by the Hub's own bot (its pull request 66).
REVISIONS = {
    CLIP: "c237dc49a33fc61debc9276459120b7eac67e7ef",
    DINOV2: "150c8e7bb7cef2d30ec31b13a517af14840ee3f7",
}
# Other formats of the same weights, pickles among them, stay on the Hub.
WEIGHTS = "model*.safetensors"
NEEDED = ("config.json", "preprocessor_config.json", WEIGHTS)
MORE = ("tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "model*.safetensors.index.json")
BATCH = 16


@dataclass(frozen=True)
class Clip:
    """CLIP (Radford et al. 2021, arXiv 2103.00020); `name` is its Hub id, or a folder's last part."""

    name: str
    network: CLIPModel
    processor: CLIPImageProcessorPil
    tokenizer: CLIPTokenizer

    def images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Image embeddings of uint8 pictures (H, W, 3), (N, D), each of unit length."""
        return _embed(self, images, lambda pixels: self.network.get_image_features(pixels).pooler_output)

    @torch.no_grad()
    def text(self, prompt: str) -> np.ndarray:
        """The text embedding of a prompt, (D,), of unit length; what CLIP cannot read of a long one is cut off."""
        longest = self.network.config.text_config.max_position_embeddings
        tokens = self.tokenizer(prompt, return_tensors="pt", truncation=True, max_length=longest)
        found = self.network.get_text_features(**tokens.to(self.network.device)).pooler_output
        return _unit(found)[0]


@dataclass(frozen=True)
class Dinov2:
    """DINOv2 (Oquab et al. 2023, arXiv 2304.07193); `name` is its Hub id, or a folder's last part."""

    name: str
    network: Dinov2Model
    processor: BitImageProcessorPil

    def images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """The class token of uint8 pictures (H, W, 3), (N, D), each of unit length."""
        return _embed(self, images, lambda pixels: self.network(pixels).pooler_output)


@dataclass(frozen=True)
class Pretrained:
    """The two models that the figures rest on."""

    clip: Clip
    dinov2: Dinov2


@torch.no_grad()
def _embed(
    model: Clip | Dinov2, images: Sequence[np.ndarray], network: Callable[[torch.Tensor], torch.Tensor]
) -> np.ndarray:
    found = []
    for start in range(0, len(images), BATCH):
        batch = [Image.fromarray(image) for image in images[start : start + BATCH]]
        pixels = model.processor(batch, return_tensors="pt")["pixel_values"]
        found.append(_unit(network(pixels.to(model.network.device))))
    return np.concatenate(found)


def _unit(features: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(features.double(), dim=1).cpu().numpy()


def mean_cosine(generated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Each generated picture's mean cosine to all real ones, (N,), from features of unit length (N, D) and (M, D).

    Its mean is the average pairwise cosine similarity, called CLIP-I or DINO after the extractor (Ruiz et al. 2022,
    arXiv 2208.12242, section 4.2).
    """
    return (generated @ real.T).mean(1)


@functools.lru_cache(maxsize=1)
def load_pretrained(clip: str = CLIP, dinov2: str = DINOV2) -> Pretrained:
    """CLIP and DINOv2 by Hub ids or local folders, in float32, on the GPU if there is one.

    What is not here yet is downloaded, 0.7 GB for the defaults. Weights come from safetensors only and no code of the
    repository runs. Raises `ModelUnavailable` with the reason: offline, unknown, gated, another kind of model, or
    weights that are pickles or incomplete.
    """
    return Pretrained(
        Clip(_called(clip), *_load(clip, "CLIP", CLIPModel, CLIPImageProcessorPil, CLIPTokenizer)),
        Dinov2(_called(dinov2), *_load(dinov2, "DINOv2", Dinov2Model, BitImageProcessorPil)),
    )


def _load(source: str, kind: str, network: type[PreTrainedModel], *parts: Any) -> tuple[Any, ...]:
    """The network and the parts that prepare its input, from files that are all here before the first is opened."""
    called, needed = _called(source), [*NEEDED, *(["tokenizer.json"] if CLIPTokenizer in parts else [])]
    try:
        folder = _folder(source, kind, needed)
        if missing := _missing(folder, needed):
            reason = ": pickles can run code" if missing == WEIGHTS else ""
            raise ModelUnavailable(f"expected a {kind} model with {missing} in {called!r}, got none{reason}")
        found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if found != network.config_class.model_type:
            raise ModelUnavailable(f"expected a {kind} model in {called!r}, got one of the kind {found}")
        loaded, report = network.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        prepare = [part.from_pretrained(folder, local_files_only=True) for part in parts]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelUnavailable(explain(called, source, error, kind, "config.json")) from error
    if report["missing_keys"]:  # transformers fills them with random numbers and goes on
        raise ModelUnavailable(f"expected all weights of a {kind} model in {called!r}, got some missing")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return loaded.eval().requires_grad_(False).to(device), *prepare


def _folder(source: str, kind: str, needed: Sequence[str]) -> Path:
    """A local folder as it is, or the one that the Hub's files are kept in; only if it lacks some is the Hub asked."""
    if Path(source).is_dir():
        return Path(source)
    if Path(source).is_absolute():
        raise ModelUnavailable(f"expected a {kind} folder {Path(source).name!r}, got no such folder")
    revision, files = REVISIONS.get(source), [*needed, *MORE]
    with suppress(LocalEntryNotFoundError):
        kept = Path(snapshot_download(source, revision=revision, allow_patterns=files, local_files_only=True))
        if not _missing(kept, needed):
            return kept
    # Without a network, asking for a branch fails at once, asking for a commit only after half a minute of retries.
    snapshot_download(source, allow_patterns=["config.json"])
    return Path(snapshot_download(source, revision=revision, allow_patterns=files))


def _missing(folder: Path, needed: Sequence[str]) -> str:
    """The first pattern that no file in `folder` fits; empty if all do."""
    return next((pattern for pattern in needed if not any(folder.glob(pattern))), "")


def _called(source: str) -> str:
    """What a report calls a model: no path of this machine."""
    return Path(source).name if Path(source).is_dir() or Path(source).is_absolute() else source
