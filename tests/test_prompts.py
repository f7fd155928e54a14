"""Prompts that a model would not see, or that teach nothing: refused before any work, through every door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from udp import attack, protect, protect_folder, write_png
from udp.cli import main
from udp.errors import InvalidInput
from udp.evaluation.lab import Lab
from udp.evaluation.trial import Trial
from udp.imitation.recipes import DreamBooth, LoRA, TextualInversion
from udp.imitation.recipes.base import Recipe
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.models.training import Trainer
from udp.photos import Photo
from udp.protection.methods import EUDP, RandomNoise
from udp.ui.state.work import AttackWork, ProtectWork, RobustnessWork

LONG = "a very long prompt of many words about nothing at all, and then some more of it, so that late in it stands sks"
BAD = {LONG: "would be lost, so shorten it", "一张狗的照片": "knows English alone", "a photo of Ünal": "'Ü'"}
# What a tokenizer without these signs takes for the end of the text, and what is the end of the text.
BAD |= {
    "a photo of my 🐶": "'🐶'",
    "“sks”": "'“”'",
    "a photo of <|endoftext|> sks": "at which the model stops",
}


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be trained or sampled before the refusal."""

    def run(*_: object) -> None:
        raise AssertionError("work was done first")

    monkeypatch.setattr(Trainer, "run", run)
    monkeypatch.setattr(DiffusionModel, "sample", run)


def doors(model: DiffusionModel, folder: Path, photos: list[Photo], prompt: str) -> dict[str, Callable[[], object]]:
    trial = Trial(instance_prompt=prompt, prompt=prompt, sampling_steps=1, pictures=1)
    shown = Trial(prompt=prompt, sampling_steps=1, pictures=1)
    name, method = str(folder), EUDP(rounds=1)
    arms = ("clean", "random", "protected")
    return {
        "protect": lambda: protect(photos, model, prompt=prompt),
        "attack": lambda: attack(photos, None, model, trial=trial),
        "pictures": lambda: attack(photos, None, model, trial=shown),
        "fit": lambda: LoRA().fit(photos, model, prompt),
        "class prompt": lambda: DreamBooth(class_prompt=prompt).fit(photos, model, "a photo of sks"),
        "lab": lambda: Lab({"clean": photos}, model, [LoRA()], ("none",), trial).run(),
        "app, protect": lambda: ProtectWork(photos, method, name, prompt, 0)(lambda progress: None),
        "app, attack": lambda: AttackWork(photos, None, method, arms, LoRA(), trial, name)(lambda progress: None),
        "app, robustness": lambda: RobustnessWork(photos, photos, method, LoRA(), ("none",), trial, name)(
            lambda progress: None
        ),
    }


@pytest.mark.parametrize("prompt", BAD)
def test_what_the_model_would_not_see_is_refused(
    prompt: str, tiny_model: DiffusionModel, tiny_model_folder: Path, photos: list[Photo]
) -> None:
    for name, door in doors(tiny_model, tiny_model_folder, photos, prompt).items():
        with pytest.raises(InvalidInput, match="expected a prompt") as caught:
            door()
        assert BAD[prompt] in str(caught.value), name


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("protect", "--prompt"),
        ("attack", "--instance-prompt"),
        ("attack", "--prompt"),
        ("evaluate", "--prompt"),
        ("evaluate", "--recipe-class-prompt"),
    ],
)
def test_the_command_line_refuses_it_too(
    command: str,
    flag: str,
    photo_files: list[Path],
    tiny_model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    place = ["--instance"] if command == "attack" else []
    for prompt, words in BAD.items():
        arguments = [command, *place, str(photo_files[0].parent), "--out", str(tmp_path / "out"), flag, prompt]
        assert main([*arguments, "--model", str(tiny_model_folder)]) == 2
        assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("instance", "prompt"), [("a photo of a toy", "a photo of sks"), ("a photo of sks", "a photo of a toy")]
)
@pytest.mark.parametrize("word", ["sks", "<new-word>"])
def test_a_prompt_without_the_learned_word_is_refused_before_the_training(
    instance: str, prompt: str, word: str, tiny_model: DiffusionModel, photos: list[Photo]
) -> None:
    instance, prompt = (text.replace("sks", word) for text in (instance, prompt))
    trial = Trial(instance_prompt=instance, prompt=prompt, sampling_steps=1, pictures=1)
    recipe: Recipe = TextualInversion(word=word)
    for door in (
        lambda: attack(photos, None, tiny_model, "textual_inversion", trial, word=word),
        lambda: Lab({"clean": photos}, tiny_model, [recipe], ("none",), trial).run(),
    ):
        with pytest.raises(InvalidInput, match=f"a prompt with the word '{word}'"):
            door()


@pytest.mark.parametrize("prompt", [None, 5, b"a photo", ["a photo"], "a photo \udcff"])
@pytest.mark.parametrize("method", ["random", "eudp"])
def test_what_is_no_text_is_refused_whether_or_not_it_is_read(
    method: str,
    prompt: object,
    tiny_model: DiffusionModel,
    tiny_model_folder: Path,
    photos: list[Photo],
    tmp_path: Path,
) -> None:
    """It would stand in the manifest, the last thing that is written."""
    source = write_png(tmp_path / "a.png", photos[0])
    for door in (
        lambda: protect(photos, tiny_model, method, prompt),
        lambda: protect_folder(source, tmp_path / "out", tiny_model, method, prompt),
        lambda: attack(photos, None, tiny_model, trial=Trial(instance_prompt=prompt)),
    ):
        with pytest.raises(InvalidInput, match="to be a text"):
            door()
    if isinstance(prompt, str):
        line = ["protect", str(source), "--out", str(tmp_path / "out"), "--prompt", prompt, "--method", method]
        assert main([*line, "--model", str(tiny_model_folder)]) == 2
    assert not (tmp_path / "out").exists()


def test_a_learned_word_may_be_in_any_letters(tiny_model: DiffusionModel) -> None:
    for word in ("狗", "<cat>", "🐶"):
        recipe, prompt = TextualInversion(word=word), f"a photo of {word}"
        recipe.check_prompts(tiny_model, prompt, prompt)
        own = recipe.words(tiny_model, prompt, 0)
        (tokenizer,) = own.tokenizers
        (number,) = tokenizer(word, add_special_tokens=False).input_ids
        assert number not in tiny_model.tokenizers[0].all_special_ids
        with pytest.raises(InvalidInput, match="letters and signs"):
            recipe.check_prompts(tiny_model, f"{prompt} 猫", prompt)


def test_good_prompts_pass(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    for prompt in ("", "a photo of sks", "A photo of SKS, 4 (old) & 'x'", LONG[:24]):
        tiny_model.check_prompt(prompt)
    load_model("mini").check_prompt("a painting in the style of sks")
    load_model("mini-pixel").check_prompt(LONG)  # it reads none
    TextualInversion(word="<new>").check_prompts(tiny_model, "a photo of <new>", "a <new> toy")
    assert len(RandomNoise()(photos, tiny_model, LONG)) == 3  # and random noise reads none either
