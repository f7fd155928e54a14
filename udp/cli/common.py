"""What several commands share: flags, progress on a terminal, and checks of where results go."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from udp.cli.flags import number_of
from udp.errors import InvalidInput
from udp.evaluation.trial import Trial
from udp.files import probe
from udp.imitation.prompts import PRESETS, Preset
from udp.imitation.recipes import LoRA
from udp.imitation.recipes.trainers import TRAINERS
from udp.language import ENGLISH
from udp.models.encoders import PUBLISHED, STUDENT
from udp.models.registry import available_models
from udp.photo_files import PhotoFiles, survey
from udp.photos import PhotoSet, gather
from udp.progress import Progress, TimeLeft
from udp.protection.output import check_apart
from udp.settings import describe_settings

RECIPE_PREFIX = "recipe-"


def check_places(out: Path, *sources: Path, folders: Sequence[Path] = (), files: Sequence[Path] = ()) -> None:
    """Raise `InvalidInput` if results cannot be written to `out`, or would be mixed with the photos of `sources`.

    `folders` and `files` are those of `udp.files.probe`.
    """
    probe(out, folders, files)
    check_apart(out, [out], sources)


def say(text: str) -> None:
    """A line of warning on stderr."""
    print(f"warning: {text}", file=sys.stderr)


def read_places(places: Sequence[Path]) -> PhotoSet:
    """What can be read in folders and files; what cannot is named on stderr, and the rest goes on."""
    found = gather(places)
    for reason in found.skipped:
        say(f"left out: {ENGLISH.say(reason)}")
    return found


def survey_places(places: Sequence[Path]) -> PhotoFiles:
    """The same, of files that are only looked at."""
    found = survey(places)
    for reason in found.skipped:
        say(f"left out: {ENGLISH.say(reason)}")
    return found


@contextlib.contextmanager
def unwritable(out: Path) -> Iterator[None]:
    """Around the writing of results: what the system refuses, a full disk above all, as `InvalidInput`."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f"expected room and permission to write in --out {str(out)!r}, got: {error.strerror or error}. What is finished "
            "there is whole and stays: make room, and run the same command again"
        ) from error


def called(places: Sequence[Path]) -> str:
    """What to call a set of photos: its folder, or the one file."""
    one = places[0] if len(places) == 1 else places[0].parent
    return one.resolve().name


class Ticker:
    """A bar on stderr with what is done, how fast, and the time left; where stderr is a file or a pipe, nothing."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.time_left = TimeLeft()
        self.shown = sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._pace = Pace()

    def __call__(self, progress: Progress) -> None:
        """An `OnProgress`."""
        if not self.shown:
            return
        now = time.monotonic()
        self.time_left.note(progress, now)
        bar = self._bar = self._bar or tqdm(total=1.0, bar_format="{percentage:3.0f}% {bar} {desc}", dynamic_ncols=True)
        words = [*self._pace.words(progress, now)]
        if (seconds := self.time_left.seconds(progress.overall, now)) is not None:
            words.append(f"{tqdm.format_interval(seconds)} left")
        if progress.loss is not None and progress.at_once == 1:
            words.append(f"loss {progress.loss:.4f}")
        bar.set_description_str(", ".join(words), refresh=False)
        bar.update(progress.overall - bar.n)
        if progress.overall >= 1:
            bar.refresh()


class Pace:
    """How fast photos are protected, or steps made where there are none to count."""

    def __init__(self) -> None:
        self._work: object = None
        self._began = (0.0, 0.0)

    def words(self, progress: Progress, now: float) -> Iterator[str]:
        """What is done, and its rate since this work began: what an earlier run had done is not counted."""
        count = progress.count
        arm = f"[{progress.arm}] " if progress.arm else ""
        done, unit = (count.photos, "photos") if count else (progress.done, "steps")
        work = unit if count else (progress.stage, progress.arm)
        if progress.at_once > 1:  # each report is of another arm
            yield f"[{progress.at_once} arms at once] {progress.stage}"
            return
        if work != self._work:
            self._work, self._began = work, (now, done)
        if count:
            yield f"{int(done)}/{count.of_photos} photos"
            yield f"{count.sets}/{count.of_sets} sets"
        else:
            yield f"{arm}{progress.stage} {progress.done}/{progress.total}"
        since, first = self._began
        if now > since and done > first:
            rate = (done - first) / (now - since)
            yield f"{rate:.1f} {unit}/s" if rate >= 1 else f"{rate * 60:.1f} {unit}/min"


def apply_preset(preset: Preset, options: argparse.Namespace) -> None:
    """Fill in the preset's prompts and words where a flag was left out; a recipe takes those that it has a field for."""
    values = dict.fromkeys(("initial_word", f"{RECIPE_PREFIX}initial_word"), preset.initial_word)
    # Only `attack` tells the two prompts apart; its pictures follow an instance prompt that was typed.
    apart = "instance_prompt" in options
    values["prompt"] = (options.instance_prompt or preset.prompt) if apart else preset.instance_prompt
    values["instance_prompt"] = preset.instance_prompt
    for name, value in values.items():
        if getattr(options, name, value) is None:
            setattr(options, name, value)


def add_trainer_flag(parser: argparse.ArgumentParser) -> None:
    """LoRA with the defaults of a public trainer."""
    parser.add_argument(
        "--trainer",
        choices=tuple(TRAINERS),
        help="LoRA with the published defaults of a public trainer where no flag is given",
    )


def apply_trainer(options: argparse.Namespace, recipes: Sequence[str], prefix: str = "") -> None:
    """Fill in the trainer's values where a flag was left out. Raises `InvalidInput` if no recipe is LoRA."""
    if not options.trainer:
        return
    if set(recipes) != {LoRA.name}:
        raise InvalidInput(f"expected --trainer with {LoRA.name} alone, got it with {', '.join(recipes)}")
    for name, value in describe_settings(TRAINERS[options.trainer]).items():
        if getattr(options, prefix + name) is None:
            setattr(options, prefix + name, value)


def names_of(text: str, registry: Mapping[str, object], kind: str) -> list[str]:
    """The names in `text`, separated by commas. Raises `InvalidInput` for one that `registry` lacks."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in registry:
            raise InvalidInput(f"expected {kind} out of {', '.join(registry)}, separated by commas, got {name!r}")
    return names


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Prompts, model and seed."""
    prompts = "; ".join(f"{p.name} '{p.instance_prompt}'" for p in PRESETS.values())
    parser.add_argument(
        "--preset", choices=tuple(PRESETS), default="object", help=f"prompts (default object): {prompts}"
    )
    parser.add_argument(
        "--model",
        default="mini",
        help=f"{', '.join(available_models())}, a local diffusers folder or a Hub id (default mini); for attacks on encoders also "
        f"an autoencoder alone: {STUDENT}, {', '.join(PUBLISHED)} or a folder",
    )
    parser.add_argument(
        "--captions",
        help="off, or a folder of captions called like the photos (default: those beside the photos, in .txt files, "
        "metadata.jsonl or names of folders such as '10_sks person')",
    )
    parser.add_argument(
        "--seed",
        type=number_of(Trial, "seed"),
        default=0,
        help="the same seed and settings give the same result (default 0)",
    )
