"""Fine-tuning recipes of the imitator. To add one: a file with a frozen dataclass, and a line here."""

from udp.finetune.base import FineTuned, Recipe
from udp.finetune.dreambooth import DreamBooth
from udp.finetune.lora import LoRA
from udp.finetune.textual_inversion import TextualInversion

RECIPES: dict[str, type[Recipe]] = {recipe.name: recipe for recipe in (LoRA, DreamBooth, TextualInversion)}

__all__ = ["RECIPES", "DreamBooth", "FineTuned", "LoRA", "Recipe", "TextualInversion"]
