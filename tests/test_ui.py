"""The web interface without a browser: controls from settings, progress, sessions, archives."""

from __future__ import annotations

import dataclasses
import json
import time
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import FileData, ListFiles
from PIL import Image

from udp.errors import InvalidInput
from udp.evaluation.arm_names import ArmName
from udp.evaluation.arms import Arm, Report
from udp.evaluation.metrics.table import METRICS
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import Verdict, VerdictId
from udp.imitation.recipes import RECIPES, LoRA
from udp.language import ENGLISH, text
from udp.models.registry import MODELS
from udp.photos import Photo, read_photos
from udp.progress import Progress, span
from udp.protection.folder import Protection
from udp.protection.methods import EUDP, METHODS, RandomNoise
from udp.reports.pictures import grid
from udp.settings import for_model
from udp.ui.parts import layout
from udp.ui.parts import progress as show
from udp.ui.parts.errors import friendly
from udp.ui.parts.fields import Choice, control
from udp.ui.parts.layout import file_box
from udp.ui.parts.tables import attack_table, visibility_table
from udp.ui.say import spoken
from udp.ui.state.context import example_files, example_name, note_uploads, whole_seed
from udp.ui.state.jobs import Update
from udp.ui.state.owner import Owner, owner_from
from udp.ui.state.results import amplify, safe_names, save_attack, save_protection, take_photos
from udp.ui.state.sessions import UPLOADS, Session, Sessions
from udp.ui.state.source import uploaded_source
from udp.ui.state.values import build_settings, from_names, parse
from udp.ui.tabs.about import about

EVERYTHING = [*METHODS.values(), *RECIPES.values()]


@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.name)
def test_controls_start_at_the_defaults_and_read_back(kind: type) -> None:
    items = dataclasses.fields(kind)
    values = [control(item).value for item in items]
    rebuilt = build_settings(kind, items, values)
    for item in items:
        assert getattr(rebuilt, item.name) == pytest.approx(item.default), item.name
        assert type(getattr(rebuilt, item.name)) is type(item.default), item.name


def test_budget_is_shown_in_levels() -> None:
    budget = next(item for item in dataclasses.fields(EUDP) if item.name == "budget")
    slider = control(budget)
    assert (slider.minimum, slider.maximum, slider.value, slider.step) == (2, 32, 8, 1)
    assert parse(budget, 16) == pytest.approx(16 / 255)


def test_every_field_says_what_it_is() -> None:
    for kind in EVERYTHING:
        for item in dataclasses.fields(kind):
            assert control(item).info, f"{kind.name}.{item.name}"


@pytest.mark.parametrize(("what", "registry"), [("method", METHODS), ("recipe", RECIPES)])
def test_a_choice_reads_back_each_entry(what: str, registry: dict[str, type]) -> None:
    choice = Choice(what)
    with gr.Blocks():
        choice.choose("protect.method", "protect.method.help")
        choice.advanced()
    values = [component.value for component in choice.components]
    for name, kind in registry.items():
        assert type(choice.read([name, *values[1:]])) is kind
    with pytest.raises(InvalidInput, match="expected one of"):
        choice.read(["nonsense", *values[1:]])
    with pytest.raises(InvalidInput, match="to be a number, got nothing"):
        choice.read([values[0], None, *values[2:]])


def test_names_from_the_api_are_checked() -> None:
    assert from_names(METHODS, "eudp", {"rounds": 1, "budget": 4}) == EUDP(rounds=1, budget=4 / 255)
    assert from_names(RECIPES, "lora", {"steps": 10}) == LoRA(steps=10)
    with pytest.raises(InvalidInput, match="expected settings among"):
        from_names(METHODS, "eudp", {"epsilon": 1})
    with pytest.raises(InvalidInput, match="expected rounds between"):
        from_names(METHODS, "eudp", {"rounds": 0})
    with pytest.raises(InvalidInput, match="whole number"):
        from_names(METHODS, "eudp", {"rounds": 1.5})
    with pytest.raises(InvalidInput, match="expected rounds to be a whole number, got inf"):
        from_names(METHODS, "eudp", {"rounds": float("inf")})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "estimating the time left"),
        (1, "almost done"),
        (12.4, "about 12 s left"),
        (41, "about 40 s left"),
        (130, "about 2 min left"),
        (7200, "about 2.0 h left"),
    ],
)
def test_time_left(seconds: float | None, words: str) -> None:
    assert ENGLISH.say(show.time_left(seconds)) == words


