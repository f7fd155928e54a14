"""An installation: built, installed elsewhere and used from there, with nothing of the repository in reach."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, packages_distributions, version
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import udp
from tests.conftest import free_port
from udp.cli import COMMANDS, build_parser, main
from udp.cli.deploy import ROOT
from udp.protection.start import SQUARE

BUILT_FROM = (
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "requirements.txt",
    "LICENSE",
    "README.md",
    "udp",
    "examples",
)
HEAVY = {"torch", "diffusers", "transformers", "peft", "gradio", "scipy", "skimage", "huggingface_hub"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's contents, and the `udp` command in its `bin`."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "installed"))
    for name in BUILT_FROM:
        place = ROOT / name
        copy = shutil.copytree if place.is_dir() else shutil.copy
        copy(place, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source], check=True, timeout=300)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, timeout=300)
    return target


def test_the_wheel_has_what_the_app_needs_and_nothing_else(installed: Path) -> None:
    assert {path.name for path in installed.iterdir()} - {"bin"} == {"udp", f"{udp_dist()}.dist-info"}
    modules = {str(p.relative_to(ROOT / "udp")) for p in (ROOT / "udp").rglob("*.py")}
    assert {str(p.relative_to(installed / "udp")) for p in (installed / "udp").rglob("*.py")} == modules
    for weights in ("weights", "pixel_weights"):
        files = [p for p in (ROOT / "udp" / "mini" / weights).rglob("*") if p.is_file()]
        assert files and all((installed / p.relative_to(ROOT)).stat().st_size == p.stat().st_size for p in files)
    assert (installed / "udp" / "mini" / "universal.png").read_bytes() == SQUARE.read_bytes()
    for example in ("subject", "style"):
        assert len(list((installed / "udp" / "examples" / example).glob("*.png"))) == 6


def declared() -> dict[str, Requirement]:
    """requirements.txt, by normalised name."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return {canonicalize_name(found.name): found for found in map(Requirement, filter(None, lines))}


def test_the_wheel_asks_for_what_the_repository_asks_for_and_it_is_what_is_tested(installed: Path) -> None:
    (wheel,) = Distribution.discover(path=[str(installed)])
    always = {str(found) for found in map(Requirement, wheel.requires) if not found.marker}
    assert always == {str(found) for found in declared().values()}
    others = {name: version(name) for name, found in declared().items() if not found.specifier.contains(version(name))}
    assert not others, "not in the ranges that requirements.txt gives"


def test_every_module_that_is_imported_is_of_a_package_that_is_asked_for() -> None:
    named: dict[str, set[str]] = {}
    for path in (ROOT / "udp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                named.setdefault(name.split(".")[0], set()).add(path.name)
    others = {name: files for name, files in named.items() if name not in {"udp", *sys.stdlib_module_names}}
    # An optional extra need not be installed, and then nothing here knows what it calls its module.
    packages = {"cv2": ["opencv-python-headless"], **packages_distributions()}
    assert {"torch", "PIL", "gradio"} <= set(others)
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].values()
    optional = {canonicalize_name(Requirement(line).name) for lines in listed for line in lines}
    missing = {
        name: files
        for name, files in others.items()
        if not {canonicalize_name(package) for package in packages.get(name, [])} & (set(declared()) | optional)
    }
    assert not missing


def udp_dist() -> str:
    return f"unlearnable_diffusion-{udp.__version__}"


def test_protect_and_the_app_work_from_there(installed: Path, photo_files: list[Path], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(photo_files[0], photos)
    code = (  # and then what the command `udp` runs, which starts the app below: each process takes seconds to begin
        "import udp; from udp import protect; from udp.models.registry import available_models\n"
        f"assert udp.__file__.startswith({str(installed)!r}) and 'mini' in available_models()\n"
        "from udp.ui.state.context import EXAMPLES\n"
        f"assert str(EXAMPLES).startswith({str(installed)!r}) and len(list(EXAMPLES.glob('subject/*.png'))) == 6\n"
        "from udp.cli import main; raise SystemExit(main(['protect', 'photos', '--out', 'out', '--method', 'random']))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, env=environment, cwd=tmp_path, timeout=300, stderr=subprocess.PIPE)
    assert b"torchvision" not in done.stderr, "advice that nobody needs, when the libraries load a model of ours"
    assert (tmp_path / "out" / "view_0.png").is_file() and (tmp_path / "out" / "manifest.json").is_file()
    with app(installed, environment, tmp_path) as address:
        client = Client(address, verbose=False, download_files=tmp_path, httpx_kwargs={"timeout": 300})
        archive = client.predict([handle_file(photo_files[0])], method="random", api_name="/protect")
        with zipfile.ZipFile(archive) as bundle:
            assert sorted(bundle.namelist()) == ["manifest.json", "view_0.png"]


@contextmanager
def app(installed: Path, environment: dict[str, str], place: Path) -> Iterator[str]:
    """The address of the installed app, started by its command."""
    port = free_port()
    known = {**environment, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(place / "gradio")}
    started = subprocess.Popen([sys.executable, installed / "bin" / "udp", "app"], env=known, cwd=place)
    try:
        end = time.monotonic() + 300
        while started.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        else:
            pytest.fail(f"expected the app to answer, got exit code {started.poll()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(60)


def run_udp(*arguments: str) -> tuple[int, str, set[str]]:
    """Exit code, what is printed, and the packages loaded by `udp` with these arguments in a process of its own."""
    code = (
        "import sys; from udp.cli import main\n"
        f"try: main({[*arguments]!r})\n"
        "except SystemExit as end: print(end.code, *{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    environment = {**os.environ, "COLUMNS": "80"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, check=True, timeout=120, capture_output=True, text=True)
    exit_code, *packages = done.stderr.splitlines()[-1].split()
    return int(exit_code), done.stdout + done.stderr, set(packages)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_nothing_heavy(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    arguments = [*([command] if command else []), "--help"]
    exit_code, shown, packages = run_udp(*arguments)
    assert exit_code == 0 and not packages & {*HEAVY, *({"numpy"} if not command else ())}
    # What is said is what the loaded modules say.
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        build_parser(arguments).parse_args(arguments)
    assert shown.startswith(capsys.readouterr().out)


@pytest.mark.parametrize("command", ["protect", "attack", "evaluate"])
def test_a_mistyped_flag_is_answered_without_loading_anything_heavy(command: str) -> None:
    exit_code, shown, packages = run_udp(command, "photos", "--instance", "photos", "--out", "out", "--budjet", "8/255")
    assert exit_code == 2 and "error: unrecognized arguments" in shown and not packages & HEAVY


def test_help_names_every_command(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"    {name} " in shown for name in COMMANDS)


def test_the_test_command_sees_whether_there_is_a_browser(tmp_path: Path) -> None:
    """It once asked for a command of its own function's name, and found the function."""
    (line,) = [line for line in (ROOT / "scripts/test").read_text().splitlines() if line.startswith("has_chromium()")]

    def asked() -> int:
        return subprocess.run(
            [shutil.which("bash"), "-c", f"{line}\nhas_chromium"], env={"PATH": str(tmp_path)}
        ).returncode

    assert asked() == 1
    (tmp_path / "google-chrome").touch(mode=0o755)
    assert asked() == 0
