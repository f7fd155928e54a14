"""The shape of the code: every import goes down, no two modules import each other, heavy packages stay where they belong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Lowest first. A module may import its own line's modules and those of the lines above it, never of a line below.
ORDER = (
    "language",
    "errors",
    "files",
    "settings",
    "progress",
    "decoding",
    "photos",
    "photo_files",
    "tensors",
    "digests",
    "models",
    "protection",
    "imitation",
    "evaluation",
    "reports",
    "api",
    "ui.say",
    "ui.state",
    "ui.parts",
    "ui.tabs",
    "ui.endpoints",
    "ui.page",
    "cli",
    "__main__",
)
DATA = {"udp", "udp.ui", "udp.mini"}  # these hold a docstring, or names that are imported when they are first used


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in (ROOT / "udp").rglob("*.py")}


def imports(text: str, name: str = "") -> set[str]:
    """Every module that `text` imports, wherever it stands: aliases and relative names resolved, lazy ones counted.

    In a file that imports by name, the names are the strings in it.
    """
    found: set[str] = set()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")
            above = parts[: len(parts) - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names}
    if "import_module" in text:
        strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        found |= {string for string in strings if string in MODULES and "." in string}
        prefixes = [string for string in strings if string.startswith("udp.") and string.endswith(".")]
        found |= {known for known in MODULES for prefix in prefixes if known.startswith(prefix)}
    return found - {name}


GRAPH = {name: imports(path.read_text(), name) for name, path in MODULES.items()}


def unit(name: str) -> str:
    """The line of `ORDER` that a module belongs to."""
    parts = name.split(".")[1:]
    return next(line for line in (".".join(parts[:2]), parts[0]) if line in ORDER)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from udp import ui", {"udp.ui"}),
        ("import udp.models.base as b", {"udp.models.base"}),
        ("from udp.models import base as b, loading", {"udp.models.base", "udp.models.loading"}),
        ("from udp.models.base import DiffusionModel", {"udp.models.base"}),
        ("from . import pgd\nfrom .budget import project", {"udp.protection.pgd", "udp.protection.budget"}),
        ("def f():\n    from udp.cli import main", {"udp.cli"}),
        ("if TYPE_CHECKING:\n    import udp.ui.page", {"udp.ui.page"}),
        ("importlib.import_module('udp.api')", {"udp.api"}),
    ],
)
def test_imports_are_found_however_they_are_written(text: str, found: set[str]) -> None:
    assert imports(text, "udp.protection.base") == found


def test_commands_that_are_imported_by_name_count() -> None:
    assert {"udp.cli.protect", "udp.cli.deploy"} <= GRAPH["udp.cli"] and "udp.api" in GRAPH["udp"]


def test_every_import_goes_down() -> None:
    rank = {line: index for index, line in enumerate(ORDER)}
    for name, found in GRAPH.items():
        if name in DATA:
            continue
        for other in found:
            top = other.split(".")[0]
            assert top not in ("recipe", "benchmarks", "examples", "tests"), f"{name} imports {other}: not installed"
            assert other not in DATA, f"{name} imports {other}, which is nothing to import"
            if top == "udp":
                assert rank[unit(other)] <= rank[unit(name)], f"{name} imports {other} from a higher layer"


def test_no_two_modules_import_each_other() -> None:
    """Neither directly nor by way of others: a module is done when all that it imports is."""
    left = {name: {other for other in found if other in MODULES} for name, found in GRAPH.items()}
    while left:
        done = {name for name, found in left.items() if not found & left.keys()}
        assert done, f"these import each other: {', '.join(sorted(left))}"
        left = {name: found for name, found in left.items() if name not in done}


def test_gradio_and_spaces_stay_in_the_ui() -> None:
    for name, found in GRAPH.items():
        if not name.startswith("udp.ui."):
            assert not {other.split(".")[0] for other in found} & {"gradio", "spaces"}, name


def test_nothing_needs_torchvision_or_writes_lossy_webp() -> None:
    for path in [*MODULES.values(), ROOT / "app.py"]:
        text = path.read_text()
        assert "torchvision" not in {other.split(".")[0] for other in imports(text)}, path
        assert 'format="webp"' not in text, path


def test_files_stay_small() -> None:
    # A catalogue is as long as what there is to say.
    files = {name: path for name, path in MODULES.items() if not name.startswith("udp.language.")}
    long = {name: n for name, path in files.items() if (n := len(path.read_text().splitlines())) > 350}
    assert not long, long