def test_the_bar_is_accessible_and_escaped() -> None:
    text = show.bar(Update(Progress("<b>stage", 1, 4, None, "clean"), 10, 30))
    assert 'role="progressbar"' in text and 'aria-valuenow="25"' in text
    assert "about 30 s left" in text and "Clean: " in text
    assert "<b>stage" not in text


def test_losses_by_arm_become_one_frame() -> None:
    log = show.LossLog(show.ARM_SERIES, window=2)
    assert log.empty
    for step in range(1, 1001):
        log.add(Progress("fine-tuning", step, 1000, float(step), "clean"))
    log.add(Progress("generating", 1, 20, None, "clean"))
    log.add(Progress("perturbing the photos", 1, 20, 0.5))  # not an arm: belongs to another plot
    frame = log.frame()
    assert not log.empty and set(frame["series"]) == set(show.ARM_SERIES)
    clean = frame[frame["series"] == "clean"].dropna()
    assert 200 < len(clean) <= show.MOST_POINTS and clean["loss"].iloc[1] == pytest.approx(clean["step"].iloc[1] - 0.5)


def test_names_are_safe_and_unique() -> None:
    names = safe_names(["../../etc/passwd", "a b", "a_b", "A_B", "", "...", "é" * 200, 'x"<script>'])
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert name and "/" not in name and not name.startswith(".") and len(name) <= 90 and "<" not in name


def test_amplified_perturbation_fills_the_range() -> None:
    original = np.full((4, 4, 3), 100, np.uint8)
    assert amplify(original, original + 8, 127 / 8).max() == 255
    assert amplify(original, original - 8, 127 / 8).min() == 1
    assert (amplify(original, original, 127 / 8) == 128).all()


def protection(photos: list[Photo], folder: Path, budget: float = 8 / 255):
    method = RandomNoise(budget=budget)
    folder.mkdir(exist_ok=True)
    made = Protection(photos, method(photos, None), method, "/secret/place/mini", "a photo of sks", 3)
    return save_protection(made, folder)


def test_a_protection_is_saved_exactly(photos: list[Photo], tmp_path: Path) -> None:
    saved = protection(photos, tmp_path / "run")
    clean, protected = saved.load()
    for photo, old, new in zip(photos, clean, protected, strict=True):
        np.testing.assert_array_equal(photo.pixels, old.pixels)
        assert 0 < np.abs(new.pixels.astype(int) - old.pixels).max() <= 8
    with zipfile.ZipFile(saved.archive) as bundle:
        assert sorted(bundle.namelist()) == ["manifest.json", *(f"{photo.name}.png" for photo in photos)]
        manifest = json.loads(bundle.read("manifest.json"))
    assert manifest["method"] == "random" and manifest["seed"] == 3 and len(manifest["photos"]) == len(photos)
    assert "secret" not in json.dumps(manifest)
    table = visibility_table(saved.photos)
    assert table.count("<tr ") == 1 + len(photos)


def test_an_attack_is_saved_and_tabled(tmp_path: Path) -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    base = Arm("base", (image,), (), {"clean_loss": 1.0})
    figures = {"clean_loss": 0.5, "similarity": 0.25, "fid": 1140.2}
    arm = Arm("clean", (image,), (1.0, 0.5), figures, intervals={"similarity": (0.1, 0.4)})
    report = Report(base, (arm,), Verdict(VerdictId.NO_CONTROL, 1), recipe=LoRA(), trial=Trial(seed=7))
    used = for_model(EUDP(), small=True)
    pictures, archive = save_attack(report, "mini", used, tmp_path, (text("", "Odd photos."),))
    assert pictures["clean"][0].name == "seed-7.png"
    with zipfile.ZipFile(archive) as bundle:
        names = set(bundle.namelist())
        assert {"pictures/base/seed-7.png", "pictures/clean/seed-7.png", "losses.csv", "report.json"} <= names
        assert json.loads(bundle.read("report.json"))["warnings"] == ["Odd photos."]
        protection = json.loads(bundle.read("report.json"))["protection"]
        assert protection["method"] == "eudp"
        rate = protection["settings"]["surrogate_learning_rate"]
        assert rate == 1e-4  # the model's own, not the 0 that stands for it
        assert bundle.read("losses.csv").decode().splitlines()[0] == "step,clean"
    assert ">1140</td>" in attack_table(report)
    assert ">Before</span>" in attack_table(
        report
    ) and f">0.25<small>{spoken(text('interval.ends', low='0.1', high='0.4'))}</small>" in attack_table(report)


