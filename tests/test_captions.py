"""A folder as it comes: captions beside photos, kohya's layout, and what becomes of them in an attack and a surrogate."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from udp.captions import caption_of
from udp.cli import main
from udp.digests import captioned_digest, photos_digest
from udp.errors import InvalidInput
from udp.evaluation.found import found_photos
from udp.imitation.recipes import LoRA, TextualInversion
from udp.models.base import DiffusionModel
from udp.models.loss import DenoisingLoss
from udp.photo_files import survey, with_captions
from udp.photos import Photo, gather
from udp.protection.folder import protect_once
from udp.protection.methods import METHODS, SDS, UDP, AdvDM, Mist

ROUNDS = {"rounds": 1, "surrogate_steps": 2, "pgd_steps": 2}


def copied(files: list[Path], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    return folder


def captions(folder: Path) -> list[str]:
    found = gather(folder)
    assert found.skipped == ()
    assert [file.caption for file in survey(folder).files] == [photo.caption for photo in found.photos]
    return [photo.caption for photo in found.photos]


def test_captions_are_read_from_text_files_and_metadata(photo_files: list[Path], tmp_path: Path) -> None:
    folder = copied(photo_files, tmp_path / "set")
    assert captions(folder) == ["", "", ""]
    (folder / "view_1.txt").write_text("a toy\n of red \n", encoding="utf-8")
    rows = [{"file_name": f"view_{n}.png", "text": f"line {n}"} for n in (0, 1)]
    (folder / "metadata.jsonl").write_text("\n".join([*map(json.dumps, rows), "no JSON", "[]", '{"file_name": 3}']))
    assert captions(folder) == ["line 0", "a toy of red", ""]
    (folder / "metadata.jsonl").write_text('{"file_name": "view_2.png", "caption": "new"}')
    assert captions(folder) == ["", "a toy of red", "new"]
    below = [{"file_name": "cats/view_0.png", "text": "a cat"}, {"file_name": "view_2.png", "text": "new"}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, below)))
    assert captions(folder) == ["", "a toy of red", "new"], "a photo of that name in another folder is another photo"
    line = json.dumps({"file_name": "view_2.png", "text": "new\u2028and more"}, ensure_ascii=False)
    (folder / "metadata.jsonl").write_text(line, encoding="utf-8")
    assert captions(folder) == ["", "a toy of red", "new and more"]
    (folder / "notes.txt").write_text("of nobody")
    assert len(gather(folder).skipped) == 1
    (folder / "view_1.txt").write_bytes(b"\xff\xfe\xff")  # no text
    assert caption_of(folder / "view_1.png") == ""


def test_a_folder_of_repeated_folders_is_read_with_their_names(photo_files: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "train"
    copied(photo_files[:2], root / "10_sks person")
    copied(photo_files[2:], root / "2_sks hat")
    (root / "2_sks hat" / "view_2.txt").write_text("a toy")
    (root / ".cache").mkdir()
    assert captions(root) == ["sks person", "sks person", "a toy"]
    assert captions(root / "10_sks person") == ["sks person", "sks person"]
    copied(photo_files[:1], root)
    assert captions(root) == [""], "pictures beside such folders are the set"
    (root / "view_0.png").unlink()
    (root / "others").mkdir()
    with pytest.raises(InvalidInput, match="got subfolders alone"):
        gather(root)
    assert captions(root / "10_sks person") == ["", ""], "any other folder's name is no caption"


def test_captions_come_from_another_folder_or_are_left_out(photo_files: list[Path], tmp_path: Path) -> None:
    folder = copied(photo_files, tmp_path / "set")
    (folder / "view_0.txt").write_text("a toy")
    photos, other = gather(folder).photos, tmp_path / "captions"
    other.mkdir()
    assert [photo.caption for photo in with_captions(photos, "off")] == ["", "", ""]
    assert with_captions(photos, None) == photos
    with pytest.raises(InvalidInput, match=r"such as view_0\.txt, got none"):
        with_captions(photos, other)
    (other / "view_2.txt").write_text("sks")
    assert [photo.caption for photo in with_captions(photos, other)] == ["", "", "sks"]
    with pytest.raises(InvalidInput, match="expected a folder of captions, or off"):
        with_captions(photos, tmp_path / "absent")


def captioned(photos: list[Photo]) -> list[Photo]:
    return [dataclasses.replace(photo, caption=text) for photo, text in zip(photos, ("a toy", "", "sks"), strict=True)]


@pytest.fixture
def told(tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Latents and text of every batch that a loss has seen; each text as the prompt's place in `PROMPTS`."""
    seen, plain = [], DenoisingLoss.pair

    def pair(self: DenoisingLoss, network: object, latents: torch.Tensor, *more: torch.Tensor) -> object:
        seen.append((latents.detach(), self.text.expand(len(latents), -1, -1)))
        return plain(self, network, latents, *more)

    monkeypatch.setattr(DenoisingLoss, "pair", pair)
    return seen


