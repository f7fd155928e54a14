"""Two sets that should belong together: what is refused, and what is only warned of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import picture
from udp import attack
from udp.cli import main
from udp.digests import photos_digest
from udp.errors import InvalidInput
from udp.evaluation.arm_names import ArmName
from udp.evaluation.pairs import differences, pair_up, pair_warnings, recorded_originals
from udp.language import ENGLISH
from udp.models.base import DiffusionModel
from udp.photos import Photo, read_photos, write_png
from udp.protection.methods import RandomNoise
from udp.ui.state.source import uploaded_source


def test_a_protected_set_is_taken_without_a_word(photos: list[Photo]) -> None:
    for budget in (2, 32):
        assert pair_warnings(photos, RandomNoise(budget=budget / 255)(photos, None)) == ()


def test_what_does_not_belong_together_is_said(photos: list[Photo]) -> None:
    protected = RandomNoise(budget=4 / 255)(photos, None)
    other = replace(protected[0], pixels=255 - photos[0].pixels)
    small = replace(protected[1], pixels=protected[1].pixels[:80, :70])
    levels = int(np.abs(255 - 2 * photos[0].pixels.astype(int)).max())
    assert differences(photos, [other, small, photos[2]]) == [levels, None, 0]
    far, size, same = (
        [*map(ENGLISH.say, pair_warnings(photos, found))]
        for found in ([other, *protected[1:]], [protected[0], small, protected[2]], [*protected[:2], photos[2]])
    )
    assert far[0].startswith(f"1 of 3 protected photos (view_0 {levels}/255) are further than 32/255 from")
    assert size[0].startswith("1 of 3 protected photos (view_1 70 x 80, clean 96 x 96) are not the size of")
    assert same == [
        "1 of 3 protected photos (view_2) are the same as their clean photos, pixel by pixel: nothing protects them."
    ]
    assert [len(found) for found in (far, size, same)] == [1, 1, 1]
    assert len(pair_warnings(photos, [other, small, photos[2]])) == 3
    many = pair_warnings(list(photos) * 2, list(photos) * 2, ArmName.RANDOM)
    assert ENGLISH.say(many[0]).startswith("6 of 6 random-noise photos (view_0; view_1; view_2; ...) are the same")
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


def uploads(folder: Path, photos: list[Photo], names: list[str]) -> list[Path]:
    folder.mkdir()
    return [write_png(folder / name, photo) for name, photo in zip(names, photos, strict=True)]


# The changed photos, in the order of the clean ones, come back under these names: sorted, they lie in another order.
RENAMED = [
    ["view_2.png", "view_0.png", "view_1.png"],
    ["IMG_1.png", "IMG_1 (1).png", "IMG_1 (2).png"],
    ["c.png", "b.png", "a.png"],
]


@pytest.mark.parametrize("names", RENAMED)
@pytest.mark.parametrize("budget", [2, 32])
def test_photos_pair_up_by_what_they_show(photos: list[Photo], names: list[str], budget: int, tmp_path: Path) -> None:
    protected = RandomNoise(budget=budget / 255)(photos, None)
    files = uploads(tmp_path / "given", protected, names)
    found = pair_up(photos, read_photos(sorted(files)))
    assert [same(a, b) for a, b in zip(found, protected, strict=True)] == [True] * 3
    originals = uploads(tmp_path / "clean", photos, ["image.png", "image (1).png", "image (2).png"])
    for order in (originals, originals[::-1]):
        source = uploaded_source(order, files[1:] + files[:1], ("clean", "protected"))
        assert source.warnings == () and source.method.budget == pytest.approx(budget / 255)


def same(a: Photo, b: Photo) -> bool:
    return np.array_equal(a.pixels, b.pixels)


def test_photos_that_were_resized_or_saved_as_jpeg_still_find_theirs(photos: list[Photo], tmp_path: Path) -> None:
    protected = RandomNoise(budget=16 / 255)(photos, None)
    paths = []
    for index, photo in enumerate(protected):
        paths.append(tmp_path / f"{9 - index}.jpg")
        Image.fromarray(photo.pixels).resize((60 + index, 60)).save(paths[-1], quality=60)
    found = pair_up(photos, read_photos(sorted(paths)))
    assert [photo.size[0] for photo in found] == [60, 61, 62]


def test_where_pixels_say_nothing_the_manifest_then_the_names_then_the_order_count(tmp_path: Path) -> None:
    one = picture(0)
    clean = [Photo(name, one.copy()) for name in ("a", "b", "c")]
    clean[1].pixels[0, 0] ^= 1
    clean[2].pixels[0, 0] ^= 2
    protected = [
        replace(photo, name=name) for photo, name in zip(RandomNoise()(clean, None), ("z", "y", "x"), strict=True)
    ]
    rows = [
        {"file": f"{b.name}.png", "original": {"sha256": photos_digest([a])}}
        for a, b in zip(clean, protected, strict=True)
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"photos": rows}))
    recorded = recorded_originals(tmp_path)
    assert pair_up(clean, protected[::-1], recorded=recorded) == protected
    equal = [Photo(name, one) for name in ("a", "b", "c")]
    assert [p.name for p in pair_up(equal, equal[::-1])] == ["a", "b", "c"]
    assert [p.name for p in pair_up(equal, [replace(p, name=n) for p, n in zip(equal, "zyx", strict=True)])] == [
        "z",
        "y",
        "x",
    ]
    for text in ("{", "{}", '{"photos": [{}]}', "[]"):
        (tmp_path / "manifest.json").write_text(text)
        assert recorded_originals(tmp_path) == {}
    assert pair_up([], []) == []


def test_the_command_line_pairs_what_comes_back_under_other_names(
    photos: list[Photo], tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads(tmp_path / "clean", photos, ["IMG_1.png", "IMG_1 (1).png", "IMG_2.png"])
    arguments = ["protect", str(tmp_path / "clean"), "--method", "random", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--model", str(tiny_model_folder)]) == 0
    for old, new in (("IMG_1", "b"), ("IMG_2", "a")):
        (tmp_path / "out" / f"{old}.png").rename(tmp_path / "out" / f"{new}.png")
    seen: dict[str, list[Photo]] = {}

    def stop(arms: dict[str, list[Photo]], *_: object, **__: object) -> None:
        seen.update(arms)
        raise InvalidInput("seen")

    monkeypatch.setattr("udp.cli.attack.run_trial", stop)
    for more in ([], ["--clean", str(tmp_path / "clean")]):
        main(
            [
                "attack",
                "--instance",
                str(tmp_path / "out"),
                "--out",
                str(tmp_path / "attack"),
                "--model",
                str(tiny_model_folder),
                *more,
            ]
        )
        for arm in ("random", "protected"):
            assert max(differences(seen["clean"], seen[arm])) <= 8, arm


def test_python_warns_where_the_command_line_does(
    photos: list[Photo], tiny_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Photo]] = {}
    monkeypatch.setattr("udp.api.run_trial", lambda arms, *_, **__: seen.update(arms))
    other, small = replace(photos[0], pixels=255 - photos[0].pixels), replace(photos[1], pixels=photos[1].pixels[:80])
    with pytest.warns(UserWarning, match="further than 32/255"):
        attack(photos, [other, *RandomNoise()(photos[1:], None)], tiny_model)
    assert max(differences(seen["clean"], seen["random"])) == 32
    with pytest.warns(UserWarning, match="not the size of"):
        attack(photos, [photos[0], small, photos[2]], tiny_model)
    with pytest.warns(UserWarning, match="not the size of"):
        attack(photos[1:2], [small], tiny_model)
    assert max(differences(seen["clean"], seen["random"])) == 8
    protected = RandomNoise(budget=4 / 255)(photos, None)
    attack(photos, protected[::-1], tiny_model)
    assert all(same(a, b) for a, b in zip(seen["protected"], protected, strict=True))
