"""The shape of the code: layers import downwards only, heavy or forbidden packages stay where they belong."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"decoding", "errors", "files", "language", "photos", "tensors", "settings", "progress", "digests"},
    {"models"},
    {"protection", "imitation"},
    {"evaluation"},
    {"reports", "api"},
    {"ui", "cli", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def part(path: Path) -> str:
    return path.relative_to(ROOT / "udp").parts[0].removesuffix(".py")


def test_layers_import_downwards_only() -> None:
    for path in (ROOT / "udp").rglob("*.py"):
        if part(path) in ("mini", "__init__"):
            continue
        for name in imports(path):
            pieces = name.split(".")
            assert pieces[0] != "recipe", f"{path.name} imports {name}, which no installation has"
            if pieces[0] == "udp" and len(pieces) > 1:
                assert RANK[pieces[1]] <= RANK[part(path)], f"{path.name} imports {name} from a higher layer"


def test_gradio_and_spaces_stay_in_the_ui() -> None:
    for path in [*(ROOT / "udp").rglob("*.py"), ROOT / "app.py"]:
        if part(path) != "ui" if path.name != "app.py" else False:
            assert not {n.split(".")[0] for n in imports(path)} & {"gradio", "spaces"}, path


def test_nothing_needs_torchvision_or_writes_lossy_webp() -> None:
    for path in [*(ROOT / "udp").rglob("*.py"), ROOT / "app.py"]:
        assert "torchvision" not in {n.split(".")[0] for n in imports(path)}, path
        assert 'format="webp"' not in path.read_text(), path


def test_files_stay_small() -> None:
    # A catalogue is as long as what there is to say.
    files = [path for path in (ROOT / "udp").rglob("*.py") if "language" not in path.parts]
    long = {p.name: n for p in files if (n := len(p.read_text().splitlines())) > 350}
    assert not long, long
