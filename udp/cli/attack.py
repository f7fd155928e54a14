"""`udp attack`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

from udp.cli.common import (
    Ticker,
    add_common_flags,
    add_trainer_flag,
    apply_preset,
    apply_trainer,
    check_places,
    read_places,
    say,
    unwritable,
)
from udp.cli.flags import add_setting_flags, from_flags, refuse_unused
from udp.cli.trial import add_trial_flags, faces_from, pretrained_from, trial_from
from udp.evaluation.arm_names import ArmName
from udp.evaluation.arms import Report
from udp.evaluation.bench import run_trial
from udp.evaluation.pairs import pair_up, pair_warnings, recorded_originals
from udp.files import MANIFEST, typed_path
from udp.imitation.prompts import PRESETS
from udp.imitation.recipes import RECIPES
from udp.language import ENGLISH, Text
from udp.models.loading import load_model
from udp.photo_files import with_captions
from udp.photos import Photo
from udp.protection.output import CONTROLS, check_finished
from udp.reports.trial import attack_manifest, check_attack_free, write_attack

CHANGED = (ArmName.RANDOM, ArmName.PROTECTED)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command, those of every recipe among them."""
    parser.add_argument(
        "--instance", type=typed_path, required=True, help="a folder that `protect` wrote, or plain photos"
    )
    parser.add_argument("--clean", type=typed_path, help="the clean photos, if not in INSTANCE/controls/clean")
    parser.add_argument("--random", type=typed_path, help="the random-noise photos, if not in INSTANCE/controls/random")
    parser.add_argument(
        "--out", type=typed_path, required=True, help="folder for pictures, grid, losses and manifest.json"
    )
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="lora", help="how to fine-tune (default lora)")
    parser.add_argument("--instance-prompt", help="prompt of the fine-tune (default: the preset's)")
    parser.add_argument(
        "--prompt", help="prompt of the generated pictures (default: --instance-prompt, or else the preset's)"
    )
    add_setting_flags(parser, RECIPES)
    add_trainer_flag(parser)
    add_trial_flags(parser)
    add_common_flags(parser)


def run(options: argparse.Namespace) -> None:
    """`python -m udp attack`."""
    refuse_unused(options, RECIPES, [options.recipe])
    apply_trainer(options, [options.recipe])
    apply_preset(PRESETS[options.preset], options)
    check_finished(options.instance)
    controls = options.instance / CONTROLS
    places = {
        "clean": options.clean or controls / "clean",
        "random": options.random or controls / "random",
        "protected": options.instance,
    }
    # What was named must be there; the controls of a folder of somebody else's need not be.
    named = {"protected", *(name for name in ("clean", "random") if getattr(options, name))}
    arms = {name: place for name, place in places.items() if name in named or place.is_dir()}
    alone = set(arms) == {"protected"}
    if alone:
        arms = {"clean": options.instance}  # a plain folder of photos: there is nothing to compare it with
    learned = [options.out / "learned", *(options.out / "learned" / arm for arm in ArmName)]
    files = [options.out / name for name in (MANIFEST, "grid.png", "losses.csv")]
    check_places(options.out, options.instance, *arms.values(), folders=learned, files=files)
    check_attack_free(options.out)
    photos = {name: read_places([place]).photos for name, place in arms.items()}
    if alone:
        print("no controls in this folder: fine-tuning on its photos alone", file=sys.stderr)
    if options.captions:
        photos = {name: with_captions(found, options.captions) for name, found in photos.items()}
    recorded = recorded_originals(options.instance)
    if "clean" in photos:
        photos |= {str(arm): pair_up(photos["clean"], photos[arm], arm, recorded) for arm in CHANGED if arm in photos}
    warnings = warn_of_pairs(photos)
    recipe = from_flags(RECIPES[options.recipe], options)
    trial = trial_from(options, options.instance_prompt, options.prompt)
    model = load_model(options.model)
    pretrained, faces, ticker = pretrained_from(options), faces_from(options), Ticker()
    report = run_trial(photos, model, recipe, trial, ticker, pretrained, faces=faces)
    with unwritable(options.out):
        write_attack(options.out, report, attack_manifest(report, options.model, warnings))
    print(f"\n{len(arms)} arm{'s' * (len(arms) != 1)} in {time.monotonic() - ticker.start:.0f} s -> {options.out}")
    for line in summary(report):
        print(line)
    for name, extractor in report.extractors.items():
        print(f"{name}: {ENGLISH.say(extractor)}")
    print(f"{report.verdict}\nevery figure: {options.out / MANIFEST}, the pictures: {options.out / 'grid.png'}")


def summary(report: Report) -> list[str]:
    """A line an arm: what it learned, how near its pictures come to a photo, and the figures that were asked for."""
    taught, names = report.judgement.learned, ("structure_similarity", *report.extractors)
    lines = []
    for arm in (report.base, *report.arms):
        found = [f"learned {taught[arm.name].text()}"] if arm.name in taught else []
        found += [f"{name.replace('_similarity', '')} {arm.metrics[name]:.2f}" for name in names if name in arm.metrics]
        lines.append(f"{arm.name:>10}  {'  '.join(found)}")
    return lines


def warn_of_pairs(photos: Mapping[str, Sequence[Photo]]) -> list[Text]:
    """What speaks against the arms' belonging together, said on stderr too. Raises `InvalidInput` if they cannot."""
    found = [
        warning
        for arm in CHANGED
        if ArmName.CLEAN in photos and arm in photos
        for warning in pair_warnings(photos[ArmName.CLEAN], photos[arm], arm)
    ]
    for warning in found:
        say(ENGLISH.say(warning))
    return found
