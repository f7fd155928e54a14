"""Figures from CLIP and DINOv2: known answers with tiny random models, offline, and nothing loaded unless asked for."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
)

from recipe.text import build_tokenizer
from tests.conftest import picture
from udp import api, cli
from udp.errors import InvalidInput, ModelUnavailable
from udp.evaluation.arms import Arm, make_report
from udp.evaluation.metrics.figures_pretrained import PretrainedReference
from udp.evaluation.metrics.pretrained import Pretrained, load_pretrained, mean_cosine
from udp.evaluation.metrics.quality import squares
from udp.evaluation.metrics.table import extractors, measure
from udp.evaluation.trial import Trial
from udp.imitation.recipes import LoRA
from udp.language import ENGLISH, text
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.progress import ignore_progress
from udp.protection.methods import RandomNoise
from udp.ui.parts.tables import attack_table
from udp.ui.state import work
from udp.ui.state.owner import owner_from

NAMES = {"clip_image_similarity", "dinov2_image_similarity", "clip_prompt_agreement"}
SMALL = Trial(pictures=2, sampling_steps=2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Tiny random CLIP and DINOv2 models, saved as transformers saves them."""
    root = tmp_path_factory.mktemp("pretrained")
    clip, dinov2 = root / "tiny-clip", root / "tiny-dinov2"
    tokenizer = build_tokenizer(["a photo of a toy"] * 20, size=200)
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        **shape,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 12,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**shape, "image_size": 32, "patch_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).save_pretrained(clip)
        Dinov2Model(Dinov2Config(**{**shape, "image_size": 28, "patch_size": 14})).save_pretrained(dinov2)
    tokenizer.save_pretrained(clip)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(clip)
    BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=28).save_pretrained(dinov2)
    return clip, dinov2


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """No address can be reached; remembers which were asked for."""
    asked: list[object] = []

    def refuse(*arguments: object, **named: object) -> None:
        asked.append(arguments)
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


@pytest.fixture
def pretrained(folders: tuple[Path, Path], offline: list[object]) -> Pretrained:
    return load_pretrained(*map(str, folders))


def flags(folders: tuple[Path, Path]) -> list[str]:
    return ["--pretrained-metrics", "--clip-model", str(folders[0]), "--dinov2-model", str(folders[1])]


def test_features_are_those_of_the_networks_and_of_unit_length(pretrained: Pretrained) -> None:
    images = [picture(seed, 40 + seed, 56) for seed in range(20)]  # more than one batch, sizes of their own
    for model, width in ((pretrained.clip, 24), (pretrained.dinov2, 32)):
        found = model.images(images)
        assert found.shape == (20, width) and np.allclose(np.linalg.norm(found, axis=1), 1)
        assert np.allclose(found[17:18], model.images(images[17:18]), atol=1e-6)
    # a picture of the processor's own size is only normalised
    clip, image = pretrained.clip, picture(3, 32, 32)
    scaled = (image / 255 - clip.processor.image_mean) / clip.processor.image_std
    with torch.no_grad():
        network = clip.network.vision_model(torch.from_numpy(scaled.transpose(2, 0, 1)[None].astype(np.float32)))
        expected = (clip.network.visual_projection.weight @ network.pooler_output[0]).numpy()
    assert np.allclose(clip.images([image])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_text_features_have_unit_length_and_long_prompts_are_cut(pretrained: Pretrained) -> None:
    short, other, long = (pretrained.clip.text(p) for p in ("a photo of a toy", "toy toy", "a photo of a toy " * 20))
    assert np.linalg.norm(short) == pytest.approx(1) == np.linalg.norm(long)
    assert not np.allclose(short, other) and not np.allclose(short, long)


def test_mean_cosine_equals_a_plain_sum_over_all_pairs() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(5, 7)), random.normal(size=(3, 7))
    pairs = [[x @ y / np.sqrt((x @ x) * (y @ y)) for y in b] for x in a]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    assert mean_cosine(*unit) == pytest.approx(np.mean(pairs, axis=1))
    assert mean_cosine(*unit).mean() == pytest.approx(np.mean(pairs))


