"""The shape of the code: every import goes down, no two modules import each other, heavy packages stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Lowest first. A module may import its own line's modules and those of the lines above it, never of a line below.
ORDER = (
    "version",
    "language",
    "errors",
    "files",
    "settings",
    "progress",
    "decoding",
    "captions",
    "photos",
    "photo_files",
    "tensors",
    "digests",
    "models",
    "protection",
    "catalogue",
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
# These hold a docstring, or names that are imported when they are first used: nobody imports them.
DATA = {"udp", "udp.ui", "udp.mini"}
# What is not installed, each importing those before it and `udp`.
APART = ("recipe", "examples", "benchmarks", "scripts", "tests")


def parents(name: str) -> set[str]:
    """The packages around a module."""
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for top in ("udp", *APART) for path in (ROOT / top).rglob("*.py")}
# A folder without __init__.py is a package too.
PACKAGES = {parent for name in MODULES for parent in parents(name)}


def statements(text: str, name: str, package: bool) -> Iterator[tuple[str, str]]:
    """What the import statements of `text` import, in full, and the module that they bind a name to, "" for none."""
    here = name if package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((a.name, a.name if a.asname else a.name.split(".")[0]) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), here) if node.level else node.module
            for inner in (f"{base}.{a.name}" for a in node.names):
                yield (inner, inner) if inner in MODULES.keys() | PACKAGES else (base, "")


def imports(text: str, name: str = "", package: bool = False) -> set[str]:
    """Every module that `text` imports, wherever it stands: aliases and relative names resolved, lazy ones counted.

    A string that is a module's name counts as an import of it, and one that ends in a dot as that of all below. The packages
    around a module are imported with it, but for those that `name` itself lies in. `package` says that the text is that of
    an `__init__.py`.
    """
    found = {other for other, _ in statements(text, name, package)}
    strings: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            found |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant) and not a.value.startswith(".")}
    relative = {base + string for string in strings if string.startswith(".") for base in (name, *strings)}
    found |= {string for string in strings | relative if "." in string and string in MODULES.keys() - DATA}
    prefixes = tuple(string for string in strings if string.startswith("udp.") and string.endswith("."))
    found |= {known for known in MODULES if prefixes and known.startswith(prefixes)}
    around = {parent for other in found for parent in parents(other) & MODULES.keys()}
    return (found | around - DATA - parents(name)) - {name}


GRAPH = {name: imports(path.read_text(), name, path.stem == "__init__") for name, path in MODULES.items()}
INSTALLED = {name: found for name, found in GRAPH.items() if name.split(".")[0] == "udp"}


def unit(name: str) -> str:
    """The line of `ORDER` that a module belongs to."""
    parts = name.split(".")[1:]
    return next(line for line in (".".join(parts[:2]), parts[0]) if line in ORDER)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from udp import ui", {"udp.ui"}),
        ("import udp.models.base as b", {"udp.models.base", "udp.models"}),
        ("from udp.models import base as b, loading", {"udp.models.base", "udp.models.loading", "udp.models"}),
        ("from udp.models.base import DiffusionModel", {"udp.models.base", "udp.models"}),
        ("from . import pgd\nfrom .budget import project", {"udp.protection.pgd", "udp.protection.budget"}),
        ("from .. import photos\nfrom ..cli import flags", {"udp.photos", "udp.cli.flags", "udp.cli"}),
        ("def f():\n    from udp.cli import main", {"udp.cli"}),
        ("if TYPE_CHECKING:\n    import udp.ui.page", {"udp.ui.page"}),
        ("importlib.import_module('udp.api')", {"udp.api"}),
        ("from importlib import import_module as load\nload('udp.api')", {"importlib", "udp.api"}),
        (
            "import_module('.page', 'udp.ui')\nimport_module('.pgd', 'udp.protection')",
            {"udp.ui.page", "udp.protection.pgd", "udp.protection"},
        ),
        ("__import__('gradio')\n__import__('udp.api')", {"gradio", "udp.api"}),
        ("sys.modules['udp.api']", {"udp.api"}),
        ("import udp.protection.methods.eudp", {"udp.protection.methods.eudp", "udp.protection.methods"}),
    ],
)
def test_imports_are_found_however_they_are_written(text: str, found: set[str]) -> None:
    assert imports(text, "udp.protection.base") == found


def test_relative_imports_of_a_package_start_inside_it() -> None:
    assert imports("from . import base\nfrom ..ui import page", "udp.models", True) == {
        "udp.models.base",
        "udp.ui.page",
    }


def test_commands_that_are_imported_by_name_count() -> None:
    assert {"udp.cli.protect", "udp.cli.deploy"} <= GRAPH["udp.cli"] and "udp.api" in GRAPH["udp"]


def test_every_import_goes_down() -> None:
    rank = {line: index for index, line in enumerate(ORDER)}
    for name, found in INSTALLED.items():
        if name in DATA:
            continue
        for other in found:
            top = other.split(".")[0]
            assert top not in (*APART, "app", "setup"), f"{name} imports {other}: not installed"
            assert other not in DATA, f"{name} imports {other}, which is nothing to import"
            if top == "udp":
                assert other in MODULES, f"{name} imports {other}, which is no module"
                assert rank[unit(other)] <= rank[unit(name)], f"{name} imports {other} from a higher layer"


@pytest.mark.parametrize("name", sorted(INSTALLED))
def test_nobody_reaches_into_a_package_that_was_imported_whole(name: str) -> None:
    """`import udp.errors` binds `udp`, and `udp.ui.page` is then reached without an import that could be seen."""
    path = MODULES[name]
    bound = {bound for _, bound in statements(path.read_text(), name, path.stem == "__init__")}
    assert not bound & PACKAGES


def test_what_nobody_imports_holds_nothing() -> None:
    for name in DATA - {"udp"}:
        assert len(ast.parse(MODULES[name].read_text()).body) == 1, f"{name} holds more than a docstring"
    top = ast.parse(MODULES["udp"].read_text()).body
    imported = [node for node in top if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {ast.unparse(node).split()[1] for node in imported} <= {"__future__", "importlib", "typing"}


def test_nothing_apart_imports_what_comes_after_it() -> None:
    for name, found in GRAPH.items():
        top = name.split(".")[0]
        later = {other for other in found if top in APART and other.split(".")[0] in APART[APART.index(top) + 1 :]}
        assert not later, f"{name} imports {', '.join(sorted(later))}"


def test_no_two_modules_import_each_other() -> None:
    """Neither directly nor by way of others: a module is done when all that it imports is."""
    left = {name: {other for other in found if other in MODULES} for name, found in GRAPH.items()}
    while left:
        done = {name for name, found in left.items() if not found & left.keys()}
        assert done, f"these import each other: {', '.join(sorted(left))}"
        left = {name: found for name, found in left.items() if name not in done}


def test_gradio_and_spaces_stay_in_the_ui() -> None:
    for name, found in INSTALLED.items():
        if not name.startswith("udp.ui."):
            assert not {other.split(".")[0] for other in found} & {"gradio", "spaces"}, name


def test_nothing_needs_torchvision_or_writes_lossy_webp() -> None:
    for path in [*(MODULES[name] for name in INSTALLED), ROOT / "app.py"]:
        text = path.read_text()
        assert "torchvision" not in {other.split(".")[0] for other in imports(text)}, path
        assert 'format="webp"' not in text, path


def test_files_stay_small() -> None:
    # A catalogue is as long as what there is to say.
    files = {name: MODULES[name] for name in INSTALLED if not name.startswith("udp.language.")}
    long = {name: n for name, path in files.items() if (n := len(path.read_text().splitlines())) > 350}
    assert not long, long
