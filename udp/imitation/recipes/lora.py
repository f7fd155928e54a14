"""LoRA: low-rank adapters on attention and convolutions (Hu et al. 2021, arXiv 2106.09685), with peft."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import save

from udp.errors import InvalidInput
from udp.files import write_whole
from udp.imitation.recipes.base import FineTuned
from udp.imitation.recipes.subject import SubjectRecipe
from udp.models.adapters import RANK, SCOPES, TEXT, add_adapters
from udp.models.base import DiffusionModel
from udp.settings import BySize, preset, setting

# Beside diffusers' own `pytorch_lora_weights.safetensors`, which `load_lora_weights` prefers in a folder with both.
KOHYA_FILE = "lora_for_a1111_comfyui_kohya.safetensors"


@dataclass(frozen=True)
class LoRA(SubjectRecipe):
    """Adapters only; the base weights stay frozen. `scope` "attention" is the usual choice for Stable Diffusion.

    The public trainer of diffusers uses rank 4, attention only, and a learning rate of 1e-4; for that of others see
    `udp.imitation.recipes.trainers`.
    """

    learning_rate: float | None = preset(SubjectRecipe, "learning_rate", BySize(4e-3, 1e-4))
    rank: int = setting(RANK, "rank of the adapters", 1, 64, 1)
    alpha: float = setting(0.0, "alpha of the adapters, which scales them by alpha / rank; 0 is the rank", 0, 128, 1)
    scope: str = setting("wide", "layers with an adapter", choices=SCOPES)

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "LoRA (adapters)"
    reference: ClassVar[str] = "arXiv 2106.09685"

    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        """See `Recipe.trainable`. Raises `InvalidInput` if the U-Net has no layer of the scope."""
        network = model.copy_network(trainable=False)
        add_adapters(network, model.adapter_layers(self.scope), self.rank, seed, self.alpha)
        return network

    def open_text_encoder(self, encoder: torch.nn.Module, seed: int) -> None:
        """See `SubjectRecipe.open_text_encoder`: adapters on its attention."""
        add_adapters(encoder, TEXT, self.rank, seed, self.alpha)

    def weight_change(self, model: DiffusionModel, network: torch.nn.Module, words: DiffusionModel) -> float:
        """See `FineTuned.weight_change`."""
        moved = total = 0.0
        for module in network.modules():
            if hasattr(module, "lora_A") and hasattr(module, "get_delta_weight"):
                moved += float(module.get_delta_weight("default").detach().square().sum())
                total += float(module.base_layer.weight.detach().square().sum())
        return (moved / total) ** 0.5 if total else 0.0

    def files(self, tuned: FineTuned) -> dict[str, bytes]:
        """See `Recipe.files`: what `save` writes, if the model's pipeline loads adapters.

        Made in memory: a temporary folder would stay behind if the process were killed just then.
        """
        from diffusers.utils import convert_state_dict_to_diffusers
        from peft.utils import get_peft_model_state_dict

        pipeline = tuned.model.pipeline
        if not hasattr(pipeline, "save_lora_weights"):
            return {}
        # The network's stay in peft's own naming: the older one has no names for convolutions, and a file of both naming
        # styles loads only in part, without an error.
        network = tuned.model.network_part
        states = {f"{network}_lora_layers": self._unscaled(get_peft_model_state_dict(tuned.network))}
        peft = {f"{network}.{key}": value for key, value in states[f"{network}_lora_layers"].items()}
        for _, name in tuned.model.texts if self.train_text_encoder else ():
            adapters = self._unscaled(get_peft_model_state_dict(getattr(pipeline, name)))
            states[f"{name}_lora_layers"] = convert_state_dict_to_diffusers(adapters)
            # Newer transformers leave a level of the names out that everybody else's files have.
            inner = {key if key.startswith("text_model.") else f"text_model.{key}": v for key, v in adapters.items()}
            peft |= {f"{name}.{key}": value for key, value in inner.items()}
        found: dict[str, bytes] = {}

        def keep(weights: dict[str, torch.Tensor], path: str) -> None:
            found[Path(path).name] = save(weights, metadata={"format": "pt"})

        type(pipeline).save_lora_weights(
            tempfile.gettempdir(), **states, save_function=keep
        )  # it wants one that exists
        if not tuned.model.has_kohya_names:
            return found
        return found | {KOHYA_FILE: save(self._for_kohya(peft, len(tuned.model.texts)))}

    def save(self, tuned: FineTuned, folder: Path) -> Path:
        """Adapters alone: for `pipeline.load_lora_weights(folder)` of diffusers, and for AUTOMATIC1111, ComfyUI and kohya.

        Of a transformer (SD3, FLUX, Z-Image) the file of diffusers alone, which ComfyUI reads, and AI-Toolkit writes of the
        first two: diffusers has no names in kohya's manner for their layers.

        Raises `InvalidInput` for a model whose pipeline cannot load adapters (those without prompts).
        """
        files = self.files(tuned)
        if not files:
            raise InvalidInput(f"expected a pipeline that loads adapters, got {type(tuned.model.pipeline).__name__}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
        return folder

    def _unscaled(self, adapters: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same adapters for an alpha that is the rank, which every program takes it for where a file does not say."""
        scale = (self.alpha or self.rank) / self.rank
        return {key: value * scale if ".lora_B." in key else value for key, value in adapters.items()}

    @staticmethod
    def _for_kohya(peft: dict[str, torch.Tensor], encoders: int) -> dict[str, torch.Tensor]:
        """The adapters under kohya's names, which number the text encoders only where there are two."""
        from diffusers.utils import convert_state_dict_to_kohya

        named = convert_state_dict_to_kohya({key: value.detach().cpu().contiguous() for key, value in peft.items()})
        if encoders == 1:
            named = {key.replace("lora_te1_", "lora_te_"): value for key, value in named.items()}
        return {key: value.float() for key, value in named.items()}
