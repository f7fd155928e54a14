"""The Python interface: five lines, in whatever order things are imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import udp
from examples import quickstart
from udp import attack, protect, protect_folder, protect_folders
from udp.errors import InvalidInput
from udp.evaluation.trial import Trial
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.protection.budget import largest_difference

SMALL = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 2}


def test_import_is_light_and_every_exported_name_is_there() -> None:
    code = (
        "import sys, types, udp; assert not {'torch', 'numpy'} & set(sys.modules), 'import udp must stay light'\n"
        "found = {name: getattr(udp, name) for name in udp.__all__}\n"
        "assert not any(isinstance(value, types.ModuleType) for value in found.values())\n"
        "assert set(udp.__all__) <= set(dir(udp)) and not hasattr(udp, 'nonsense')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_exported_names_are_these_and_no_module_is_callable() -> None:
    functions = {"attack", "load_model", "protect", "protect_folder", "protect_folders", "read_photos", "write_png"}
    assert sorted(udp.__all__) == sorted({*functions, "METHODS", "Photo", "RECIPES", "Trial"})
    assert all(callable(getattr(udp, name)) for name in functions)
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "udp"]
    assert modules and not any(callable(module) for module in modules)


def test_quickstart_runs(photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys) -> None:
    folder = str(photo_files[0].parent)
    quickstart.main(["--photos", folder, "--out", str(tmp_path), "--model", str(tiny_model_folder), "--quick"])
    names = {path.name for path in tmp_path.iterdir()}
    assert {"view_0.png", "base_0.png", "clean_0.png", "random_0.png", "protected_0.png"} <= names
    assert capsys.readouterr().out.startswith("base {")


def test_paths_and_photos_are_the_same_thing(
    photo_files: list[Path], photos: list[Photo], tiny_model: DiffusionModel
) -> None:
    read, given = protect(photo_files[:1], tiny_model, **SMALL), protect(photos[:1], tiny_model, **SMALL)
    assert (read[0].pixels == given[0].pixels).all() and 0 < largest_difference(photos[0].pixels, read[0].pixels) <= 8


def test_unknown_names_list_the_known_ones(photos: list[Photo], tiny_model: DiffusionModel) -> None:
    with pytest.raises(InvalidInput, match="a method among eudp"):
        protect(photos, tiny_model, method="magic")
    with pytest.raises(InvalidInput, match=r"settings among budget.*got epsilon"):
        protect(photos, tiny_model, epsilon=8 / 255)
    with pytest.raises(InvalidInput, match="a recipe among lora"):
        attack(photos, None, tiny_model, recipe="magic")
    with pytest.raises(InvalidInput, match="as many protected as clean photos"):
        attack(photos, photos[:1], tiny_model, trial=Trial(pictures=1))


@pytest.mark.parametrize("seed", [None, "1", 1.5, -1, 2**70, True])
def test_a_seed_that_is_none_is_refused_in_our_own_words(
    seed: object, photos: list[Photo], photo_files: list[Path], tiny_model: DiffusionModel, tmp_path: Path
) -> None:
    for call in (
        lambda: protect(photos, tiny_model, method="random", seed=seed),
        lambda: protect_folder(photo_files, tmp_path / "out", tiny_model, method="random", seed=seed),
        lambda: protect_folders(photo_files[0].parent, tmp_path / "out", tiny_model, method="random", seed=seed),
        lambda: attack(photos, None, tiny_model, trial=Trial(seed=seed)),
    ):
        with pytest.raises(InvalidInput, match=r"expected seed (between 0 and 2147483647|to be a whole number), got "):
            call()
    assert not (tmp_path / "out").exists()


def test_a_model_is_a_name_a_folder_or_a_loaded_one(
    photos: list[Photo], tiny_model: DiffusionModel, tiny_model_folder: Path
) -> None:
    for model in (tiny_model_folder, str(tiny_model_folder), tiny_model):
        (made,) = protect(photos[:1], model, method="random", seed=4)
        assert (made.pixels == protect(photos[:1], tiny_model, method="random", seed=4)[0].pixels).all()
    for model in (None, 5, {"name": "mini"}):
        refused = rf"expected the name or the folder of a model.* got {type(model).__name__}"
        with pytest.raises(InvalidInput, match=refused):
            protect(photos, model, method="random")
        with pytest.raises(InvalidInput, match=refused):
            attack(photos, None, model)


def test_what_is_no_trial_or_no_photo_is_said_so(photos: list[Photo], tiny_model: DiffusionModel) -> None:
    with pytest.raises(InvalidInput, match=r"expected a `udp.Trial` of .*, got dict"):
        attack(photos, None, tiny_model, trial={"pictures": 1})
    with pytest.raises(InvalidInput, match=r"expected a folder, files or photos .*, got bytes"):
        protect(b"PNG", tiny_model)


def test_loading_our_own_models_says_nothing_and_silences_nothing_else() -> None:
    code = (
        "from udp import load_model; from diffusers.utils import logging as d; from transformers.utils import logging as t;"
        "said = lambda: [(x.get_verbosity(), x.is_progress_bar_enabled()) for x in (d, t)];"
        "before = said(); load_model('mini'); load_model('mini-pixel'); assert said() == before, said()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
