"""Fine-tuning recipes of the imitator. To add one: a file with a frozen dataclass, and a line here."""

from udp.imitation.recipes.base import Recipe
from udp.imitation.recipes.cat import CAT
from udp.imitation.recipes.dreambooth import DreamBooth
from udp.imitation.recipes.lora import LoRA
from udp.imitation.recipes.noise_word import NoiseWord
from udp.imitation.recipes.textual_inversion import TextualInversion

RECIPES: dict[str, type[Recipe]] = {
    recipe.name: recipe for recipe in (LoRA, DreamBooth, TextualInversion, CAT, NoiseWord)
}

__all__ = ["CAT", "RECIPES", "DreamBooth", "LoRA", "NoiseWord", "TextualInversion"]