def assert_each_by_its_caption(model: DiffusionModel, photos: list[Photo], seen: list) -> None:
    """The latents of a batch say which photo they are nearest to; its text has to be that photo's."""
    from udp.tensors import to_tensor

    with torch.no_grad():
        clean = model.encode(model.prepare([to_tensor(photo.pixels)[None] for photo in photos])).flatten(1)
        texts = [model.embed(photo.caption or "a photo")[0] for photo in photos]
    assert seen
    for latents, told in seen:
        for one, text in zip(latents.flatten(1), told, strict=True):
            nearest = int((clean - one).square().sum(1).argmin())
            assert torch.equal(text, texts[nearest])


def test_a_fine_tune_calls_each_photo_by_its_caption(
    tiny_model: DiffusionModel, photos: list[Photo], told: list
) -> None:
    recipe = LoRA(steps=10, batch_size=2, scope="attention", learning_rate=1e-4)
    recipe.fit(captioned(photos), tiny_model, "a photo")
    assert_each_by_its_caption(tiny_model, captioned(photos), told)
    plain, same = (
        recipe.fit(found, tiny_model, "a photo") for found in (photos, with_captions(captioned(photos), "off"))
    )
    assert plain.losses == same.losses
    told.clear()
    TextualInversion(steps=10).fit(captioned(photos), tiny_model, "a photo of sks")
    assert all(len(torch.unique(text, dim=0)) == 1 for _, text in told), "a word learns from prompts that have it"


@pytest.mark.parametrize("method", [UDP(**ROUNDS, draws=2), SDS(pgd_steps=2), Mist(pgd_steps=2)], ids=lambda m: m.name)
def test_a_protection_sees_each_photo_by_its_caption(
    method: UDP | SDS | Mist,
    tiny_model: DiffusionModel,
    photos: list[Photo],
    told: list,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protected = dataclasses.replace(method, budget=2 / 255)(captioned(photos), tiny_model, "a photo")
    assert_each_by_its_caption(tiny_model, captioned(photos), told)
    assert [photo.caption for photo in protected] == ["a toy", "", "sks"]
    assert not np.array_equal(protected[0].pixels, photos[0].pixels)


def test_arms_learn_by_the_captions_of_the_clean_photos(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    arms = {"clean": captioned(photos), "protected": photos}
    found = found_photos(arms, 0.0)
    assert [photo.caption for photo in found["protected"]] == ["a toy", "", "sks"]
    assert captioned_digest(photos) == photos_digest(photos) != captioned_digest(captioned(photos))


def test_a_caption_that_the_model_does_not_read_is_named(
    tiny_model_folder: Path, photo_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(photo_files, tmp_path / "set")
    (folder / "view_1.txt").write_text("toy " * 60)
    start = ["protect", str(folder), "--out", str(tmp_path / "out"), "--model", str(tiny_model_folder)]
    quick = ["--rounds", "1", "--surrogate-steps", "1", "--pgd-steps", "2"]
    assert main([*start, *quick]) == 2
    said = capsys.readouterr().err
    assert "caption of 'view_1': expected a prompt of at most" in said and "--captions off" in said
    assert main([*start, *quick, "--captions", "off"]) == 0
    (folder / "view_1.txt").write_text("a toy")
    assert main([*start, *quick]) == 0
    rows = json.loads((tmp_path / "out" / "manifest.json").read_text())["photos"]
    assert [row.get("caption") for row in rows] == [None, "a toy", None]


def test_the_search_for_timesteps_calls_each_photo_by_its_caption(
    tiny_model: DiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [dataclasses.replace(photo, caption=text) for photo, text in zip(photos, ("a toy", "a hat"), strict=False)]
    told: list[torch.Tensor] = []
    at = DenoisingLoss.at

    def watched(self: DenoisingLoss, *given: torch.Tensor) -> torch.Tensor:
        told.append(self.text)
        return at(self, *given)

    monkeypatch.setattr(DenoisingLoss, "at", watched)
    AdvDM(pgd_steps=1, timestep_weights="greedy")(named, tiny_model, "a photo of sks")
    texts = [tiny_model.embed(photo.caption) for photo in named]
    seen = [index for text in told for index, known in enumerate(texts) if torch.equal(text, known)]
    assert set(seen) == {0, 1} and seen[:2] == [0, 1]


def test_photos_that_were_protected_before_come_back_with_their_captions(
    tiny_model: DiffusionModel, photos: list[Photo], tmp_path: Path
) -> None:
    named = [dataclasses.replace(photo, caption=f"toy {index}") for index, photo in enumerate(photos)]
    method = METHODS["random"]()
    first, again = (protect_once(tmp_path / "kept", named, method, tiny_model, "a toy", 0) for _ in range(2))
    assert {arm: captioned_digest(made) for arm, made in first.items()} == {
        arm: captioned_digest(made) for arm, made in again.items()
    }
