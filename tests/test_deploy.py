"""A Space in one command: what goes up, and with which front matter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from udp.cli import main
from udp.cli.deploy import MOST_BYTES, ROOT, THUMBNAIL, deploy, front_matter, plan
from udp.errors import InvalidInput


class Recorder:
    """Stands in for `HfApi` and notes the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda **options: self.calls.append((name, options))


def test_the_plan_has_what_the_app_needs_and_nothing_else() -> None:
    found = plan("someone/app")
    assert {"app.py", "requirements.txt", "udp/ui/page.py", "udp/mini/weights/model_index.json"} <= set(found.files)
    assert sum(name.startswith("examples/subject/") for name in found.files) >= 5
    kept = [path for path in (ROOT / "examples" / "kept").glob("*/*") if path.is_file()]
    assert {path.relative_to(ROOT).as_posix() for path in kept} <= set(found.files)
    assert not [n for n in found.files if n.startswith(("tests/", "benchmarks/", ".")) or "__pycache__" in n]
    assert found.size < 100e6


@pytest.mark.parametrize(("hardware", "name"), [("cpu", "cpu-basic"), ("zero", "zero-a10g"), ("t4", "t4-small")])
def test_deploying_creates_the_space_and_uploads(hardware: str, name: str) -> None:
    api, found = Recorder(), plan("someone/app", hardware, private=True)
    assert deploy(found, api, say=lambda text: None) == "https://huggingface.co/spaces/someone/app"
    (created, first), (uploaded, second), (readme, third) = api.calls
    assert (created, uploaded, readme) == ("create_repo", "upload_folder", "upload_file")
    assert first["repo_type"] == second["repo_type"] == "space" and first["space_sdk"] == "gradio" and first["private"]
    assert first.get("space_hardware") == (None if hardware == "cpu" else name)
    assert second["allow_patterns"] == list(found.files) and second["folder_path"] == ROOT
    assert f"suggested_hardware: {name}\n" in third["path_or_fileobj"].decode()


def test_a_link_to_the_space_shows_its_picture() -> None:
    found = plan("someone/app")
    assert THUMBNAIL in found.files
    shown = f"\nthumbnail: https://huggingface.co/spaces/someone/app/resolve/main/{THUMBNAIL}\n"
    assert found.readme.split("\n---\n")[0].count("thumbnail:") == 1 and shown in found.readme
    with Image.open(ROOT / THUMBNAIL) as picture:
        assert picture.size == (1200, 630) and picture.format == "PNG"
    assert (ROOT / THUMBNAIL).stat().st_size <= 400_000


def test_the_thumbnail_is_cut_from_any_picture_of_the_subjects(tmp_path: Path) -> None:
    side, colours, canvas = 40, ("red", "green", "blue"), Image.new("RGB", (500, 200), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((6, 5), "photo", "black")
    for row in range(3):
        top = 26 + row * (side + 6)
        for left, colour in ((6, "gray"), (60, "gray"), *((114 + 100 * n, c) for n, c in enumerate(colours))):
            for x in (left,) if colour == "gray" else (left, left + side + 2):
                pen.rectangle((x, top, x + side - 1, top + side - 1), fill=colour)
    canvas.save(tmp_path / "shown.png")
    command = [sys.executable, str(ROOT / "scripts" / "thumbnail.py"), "--out", str(tmp_path / "got.png")]
    made = subprocess.run([*command, "--picture", str(tmp_path / "shown.png")], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    got = np.asarray(Image.open(tmp_path / "got.png").convert("RGB"))
    columns = (130, 520, 900)  # one in each set
    assert [int(got[300, x].argmax()) for x in columns] == [0, 1, 2]
    refused = subprocess.run([*command, "--picture", str(tmp_path / "got.png")], capture_output=True, text=True)
    assert refused.returncode == 1 and "expected photo, protected photo and three sets" in refused.stderr


def test_a_hub_that_refuses_gives_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: object, **options: Any) -> None:
        raise OSError("401 Client Error: you are not logged in\nmore that nobody reads")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    assert main(["deploy", "someone/app"]) == 2
    said = capsys.readouterr().err
    assert "got: 401 Client Error: you are not logged in (log in with `hf auth login`" in said and "nobody" not in said


def test_a_dry_run_says_what_it_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "someone/app", "--dry-run", "--hardware", "zero"]) == 0
    printed = capsys.readouterr().out
    assert "Space someone/app (public) on zero-a10g" in printed and "app.py" in printed


def test_front_matter_is_set_once_and_the_text_stays() -> None:
    head = "title: A\nsdk: gradio\nsdk_version: 6.31.0\npython_version: '3.12'\napp_file: app.py\nlicense: apache-2.0"
    changed = front_matter(f"---\n{head}\nsuggested_hardware: t4-small\n---\n\n# A\n", "cpu-basic")
    assert changed == f"---\n{head}\nsuggested_hardware: cpu-basic\n---\n\n# A\n"
    with pytest.raises(InvalidInput, match="to start with front matter"):
        front_matter("# A\n", "cpu-basic")
    with pytest.raises(InvalidInput, match="to be YAML, got ParserError"):
        front_matter("---\ntitle: [\n---\n", "cpu-basic")
    with pytest.raises(InvalidInput, match="got no license"):
        front_matter("---\n" + head.replace("license", "lizenz") + "\n---\n", "cpu-basic")


def test_what_cannot_be_deployed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected a Space as USER/NAME"):
        plan("app")
    with pytest.raises(InvalidInput, match="expected hardware to be one of"):
        plan("a/b", "abacus")
    with pytest.raises(InvalidInput, match=r"expected app.py in"):
        plan("a/b", root=tmp_path)
    for name in ("app.py", "requirements.txt", "README.md"):
        (tmp_path / name).write_text("")
    (tmp_path / "udp").mkdir()
    with (tmp_path / "udp" / "large.bin").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InvalidInput, match=r"at most 10 MB, got large.bin"):
        plan("a/b", root=tmp_path)
