"""Textual inversion: one new word learns the subject, no weight of the model changes (Gal et al. 2023, arXiv 2208.01618)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save

from udp.errors import InvalidInput
from udp.files import write_whole
from udp.imitation.recipes.base import FineTuned, Recipe, relative_change
from udp.models.base import DiffusionModel
from udp.models.tokens import tokenized
from udp.photos import Photo
from udp.settings import BySize, check_text, preset, setting

FILE = "learned_embeds.safetensors"


class LearnedToken(torch.nn.Module):
    """A frozen token embedding in which one id, old or new, has a vector of its own, the only parameter to train."""

    def __init__(self, embedding: torch.nn.Embedding, token: int, start: torch.Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.token = token
        self.register_buffer("start", start.detach().clone())
        self.vector = torch.nn.Parameter(start.detach().clone())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (N, L) to embeddings (N, L, D)."""
        known = self.embedding(ids.clamp(max=self.embedding.num_embeddings - 1))
        return torch.where((ids == self.token)[..., None], self.vector, known)


def _needs_its_own(tokenizer: Any, ids: list[int]) -> bool:
    """Whether a word of these ids is no single token yet: it is several, or one that stands for whatever is unknown."""
    return len(ids) > 1 or ids[0] in (tokenizer.unk_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)


@dataclass(frozen=True)
class TextualInversion(Recipe):
    """The word `word` of the prompts gets an embedding of its own, which starts as that of `initial_word`.

    The result is prompted through `FineTuned.model`, where the word means the subject. The public
    trainer of diffusers takes 3,000 steps for Stable Diffusion, a rate of 5e-4 that it multiplies by the batch size,
    and mirrors every second photo.
    """

    random_flip: bool = preset(Recipe, "random_flip", True)
    batch_size: int | None = preset(Recipe, "batch_size", BySize(8, 4))
    learning_rate: float | None = setting(BySize(5e-3, 5e-4), "AdamW learning rate", 1e-7, 1e-1, 1e-7)
    word: str = setting("sks", "the word that learns; the instance prompt must contain it")
    initial_word: str = setting("toy", "the word that it starts from")

    name: ClassVar[str] = "textual_inversion"
    title: ClassVar[str] = "Textual inversion (one word)"
    reference: ClassVar[str] = "arXiv 2208.01618"

    def trainable(self, model: DiffusionModel, seed: int) -> torch.nn.Module:
        """See `Recipe.trainable`: the base's own U-Net, all of it frozen."""
        return model.network

    def words(self, model: DiffusionModel, prompt: str, seed: int) -> DiffusionModel:
        """See `Recipe.words`. Raises `InvalidInput` for a model without prompts, or a prompt without the word."""
        own = model.with_own_text()
        for tokenizer, encoder in zip(own.tokenizers, own.text_encoders, strict=True):
            embedding = encoder.get_input_embeddings()
            start = embedding.weight[self._ids(tokenizer, self.initial_word)].mean(0)
            ids = self._ids(tokenizer, self.word)
            if _needs_its_own(tokenizer, ids):
                tokenizer.add_tokens([self.word])
                ids = self._ids(tokenizer, self.word)
            if len(ids) != 1 or ids[0] not in self._ids(tokenizer, prompt):
                raise InvalidInput(f"expected a prompt with the word {self.word!r}, which is to learn, got {prompt!r}")
            encoder.set_input_embeddings(LearnedToken(embedding, ids[0], start))
            # Old CLIP configurations find the end of the text as the largest id, which a new token would be.
            encoder.config.eos_token_id = tokenizer.eos_token_id
            for module in encoder.modules():
                if hasattr(module, "eos_token_id"):
                    module.eos_token_id = tokenizer.eos_token_id
        return own

    def check_prompts(self, model: DiffusionModel, instance_prompt: str, prompt: str) -> None:
        """See `Recipe.check_prompts`; both prompts have to hold the word, or its meaning is neither learned nor shown."""
        model.check_network()
        model.check_own_text()
        check_text("the word that learns", self.word)
        # The word may be in letters that the model does not know, such as "<cat>" or "狗": it becomes a token of its own.
        new = any(_needs_its_own(own, self._ids(own, self.word)) for own in model.tokenizers)
        seen = [text.replace(self.word, self.initial_word) if new else text for text in (instance_prompt, prompt)]
        super().check_prompts(model, *seen)
        model.check_prompt(self.initial_word)
        for tokenizer in model.tokenizers:
            ids = self._ids(tokenizer, self.word)
            for text in (instance_prompt, prompt):
                own = not _needs_its_own(tokenizer, ids)
                found = ids[0] in self._ids(tokenizer, text) if own and text.strip() else self.word in text
                if not found:
                    raise InvalidInput(
                        f"expected a prompt with the word {self.word!r}, which is to learn, for the fine-tune and for the "
                        f"pictures, got {text!r}"
                    )

    def prompts_of(self, photos: Sequence[Photo], model: DiffusionModel, prompt: str) -> list[str]:
        """See `Recipe.prompts_of`: captions lack the word, and would teach it nothing."""
        return [prompt] * len(photos)

    def _ids(self, tokenizer, word: str) -> list[int]:
        ids = tokenized(tokenizer, word, add_special_tokens=False).input_ids
        if not ids:
            raise InvalidInput(f"expected a word, got {word!r}")
        return ids

    def weight_change(self, model: DiffusionModel, network: torch.nn.Module, words: DiffusionModel) -> float:
        """See `FineTuned.weight_change`."""
        learned = [encoder.get_input_embeddings() for encoder in words.text_encoders]
        return relative_change([token.start for token in learned], [token.vector for token in learned])

    def files(self, tuned: FineTuned) -> dict[str, bytes]:
        """See `Recipe.files`: what `save` writes."""
        vectors = [encoder.get_input_embeddings().vector.detach().cpu() for encoder in tuned.model.text_encoders]
        names = [FILE if index == 0 else FILE.replace(".", f"_{index + 1}.", 1) for index in range(len(vectors))]
        return {name: save({self.word: vector}) for name, vector in zip(names, vectors, strict=True)}

    def save(self, tuned: FineTuned, folder: Path) -> Path:
        """The vector alone, for `pipeline.load_textual_inversion(folder, weight_name=..., token=word)` of diffusers.

        `learned_embeds.safetensors` holds the first text encoder's, `learned_embeds_2.safetensors` that of SDXL's second.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files(tuned).items():
            write_whole(folder / name, content)
        return folder
