"""The command line: files, manifest, determinism, clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udp.cli import build_parser, main

QUICK = ["--rounds", "1", "--surrogate-steps", "1", "--pgd-steps", "2"]


def protect(photos: Path, out: Path, model: Path, *more: str) -> int:
    return main(["protect", str(photos), "--out", str(out), "--model", str(model), *QUICK, *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_protect_then_attack_twice_gives_the_same_bytes(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path
) -> None:
    source = photo_files[0].parent
    for run in ("a", "b"):
        assert protect(source, tmp_path / run, tiny_model_folder, "--budget", "6/255", "--seed", "1") == 0
        trial = ["attack", "--instance", str(tmp_path / run), "--out", str(tmp_path / f"{run}-attack")]
        trial += ["--model", str(tiny_model_folder), "--steps", "10", "--pictures", "2", "--recipe", "lora"]
        assert main(trial) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a-attack") == contents(tmp_path / "b-attack")

    assert (tmp_path / "a-attack" / "learned" / "protected" / "pytorch_lora_weights.safetensors").is_file()
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["method"] == "eudp" and manifest["seed"] == 1
    assert manifest["settings"]["budget"] == pytest.approx(6 / 255)
    assert manifest["settings"]["timestep_weights"] == "sqrt_alpha_bar"
    for row, path in zip(manifest["photos"], photo_files, strict=True):
        before, after = (
            np.asarray(Image.open(p).convert("RGB")).astype(int) for p in (path, tmp_path / "a" / row["file"])
        )
        assert 0 < np.abs(before - after).max() == row["largest_difference_levels"] <= 6

    report = json.loads((tmp_path / "a-attack" / "manifest.json").read_text())
    assert list(report["figures"]) == ["base", "clean", "random", "protected"]
    assert report["settings"]["steps"] == 10 and report["verdict"]["word"] and report["verdict"]["rule"]
    assert Image.open(tmp_path / "a-attack" / "grid.png").size[1] > 4 * 100
    assert (tmp_path / "a-attack" / "losses.csv").read_text().splitlines()[0] == "step,clean,random,protected"
    assert str(tmp_path) not in (tmp_path / "a" / "manifest.json").read_text()


def test_plain_folder_is_fine_tuned_alone(photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path) -> None:
    trial = ["attack", "--instance", str(photo_files[0].parent), "--out", str(tmp_path), "--model"]
    assert main([*trial, str(tiny_model_folder), "--steps", "10", "--pictures", "1", "--recipe", "dreambooth"]) == 0
    assert set(json.loads((tmp_path / "manifest.json").read_text())["figures"]) == {"base", "clean"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["protect", "missing", "--out", "out"], "which does not exist"),
        (["protect", "PHOTOS", "--out", "out", "--budget", "99/255"], "between 2/255 and 32/255"),
        (["protect", "PHOTOS", "--out", "out", "--model", "no/such-model"], "expected a network or"),
        (["attack", "--instance", "missing", "--out", "out"], "which does not exist"),
        (
            ["protect", "PHOTOS", "--out", "PHOTOS"],
            "expected the output folder (--out) to be another folder than that of the photos",
        ),
        (
            ["protect", "PHOTOS/view_0.png", "--out", "PHOTOS"],
            "expected the output folder (--out) to be another folder",
        ),
        (
            ["attack", "--instance", "PHOTOS", "--out", "PHOTOS"],
            "expected the output folder (--out) to be another folder",
        ),
        (
            ["protect", "PHOTOS", "--out", "PHOTOS/view_0.png/here"],
            "expected the output folder (--out) to be a folder, new or old",
        ),
        (
            ["evaluate", "PHOTOS", "--out", "PHOTOS/view_0.png"],
            "expected the output folder (--out) to be a folder, new or old",
        ),
        (
            ["protect", "PHOTOS", "--out", "out", "--method", "random", "--rounds", "3"],
            "expected --rounds with eudp or",
        ),
        (
            ["attack", "--instance", "PHOTOS", "--out", "out", "--word", "x"],
            "expected --word with textual_inversion, got",
        ),
        (
            ["evaluate", "PHOTOS", "--out", "out", "--recipe-rank", "4", "--recipes", "dreambooth"],
            "expected --recipe-rank with lora, got it with dreambooth",
        ),
    ],
)
def test_bad_input_ends_with_a_message(
    arguments: list[str],
    words: str,
    photo_files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tiny_model_folder: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
    arguments = [a.replace("PHOTOS", str(photo_files[0].parent)) for a in arguments]
    if "--model" not in arguments:
        arguments += ["--model", str(tiny_model_folder)]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert words in message and "expected" in message and "Traceback" not in message


@pytest.mark.parametrize(
    ("command", "flag", "value", "words"),
    [
        ("protect", "--budget", "eight", "expected a fraction such as 8/255 or a number in [0, 1], got 'eight'"),
        ("protect", "--budget", "8", "expected a value in [0, 1], written like 8/255, got '8'"),
        ("protect", "--seed", "-1", "expected seed between 0 and 2147483647, got -1"),
        ("protect", "--seed", "9" * 20, "expected seed between 0 and 2147483647, got 1e+20"),
        ("protect", "--seed", "1.5", "expected seed to be a whole number, got '1.5'"),
        ("evaluate", "--guidance", "-5", "expected guidance between 0 and 30, got -5"),
        ("evaluate", "--guidance", "nan", "expected guidance between 0 and 30, got nan"),
        ("evaluate", "--guidance", "strong", "expected guidance to be a number, got 'strong'"),
        ("evaluate", "--sampling-steps", "0", "expected sampling_steps between 1 and 1000, got 0"),
        ("evaluate", "--pictures", "-2", "expected pictures between 1 and 1000, got -2"),
        ("evaluate", "--pictures", "2.5", "expected pictures to be a whole number, got '2.5'"),
        ("evaluate", "--seeds", "0", "expected seeds between 1 and 100, got 0"),
        ("evaluate", "--unprotected", "7", "expected unprotected_share between 0 and 1, got 7"),
    ],
)
def test_a_flag_that_cannot_be_used_says_what_was_expected_as_it_is_typed(
    command: str, flag: str, value: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        build_parser([command]).parse_args([command, "x", "--out", "y", f"{flag}={value}"])
    assert f"argument {flag}: {words}" in capsys.readouterr().err


def test_settings_are_checked_before_a_model_is_loaded(
    photo_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("loaded")

    for command in ("protect", "attack", "evaluate"):
        monkeypatch.setattr(f"udp.cli.{command}.load_model", never)
    photos, out = str(photo_files[0].parent), str(tmp_path / "out")
    for command in (
        ["protect", photos, "--out", out, "--rounds", "-3"],
        ["attack", "--instance", photos, "--out", out, "--steps", "0"],
        ["evaluate", photos, "--out", out, "--recipe-steps", "0"],
    ):
        assert main(command) == 2
        assert "error: expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["protect", "x", "--out", "y", "--metod", "eudp"],
         "udp protect: error: unrecognized arguments: --metod eudp; did you mean --method by --metod?"),
        (["attack", "--instance", "x", "--out", "y", "--sed=3"],
         "udp attack: error: unrecognized arguments: --sed=3; did you mean --seed by --sed?"),
        (["attack", "--instnce", "x", "--out", "y"],
         "udp attack: error: the following arguments are required: --instance; did you mean --instance by --instnce?"),
        (["protect", "x", "--out", "y", "--", "--oot"], "udp protect: error: unrecognized arguments: -- --oot\nsee"),
        (["app", "--quiet", "now"], "udp app: error: unrecognized arguments: --quiet now\nsee udp app --help"),
        (["app", "--port", "0"], "udp app: error: argument --port: expected a port from 1 to 65535, got '0'"),
        (["app", "--port", "65536"], "udp app: error: argument --port: expected a port from 1 to 65535, got '65536'"),
        (["protect", "x", "--out", "y", "--method", "glaze"], "udp protect: error: argument --method: invalid choice: 'glaze'"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_by_the_command_they_were_made_in(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and shown.startswith(said) and "usage" not in shown


def test_a_mistake_before_the_command_is_not_the_commands(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["--foo", "protect", "x", "--out", "y"])
    assert "udp: error: unrecognized arguments: --foo\n" in capsys.readouterr().err


def test_a_misspelt_model_is_no_matter_for_the_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, photo_files: list[Path], tmp_path: Path
) -> None:
    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("asked the Hub")

    monkeypatch.setattr("udp.models.loading.DiffusionPipeline.load_config", never)
    assert main(["protect", str(photo_files[0]), "--out", str(tmp_path / "out"), "--model", "sd-15"]) == 2
    shown = capsys.readouterr().err
    assert "expected one of mini, " in shown and "got 'sd-15'; did you mean sd15" in shown
    assert "an autoencoder alone (student, taesd, " in shown


def test_no_comparison_is_announced_for_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["attack", "--instance", str(tmp_path / "missing"), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert "which does not exist" in shown and "no controls" not in shown


def test_the_app_listens_where_it_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    asked: list[int | None] = []

    class Demo:
        def launch(self, server_name: str | None, server_port: int | None, **options: object) -> None:
            asked.append(server_port)
            if server_port == 7:
                raise OSError("Cannot find empty port in range: 7-7.")

    monkeypatch.setattr("udp.ui.page.build", lambda owner: Demo())
    assert (main(["app"]), main(["app", "--port", "7899"]), main(["app", "--port", "7"])) == (0, 0, 2)
    assert asked == [None, 7899, 7] and "listen on, got this machine, port 7: Cannot" in capsys.readouterr().err


def test_the_terminal_shows_what_an_arm_learned_and_where_the_rest_is(
    photo_files: list[Path], tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert protect(photo_files[0].parent, tmp_path / "a", tiny_model_folder) == 0
    trial = [
        "attack",
        "--instance",
        str(tmp_path / "a"),
        "--out",
        str(tmp_path / "b"),
        "--model",
        str(tiny_model_folder),
    ]
    assert main([*trial, "--steps", "20", "--pictures", "2", "--recipe", "dreambooth", "--learning-rate", "0.003"]) == 0
    shown = capsys.readouterr().out
    assert "    clean  learned 100%  structure 0." in shown and "protected  learned" in shown
    assert str(tmp_path / "b" / "manifest.json") in shown and "kid" not in shown


def test_help_gives_the_default_of_the_method_at_hand(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        build_parser(["protect"]).parse_args(["protect", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "raise the denoising loss, or lower it (default ascend for advdm, descend for sds)" in text
    assert "PGD steps in a round (default 5 for eudp eudp-target, 10 for udp, 100 for advdm" in text
    assert "how to protect (default eudp)" in text
    assert "for small / Stable Diffusion's size: decoded / clean for eudp, pattern" in text
    assert "must move too (default off, 512 with mini for eudp eudp-target; off for udp advdm" in text