def test_figures_of_an_arm(pretrained: Pretrained, tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    one = PretrainedReference.of(pretrained, tiny_model, photos[:1] * 3, "a photo of a toy")
    same, intervals = measure(one.see(squares([photos[0].pixels] * 4, tiny_model.resolution)))
    assert set(same) == set(intervals) == NAMES == set(extractors(one, 4))
    assert same["clip_image_similarity"] == 1 == same["dinov2_image_similarity"]
    assert "pairs of different clean photos: CLIP 1.000, DINOv2 1.000" in ENGLISH.say(one.basis())

    reference = PretrainedReference.of(pretrained, tiny_model, photos, "a photo of a toy")
    images = [picture(seed, 64, 64) for seed in range(10, 14)]
    figures, intervals = measure(reference.see(images))
    real = pretrained.dinov2.images(squares([photo.pixels for photo in photos], tiny_model.resolution))
    pairs = [float(g @ r) for g in pretrained.dinov2.images(images) for r in real]
    assert figures["dinov2_image_similarity"] == pytest.approx(np.mean(pairs), abs=1e-4) and len(pairs) == 12
    agreement = [float(g @ pretrained.clip.text("a photo of a toy")) for g in pretrained.clip.images(images)]
    assert figures["clip_prompt_agreement"] == pytest.approx(np.mean(agreement), abs=1e-4)
    assert all(low - 1e-4 <= figures[name] <= high + 1e-4 and low < high for name, (low, high) in intervals.items())
    assert ENGLISH.say(extractors(reference, 4)["dinov2_image_similarity"]) == (
        "tiny-dinov2, 4 pictures a run and arm against 3 clean photos"
    )
    assert measure(reference.see(images[:1]))[1] == {}


def test_a_model_without_prompts_has_no_agreement(
    pretrained: Pretrained, tiny_model: DiffusionModel, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tiny_model), "takes_prompts", False)
    reference = PretrainedReference.of(pretrained, tiny_model, photos[:1], "a photo")
    figures, _ = measure(reference.see([photos[0].pixels]))
    assert set(figures) == set(extractors(reference, 1)) == NAMES - {"clip_prompt_agreement"}
    assert "prompt" not in ENGLISH.say(reference.basis()) and "pairs of different" not in ENGLISH.say(reference.basis())


def without(folder: Path, to: Path, file: str) -> Path:
    shutil.copytree(folder, to)
    (to / file).unlink()
    return to


def test_models_that_cannot_be_used_are_refused_with_the_reason(
    folders: tuple[Path, Path], tmp_path: Path, offline: list[object]
) -> None:
    clip, _ = folders

    def reason(*names: str | Path) -> str:
        with pytest.raises(ModelUnavailable) as caught:
            load_pretrained(*map(str, names))
        return str(caught.value)

    assert reason("somebody/clip").startswith("expected a network or a downloaded copy of 'somebody/clip', got neither")
    assert "downloaded copy of 'openai/clip-vit-base-patch32', got neither" in reason("openai/clip-vit-base-patch32")
    assert "'facebook/dinov2-small', got neither" in reason(clip, "facebook/dinov2-small")
    assert reason("a/b/c") == "expected a local CLIP folder or a Hub id, got 'a/b/c'"
    assert reason(tmp_path / "none") == "expected a CLIP folder 'none', got no such folder"
    assert reason(clip, clip) == "expected a DINOv2 model in 'tiny-clip', got one of the kind clip"
    for file in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        broken = without(clip, tmp_path / file.split(".")[0], file)
        assert reason(broken) == f"expected a CLIP model with {file} in '{broken.name}', got none"
    pickled = without(clip, tmp_path / "pickled", "model.safetensors")
    torch.save({}, pickled / "pytorch_model.bin")
    assert reason(pickled).endswith("in 'pickled', got none: pickles can run code")
    partial = shutil.copytree(clip, tmp_path / "partial")
    weights = load_file(partial / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, partial / "model.safetensors", {"format": "pt"})
    assert reason(partial) == "expected all weights of a CLIP model in 'partial', got some missing"
    (partial / "model.safetensors").write_bytes(b"nonsense")
    assert "that can be loaded, got 'partial'" in reason(partial) and str(tmp_path) not in reason(partial)


def test_every_arm_of_a_report_has_the_figures_of_each_run(
    pretrained: Pretrained, tiny_model: DiffusionModel, photos: list[Photo]
) -> None:
    def runs(name: str, seed: int) -> list[Arm]:
        figures = {"clean_loss": 1.0, "texture_distance": 1.0}
        sets = [[picture(seed + 10 * run + index, 64, 64) for index in range(2)] for run in range(2)]
        return [Arm(name, tuple(images), (1.0,), figures, (figures,)) for images in sets]

    reference = PretrainedReference.of(pretrained, tiny_model, photos, "a photo of a toy")
    arms = [runs("clean", 100), runs("protected", 200)]
    report = make_report(runs("base", 0), arms, (text("", "Basis."),), [reference])
    assert set(report.extractors) == NAMES and ENGLISH.say(report.basis[1]).startswith(
        "CLIP and DINOv2 similarity: mean"
    )
    for arm in (report.base, *report.arms):
        assert set(arm.metrics) >= NAMES and set(arm.intervals) >= NAMES and len(arm.runs) == 2
    expected, _ = measure(reference.see(arms[1][1].images))
    assert {name: report.arm("protected").runs[1][name] for name in NAMES} == expected
    plain = make_report(runs("base", 0), arms, (text("", "Basis."),))
    assert plain.extractors == {} and len(plain.basis) == 1 and not set(plain.base.metrics) & NAMES


