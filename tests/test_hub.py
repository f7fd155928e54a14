"""A protected set in its owner's account: private, whole, and only what was promised."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from udp.errors import InvalidInput, UploadFailed
from udp.models.base import DiffusionModel
from udp.photos import Photo
from udp.protection.folder import Protection
from udp.protection.methods import RandomNoise
from udp.reports.hub import save_as_dataset
from udp.ui.parts import hub_box
from udp.ui.parts.hub_box import HubBox, save
from udp.ui.state.results import SavedProtection, save_protection

TOKEN = "hf_secret"


class FakeHub:
    """Stands in for `HfApi`: repositories by name, each with its visibility and files."""

    def __init__(self, public: tuple[str, ...] = (), broken: str = "") -> None:
        self.private = {f"someone/{name}": False for name in public}
        self.files: dict[str, dict[str, bytes]] = {}
        self.broken = broken

    def whoami(self) -> dict[str, str]:
        if self.broken:
            raise OSError(self.broken)
        return {"name": "someone"}

    def create_repo(self, repo_id: str, repo_type: str, private: bool, exist_ok: bool) -> None:
        assert repo_type == "dataset" and exist_ok
        self.private.setdefault(repo_id, private)  # as the Hub does, what is there stays as it is

    def repo_info(self, repo_id: str, repo_type: str) -> Any:
        return SimpleNamespace(private=self.private[repo_id])

    def create_commit(self, repo_id: str, repo_type: str, operations: list[Any], commit_message: str) -> None:
        assert repo_type == "dataset" and commit_message
        files = self.files.setdefault(repo_id, {})
        for operation in operations:
            with operation.as_file() as file:
                files[operation.path_in_repo] = file.read()


@pytest.fixture
def saved(photos: list[Photo], tiny_model: DiffusionModel, tmp_path: Path) -> SavedProtection:
    made = Protection.make(photos[:2], RandomNoise(), tiny_model, "a photo of sks", 0)
    (tmp_path / "protection").mkdir()
    return save_protection(made, tmp_path / "protection")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    made = FakeHub()
    monkeypatch.setattr("udp.reports.hub.HfApi", lambda token: made if token == TOKEN else FakeHub(broken="401"))
    return made


def test_the_photos_lie_in_a_private_dataset_with_manifest_and_card(saved: SavedProtection, hub: FakeHub) -> None:
    assert save(saved, f" {TOKEN} ", "mine ") == "https://huggingface.co/datasets/someone/mine"
    assert hub.private == {"someone/mine": True}
    files = hub.files["someone/mine"]
    names = [photo.protected.name for photo in saved.photos]
    assert set(files) == {*names, "manifest.json", "metadata.jsonl", "README.md"}
    assert all(files[photo.protected.name] == photo.protected.read_bytes() for photo in saved.photos)
    assert all(photo.clean.read_bytes() not in files.values() for photo in saved.photos)
    rows = [json.loads(line) for line in files["metadata.jsonl"].decode().splitlines()]
    assert [row["file_name"] for row in rows] == names and all(row["psnr_db"] > 20 for row in rows)
    assert json.loads(files["manifest.json"])["method"] == "random"
    assert b"2 photos protected by random" in files["README.md"] and b"8/255" in files["README.md"]
    assert all(TOKEN.encode() not in content for content in files.values())


def test_nothing_is_sent_to_a_dataset_that_anybody_can_see(saved: SavedProtection) -> None:
    hub = FakeHub(public=("mine",))
    with pytest.raises(InvalidInput, match="expected someone/mine to be private, got a public dataset"):
        save_as_dataset([photo.protected for photo in saved.photos], {}, "mine", TOKEN, hub)
    assert not hub.files


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-a", "a b", "x" * 97, "a--b", "a.git", "ä"])
def test_a_name_that_the_hub_does_not_take_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(InvalidInput, match="expected a dataset's name"):
        save_as_dataset([], {}, name, TOKEN, FakeHub(broken="asked"))


def test_a_refusal_is_told_without_the_token() -> None:
    with pytest.raises(UploadFailed, match=r"expected the Hub to take the photos, got: no \.\.\. here") as caught:
        save_as_dataset([], {}, "mine", TOKEN, FakeHub(broken=f"no {TOKEN} here\nmore"))
    assert TOKEN not in str(caught.value) and caught.value.__cause__ is None
    with pytest.raises(InvalidInput, match="expected an access token"):
        save_as_dataset([], {}, "mine", " ", FakeHub())


def test_the_page_sends_only_when_asked_and_forgets_the_token(saved: SavedProtection, hub: FakeHub) -> None:
    found: list[SavedProtection | None] = [None]
    with gr.Blocks() as demo:
        box = HubBox()
        box.connect(lambda request: found[0])
    (handler,) = (fn for fn in demo.fns.values() if box.status in fn.outputs)
    assert [target[1] for target in handler.targets] == ["click"] and box.token.type == "password"
    token, said = handler.fn(SimpleNamespace(), TOKEN, "mine")
    assert token == "" and "protect photos first" in said and not hub.files
    found[0] = saved
    token, said = handler.fn(SimpleNamespace(), "another", "mine")
    assert token == "" and "got: 401" in said and not hub.files
    token, said = handler.fn(SimpleNamespace(), TOKEN, hub_box.NAME)
    assert token == "" and 'href="https://huggingface.co/datasets/someone/protected-photos"' in said
    assert TOKEN not in said and list(hub.files) == ["someone/protected-photos"]