def test_a_grid_has_room_for_the_name_of_every_row() -> None:
    black = [np.zeros((16, 16, 3), np.uint8)]
    narrow = grid({"clean": black})
    for name in (arm.label for arm in ArmName):
        drawn = np.asarray(grid({name: black}))
        dark = (drawn < 128).any(axis=(0, 2))
        first = drawn.shape[1] - 8 - 192  # where the pictures begin
        assert not dark[first - 8 : first].any(), name
    assert narrow.size == (150 + 200 + 8, 208)


def test_every_figure_has_a_name_and_a_meaning_on_the_page() -> None:
    assert all(row.title and row.help.endswith(".") for row in METRICS.values())


def test_uploaded_sets_must_pair_up(photos: list[Photo], photo_files: list[Path], tmp_path: Path) -> None:
    saved = protection(photos, tmp_path / "run", 4 / 255)
    files = [photo.protected for photo in saved.photos]
    source = uploaded_source(photo_files, files[::-1], ("clean", "protected"))  # paired by name, not by order
    assert source.method.budget == pytest.approx(4 / 255) and not source.known
    with pytest.raises(InvalidInput, match="expected as many protected"):
        uploaded_source(photo_files, files[:1], ("clean", "protected"))
    for clean, changed in ((photo_files, []), ([], files)):
        with pytest.raises(InvalidInput, match=f"got {len(clean)} clean and {len(changed)} protected"):
            uploaded_source(clean, changed, ("clean", "protected"))
    small = tmp_path / "view_0.png"
    Image.new("RGB", (80, 80)).save(small)
    assert source.warnings == ()
    source = uploaded_source(photo_files, [small, *files[1:]], ("clean", "protected"))
    assert source.method.budget == pytest.approx(4 / 255)  # of those that can be compared
    assert ENGLISH.say(source.warnings[0]).startswith(
        "1 of 3 protected photos (view_0 80 x 80, clean 96 x 96) are not the size"
    )
    alone = uploaded_source(photo_files[:1], [small], ("clean", "protected"))
    assert alone.method.budget == EUDP().budget and len(alone.warnings) == 1


def test_sessions_are_apart_and_leave_nothing(tmp_path: Path, photo_files: list[Path]) -> None:
    sessions = Sessions(tmp_path, grace=0.05)
    first, second = sessions.get("a"), sessions.get("b")
    assert first is sessions.get("a") and first.folder != second.folder
    assert sessions.get(None) is not sessions.get(None)
    upload, shared = tmp_path / "upload.png", tmp_path / "shared.png"
    upload.touch(), shared.touch()
    note_uploads(first, [str(upload), str(shared)])
    note_uploads(second, [str(shared)])
    sessions.leave("a")
    time.sleep(0.3)
    assert not first.folder.exists() and not upload.exists() and shared.exists() and second.folder.exists()
    sessions.leave("b")
    assert sessions.get("b") is second  # came back in time
    time.sleep(0.3)
    assert second.folder.exists()


def test_an_upload_leaves_no_empty_file_behind(tmp_path: Path) -> None:
    box = file_box("Photos")
    box.GRADIO_CACHE = str(tmp_path)
    files = [FileData(path=f"/uploads/{name}.png") for name in "ab"]
    assert box.preprocess(ListFiles(root=files)) == ["/uploads/a.png", "/uploads/b.png"]
    assert box.preprocess(files[0]) == ["/uploads/a.png"] and box.preprocess(None) is None
    again = box.__class__(**box.constructor_args)  # as gradio makes it anew when a session changes it
    again.GRADIO_CACHE = str(tmp_path)
    assert again.preprocess(files[0]) == ["/uploads/a.png"] and again.get_block_name() == "file"
    assert not list(tmp_path.iterdir()) and not Path(layout.__file__).with_suffix(".pyi").exists()
    session, stored = Sessions(tmp_path, grace=0.0), tmp_path / "hash" / "a.png"
    stored.parent.mkdir()
    stored.touch()
    note_uploads(session.get("a"), [str(stored)])
    session.leave("a")
    time.sleep(0.3)
    assert not stored.parent.exists()


def test_a_killed_server_leaves_nothing_for_long(tmp_path: Path) -> None:
    orphan, other = tmp_path / "udp-999999999-x", tmp_path / "udp-photos-x"
    orphan.mkdir(), other.mkdir()
    uploads, strange = [tmp_path / "hash" / f"photo {name}.png" for name in "ab"], tmp_path.parent / "strange.png"
    uploads[0].parent.mkdir()
    for path in (*uploads, strange):
        path.touch()
    (orphan / "visitor").mkdir()
    note_uploads(Session(orphan / "visitor"), [str(uploads[0]), str(strange)])  # as the killed process did
    with (orphan / "visitor" / UPLOADS).open("a") as notes:
        notes.write('"/half a li')  # killed while it wrote
    running = Sessions(tmp_path)
    note_uploads(running.get("a"), [str(uploads[1])])
    sessions = Sessions(tmp_path)
    assert not orphan.exists() and other.exists() and running.root.exists() and sessions.root.exists()
    assert not uploads[0].exists() and uploads[1].exists() and strange.exists()