def test_attack_command_writes_figures_extractors_and_counts(
    folders: tuple[Path, Path],
    photo_files: list[Path],
    tiny_model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    offline: list[object],
) -> None:
    command = ["attack", "--instance", str(photo_files[0].parent), "--model", str(tiny_model_folder), "--steps", "10"]
    command += ["--pictures", "2", "--sampling-steps", "2", "--recipe", "lora", "--out", str(tmp_path), *flags(folders)]
    assert cli.main(command) == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["extractors"]["clip_image_similarity"] == (
        "tiny-clip, 2 pictures a run and arm against 3 clean photos"
    )
    for arm in ("base", "clean"):
        assert set(manifest["figures"][arm]) >= NAMES and set(manifest["intervals"][arm]) >= NAMES
    shown = capsys.readouterr().out
    assert "clip_prompt_agreement: tiny-clip, 2 pictures" in shown
    figures = manifest["figures"]["clean"]
    assert (
        f"     clean  structure {figures['structure_similarity']:.2f}  clip_image {figures['clip_image_similarity']:.2f}"
        in shown
    )
    assert str(folders[0].parent) not in (tmp_path / "manifest.json").read_text()
    assert offline == [] and "torchvision" not in sys.modules


def test_evaluate_command_adds_the_figures_to_finished_cells(
    folders: tuple[Path, Path],
    photo_files: list[Path],
    tiny_model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: list[object],
) -> None:
    command = ["evaluate", str(photo_files[0].parent), "--out", str(tmp_path), "--model", str(tiny_model_folder)]
    command += ["--method", "random", "--budget", "6/255", "--recipe-steps", "10", "--recipe-batch-size", "1"]
    command += ["--pictures", "2", "--sampling-steps", "2", "--cleaning", "none"]
    with monkeypatch.context() as patch:
        patch.setattr("udp.cli.trial.load_pretrained", lambda *names: pytest.fail("loaded without being asked"))
        patch.setattr("udp.evaluation.metrics.pretrained.snapshot_download", lambda *names: pytest.fail("downloaded"))
        assert cli.main(command) == 0
    plain = json.loads((tmp_path / "report.json").read_text())
    assert plain["extractors"] == {} and "CLIP image" not in (tmp_path / "report.html").read_text()
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("*.json")}
    assert len(cells) == 4 and cli.main([*command, *flags(folders)]) == 0
    assert all(path.stat().st_mtime_ns == before for path, before in cells.items())
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["extractors"]) == NAMES
    assert all(set(figures) >= NAMES for figures in report["rows"][0]["figures"].values())
    page = (tmp_path / "report.html").read_text()
    assert "Measured by tiny-clip, 2 pictures a run and arm against the prompt." in page
    assert "Measured by tiny-dinov2, 2 pictures a run and arm against 3 clean photos." in page
    assert offline == []


def test_model_flags_want_the_option(
    photo_files: list[Path],
    tiny_model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    offline: list[object],
) -> None:
    command = ["attack", "--instance", str(photo_files[0].parent), "--out", str(tmp_path), "--model"]
    command.append(str(tiny_model_folder))
    assert cli.main([*command, "--clip-model", "x/y"]) == 2
    assert "expected --clip-model and --dinov2-model with --pretrained-metrics" in capsys.readouterr().err
    assert cli.main([*command, "--pretrained-metrics", "--clip-model", "x/y"]) == 2
    assert "expected a network or a downloaded copy of 'x/y', got neither" in capsys.readouterr().err


def test_the_interface_loads_the_usual_models_only_if_asked(
    photos: list[Photo], tiny_model: DiffusionModel, pretrained: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "run_trial", lambda *arguments, faces: arguments[-1])
    monkeypatch.setattr(api, "load_pretrained", lambda *names: ("loaded", names))
    for given, expected in ((False, None), (True, ("loaded", ())), (pretrained, pretrained)):
        assert api.attack(photos, None, tiny_model, trial=SMALL, pretrained_metrics=given) == expected
    assert api.attack(photos, None, tiny_model, trial=SMALL) is None


@pytest.fixture
def measuring(pretrained: Pretrained, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The app finds the tiny models in place of the usual ones, and forgets them afterwards."""
    work.measuring_models.cache_clear()
    monkeypatch.setattr(work, "load_pretrained", lambda: pretrained)
    yield
    work.measuring_models.cache_clear()


@pytest.mark.usefixtures("measuring")
def test_the_app_measures_with_them_if_its_owner_says_so(
    photos: list[Photo], tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "load_model", lambda name: tiny_model)
    noise, recipe = RandomNoise(), LoRA(steps=10, batch_size=1)
    for given, wanted in (("1", True), ("0", False), ("", False)):
        owner = owner_from({"UDP_PRETRAINED_METRICS": given})
        assert owner.pretrained is wanted
        attack = work.AttackWork(photos, photos, noise, ("clean",), recipe, SMALL, "tiny", pretrained=owner.pretrained)
        report, _ = attack(ignore_progress)
        assert (set(report.arm("clean").metrics) >= NAMES) is wanted
        assert ("CLIP image similarity" in attack_table(report)) is wanted
    lab = work.RobustnessWork(photos, photos, noise, recipe, (), SMALL, "tiny", pretrained=True)
    rows = lab(ignore_progress)[0].rows
    assert all(set(row.report.extractors) == NAMES for row in rows)
    with pytest.raises(InvalidInput, match="expected UDP_PRETRAINED_METRICS to be 0 or 1, got 'yes'"):
        owner_from({"UDP_PRETRAINED_METRICS": "yes"})
