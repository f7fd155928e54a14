"""The embedded model's tokenizer and text encoder: CLIP's architecture, a vocabulary of a few hundred words."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LENGTH = 24
WIDTH = 128
START, END = "<|startoftext|>", "<|endoftext|>"
# Words that people type when they fine-tune; "sks" never occurs in a caption, so it is free to mean the subject.
EXTRA_WORDS = (
    "sks", "toy", "dog", "cat", "person", "plushie", "backpack", "sneaker", "shoe", "can", "cup", "duck", "robot",
    "monster", "style", "art", "painting", "picture", "background", "beach", "grass", "snow", "table", "wooden",
    "red", "green", "blue", "yellow", "white", "black", "photo", "drawing",
)  # fmt: skip


def build_tokenizer(captions: Iterable[str], size: int = 2000) -> CLIPTokenizer:
    """A byte-pair encoding trained on the captions; every letter is in it, so any prompt can be spelled."""
    # Every letter, inside a word and at its end. Named first, or the trainer numbers the letters in the order of a hash table, which no seed fixes: then ties between
    # merges, and with them the words' tokens, would differ from one process to the next.
    ends = "</w>"
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'-!?"
    singles = [*letters, *(letter + ends for letter in letters)]
    bpe = Tokenizer(models.BPE(end_of_word_suffix=ends, unk_token=END))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    corpus = [c.lower() for c in captions] + [w for w in EXTRA_WORDS for _ in range(20)]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        end_of_word_suffix=ends,
        special_tokens=[START, END, *singles],
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    model = json.loads(bpe.to_str())["model"]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, model_max_length=LENGTH)


def text_config(
    tokenizer: CLIPTokenizer, width: int = WIDTH, inner: int = 2 * WIDTH, layers: int = 2, heads: int = 4
) -> CLIPTextConfig:
    """A text encoder's over the words of `tokenizer`, output (N, LENGTH, width)."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=LENGTH,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained two-layer text encoder, output (N, LENGTH, WIDTH)."""
    return CLIPTextModel(text_config(tokenizer))
