"""Two sets that should belong together: what is refused, and what is only warned of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import picture
from udp.cli import main
from udp.errors import InvalidInput
from udp.evaluation.pairs import differences, pair_warnings
from udp.photos import Photo
from udp.protection.methods import RandomNoise


def test_a_protected_set_is_taken_without_a_word(photos: list[Photo]) -> None:
    for budget in (2, 32):
        assert pair_warnings(photos, RandomNoise(budget=budget / 255)(photos, None)) == ()


def test_what_does_not_belong_together_is_said(photos: list[Photo]) -> None:
    protected = RandomNoise(budget=4 / 255)(photos, None)
    other = replace(protected[0], pixels=255 - photos[0].pixels)
    small = replace(protected[1], pixels=protected[1].pixels[:80, :70])
    levels = int(np.abs(255 - 2 * photos[0].pixels.astype(int)).max())
    assert differences(photos, [other, small, photos[2]]) == [levels, None, 0]
    far, size, same = (pair_warnings(photos, found) for found in (
        [other, *protected[1:]], [protected[0], small, protected[2]], [*protected[:2], photos[2]]))  # fmt: skip
    assert far[0].startswith(f"1 of 3 protected photos (view_0 {levels}/255) are further than 32/255 from")
    assert size[0].startswith("1 of 3 protected photos (view_1 70 x 80, clean 96 x 96) are not the size of")
    assert same == ("1 of 3 protected photos (view_2) are the same as their clean photos, pixel by pixel: nothing "
                    "protects them.",)  # fmt: skip
    assert [len(found) for found in (far, size, same)] == [1, 1, 1]
    assert len(pair_warnings(photos, [other, small, photos[2]])) == 3
    many = pair_warnings(list(photos) * 2, list(photos) * 2, "random-noise")
    assert many[0].startswith("6 of 6 random-noise photos (view_0; view_1; view_2; ...) are the same")
    with pytest.raises(InvalidInput, match="expected as many protected as clean photos, got 2 and 3"):
        pair_warnings(photos, protected[:2])


def test_the_command_line_warns_and_its_manifest_remembers(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    Image.fromarray(picture(7, 80, 80)).save(given / "a.png")
    for name, source in zip("bc", photo_files, strict=False):
        (given / f"{name}.png").write_bytes(source.read_bytes())
    trial = ["attack", "--instance", str(given), "--clean", str(photo_files[0].parent), "--out", str(tmp_path / "out")]
    trial += ["--model", str(tiny_model_folder), "--steps", "10", "--pictures", "1", "--sampling-steps", "2"]
    assert main(trial) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    kept = json.loads((tmp_path / "out" / "manifest.json").read_text())["warnings"]
    assert [line.removeprefix("warning: ") for line in said] == kept and len(kept) == 2
    (given / "c.png").unlink()
    assert main(trial) == 2
    assert "expected as many protected as clean photos, got 2 and 3" in capsys.readouterr().err
