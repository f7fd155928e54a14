"""Which models are on offer, and which settings each of them gets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from udp.cli import build_parser
from udp.models import MODELS, available_models


def test_a_model_without_weights_is_offered_once_they_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = dataclasses.replace(MODELS["mini-pixel"], name="fresh", source=str(tmp_path / "weights"))
    monkeypatch.setitem(MODELS, "fresh", row)
    (tmp_path / "weights").mkdir()  # an empty folder is no model
    assert "fresh" not in available_models() and {"mini", "sd15", "sdxl"} <= set(available_models())
    (tmp_path / "weights" / "model_index.json").write_text("{}")
    assert available_models()[-1] == "fresh"
    with pytest.raises(SystemExit):
        build_parser().parse_args(["protect", "--help"])
    assert "fresh, a local" in " ".join(capsys.readouterr().out.split())