def test_earlier_results_stay_until_a_run_succeeds(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    session = sessions.get("a")
    first = session.new_folder("protection")
    session.keep("protection", first)
    failed = session.new_folder("protection")
    assert first.exists() and failed.exists()
    second = session.new_folder("protection")
    session.keep("protection", second)
    assert second.exists() and not first.exists()


def test_example_photos_are_copied_into_the_session(
    tmp_path: Path, photo_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "examples"
    (place / "subject").mkdir(parents=True)
    for path in photo_files:
        (place / "subject" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("udp.ui.state.context.EXAMPLES", place)
    sessions = Sessions(tmp_path)
    session = sessions.get("a")
    files = [Path(file) for file in example_files(session, "subject")]
    assert example_name(files) == "subject" and example_name([tmp_path / "mine.png"]) == ""
    assert all(session.folder in file.parents for file in files)
    with pytest.raises(InvalidInput, match="expected the example photos"):
        example_files(session, "style")


def test_a_part_of_the_work_knows_its_share() -> None:
    seen: list[float] = []
    listener = span(lambda progress: seen.append(progress.overall), 0.5, 1.0)
    listener(Progress("working", 1, 2))
    listener(Progress("working", 1, 2, fraction=1.0))
    assert seen == [0.75, 1.0]


def test_errors_are_sentences(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(gr.Error, match="expected at least one photo"), friendly():
        take_photos([])
    with pytest.raises(gr.Error, match="expected this to work") as caught, friendly():
        raise ZeroDivisionError("secret detail")
    assert "secret detail" not in str(caught.value) and "secret detail" in caplog.text


def test_seeds_are_whole() -> None:
    assert whole_seed(3.0) == 3
    for bad in (None, 1.5, -1, 2**31, float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="expected seed"):
            whole_seed(bad)


def test_photos_are_limited_in_number(photo_files: list[Path]) -> None:
    assert [photo.name for photo in take_photos(photo_files)] == [p.name for p in read_photos(photo_files)]
    with pytest.raises(InvalidInput, match="expected at most 16 photos"):
        take_photos(photo_files * 6)


def test_the_owner_decides_which_models_a_visitor_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    untrained = dataclasses.replace(MODELS["mini-pixel"], source=str(tmp_path / "pixel_weights"))
    monkeypatch.setitem(MODELS, "mini-pixel", untrained)
    home, space = owner_from({}), owner_from({"SPACE_ID": "someone/something"})
    assert home.offered == space.offered == ("mini",)  # what needs a GPU is hidden without one, and what has no weights
    assert owner_from({"UDP_MODELS": "mini-pixel, own/model"}).offered == ("mini", "own/model")
    (tmp_path / "pixel_weights").mkdir()
    (tmp_path / "pixel_weights" / "model_index.json").write_text("{}")
    assert home.offered == ("mini", "mini-pixel")
    assert home.check_model("some/model") == "some/model" and home.most_minutes is None
    assert space.check_model(None) == "mini" and space.most_minutes == 30
    with pytest.raises(InvalidInput, match="expected one of the models Embedded model"):
        space.check_model("some/model")
    listed = owner_from({"SPACE_ID": "x/y", "UDP_MODELS": "sd15, any", "UDP_MOST_MINUTES": "2"})
    assert listed.offered == ("mini", "sd15") and listed.check_model("some/model") and listed.most_minutes == 2
    with pytest.raises(InvalidInput, match="expected UDP_MOST_MINUTES to be a number"):
        owner_from({"UDP_MOST_MINUTES": "long"})
    with pytest.raises(InvalidInput, match="expected UDP_MOST_WAITING to be more than 0"):
        owner_from({"UDP_MOST_WAITING": "0"})
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert "sd15" in owner_from({}).offered


def test_the_page_says_how_long_its_owner_keeps_photos() -> None:
    assert "deleted 10 minutes after you close the page" in about(Owner().keep_minutes)
    assert "deleted 1 minute after" in about(Owner(keep_minutes=1).keep_minutes)


def test_every_variable_of_the_owner_is_documented() -> None:
    table = (Path(__file__).parents[1] / "docs" / "owners.md").read_text()
    for item in dataclasses.fields(Owner):
        if item.metadata:
            assert f"| `{item.metadata['variable']}` |" in table and item.metadata["help"]
