"""`udp deploy`: the app as a Hugging Face Space.

Uploads what the Space needs and nothing else, with the README's front matter set for the hardware.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi, RepoCard

from udp.errors import DeploymentFailed, InvalidInput

ROOT = Path(__file__).parents[2]
PATTERNS = ("app.py", "requirements.txt", "LICENSE", "udp/**/*", "examples/*/*.png", "examples/kept/*/*", "docs/*")
LEFT_OUT = ("__pycache__", ".pyc")
README = "README.md"
THUMBNAIL = "docs/thumbnail.png"  # what a link to the Space shows; made by scripts/thumbnail.py
# Our name, the Hub's name for it, and what has to be in the front matter whatever the hardware.
HARDWARE = {"cpu": "cpu-basic", "zero": "zero-a10g", "t4": "t4-small", "l4": "l4x1"}
REQUIRED = ("title", "sdk", "sdk_version", "python_version", "app_file", "license")
MOST_BYTES = 10_000_000  # larger files would need another way to the Hub
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("repository", help="USER/NAME of the Space")
    parser.add_argument(
        "--hardware", choices=tuple(HARDWARE), default="cpu", help="what the Space runs on (default cpu, which is free)"
    )
    parser.add_argument("--private", action="store_true", help="visible to you alone")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go up")


def run(options: argparse.Namespace) -> None:
    """Say what would go up, and unless that is all, put it there."""
    found = plan(options.repository, options.hardware, options.private)
    print(found.describe())
    if options.dry_run:
        print("\n".join(found.files))
    else:
        print(deploy(found))


@dataclass(frozen=True)
class Plan:
    """What a deployment would do."""

    repository: str
    hardware: str
    files: tuple[str, ...]
    size: int
    readme: str
    private: bool

    def describe(self) -> str:
        """For people, before or instead of doing it."""
        return (
            f"Space {self.repository} ({'private' if self.private else 'public'}) on {HARDWARE[self.hardware]}: "
            f"{len(self.files)} files and {README}, {self.size / 1e6:.1f} MB"
        )


def plan(repository: str, hardware: str = "cpu", private: bool = False, root: Path = ROOT) -> Plan:
    """Look at `root` and decide what goes up. Raises `InvalidInput` if something is missing or too large."""
    if not NAME.fullmatch(repository):
        raise InvalidInput(f"expected a Space as USER/NAME, got {repository!r}")
    if hardware not in HARDWARE:
        raise InvalidInput(f"expected hardware to be one of {', '.join(HARDWARE)}, got {hardware!r}")
    found = sorted({path for pattern in PATTERNS for path in root.glob(pattern) if path.is_file()})
    files = [path for path in found if not any(part in str(path.relative_to(root)) for part in LEFT_OUT)]
    for name in ("app.py", "requirements.txt", README):
        if not (root / name).is_file():
            raise InvalidInput(f"expected {name} in {root.name!r}, got none: run this from a clone of the project")
    large = [path.name for path in files if path.stat().st_size > MOST_BYTES]
    if large:
        raise InvalidInput(f"expected files of at most {MOST_BYTES // 1_000_000} MB, got {', '.join(large)}")
    names = tuple(str(path.relative_to(root)) for path in files)
    thumbnail = f"https://huggingface.co/spaces/{repository}/resolve/main/{THUMBNAIL}" if THUMBNAIL in names else ""
    readme = front_matter((root / README).read_text(encoding="utf-8"), HARDWARE[hardware], thumbnail)
    size = sum(path.stat().st_size for path in files) + len(readme.encode())
    return Plan(repository, hardware, names, size, readme, private)


def front_matter(readme: str, hardware: str, thumbnail: str = "") -> str:
    """The README with `suggested_hardware` set, and the `thumbnail`'s address if there is one.

    Raises `InvalidInput` if its front matter makes no Space.
    """
    try:
        card = RepoCard(readme) if readme.startswith("---\n") else None
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(f"expected README.md's front matter to be YAML, got {type(error).__name__}") from error
    if card is None or not card.data.to_dict():
        raise InvalidInput("expected README.md to start with front matter between --- lines, got none")
    missing = [key for key in REQUIRED if key not in card.data]
    if missing:
        raise InvalidInput(f"expected {', '.join(REQUIRED)} in README.md's front matter, got no {', '.join(missing)}")
    for key, value in {"suggested_hardware": hardware, "thumbnail": thumbnail or card.data.get("thumbnail")}.items():
        card.data[key] = value  # None is not written
    return str(card)


def deploy(found: Plan, api: Any = None, root: Path = ROOT, say: Callable[[str], None] = print) -> str:
    """Create the Space if it is not there and upload the plan's files. Returns its address.

    `api` is a `huggingface_hub.HfApi`, by default one with the logged-in user's token (`hf auth login`). Raises
    `DeploymentFailed` with the Hub's reason.
    """
    api = api or HfApi()
    try:
        _upload(found, api, root, say)
    except Exception as error:  # no login, no network, a refusal: the classes change with the client's transport
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DeploymentFailed(
            f"expected the Hub to take {found.repository}, got: {reason} (log in with `hf auth login` as its owner, and "
            "run this again)"
        ) from error
    return f"https://huggingface.co/spaces/{found.repository}"


def _upload(found: Plan, api: Any, root: Path, say: Callable[[str], None]) -> None:
    options = {"repo_id": found.repository, "repo_type": "space"}
    # ZeroGPU cannot be asked for on creation by everybody; without it the Space starts on CPU Basic and can be switched.
    asked = {} if found.hardware == "cpu" else {"space_hardware": HARDWARE[found.hardware]}
    api.create_repo(**options, space_sdk="gradio", private=found.private, exist_ok=True, **asked)
    say(f"uploading {len(found.files)} files, {found.size / 1e6:.1f} MB")
    api.upload_folder(**options, folder_path=root, allow_patterns=list(found.files), commit_message="Deploy the app")
    api.upload_file(
        **options,
        path_or_fileobj=found.readme.encode(),
        path_in_repo=README,
        commit_message=f"README for {HARDWARE[found.hardware]}",
    )
