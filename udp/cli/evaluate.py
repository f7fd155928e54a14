"""`udp evaluate`: protect, then the attack lab."""

from __future__ import annotations

import argparse
import sys
import time

from udp.cli.common import (
    RECIPE_PREFIX,
    Ticker,
    add_common_flags,
    add_trainer_flag,
    apply_preset,
    apply_trainer,
    called,
    check_places,
    names_of,
    read_places,
    unwritable,
)
from udp.cli.flags import add_setting_flags, from_flags, number_of, refuse_unused
from udp.cli.trial import add_trial_flags, faces_from, pretrained_from, trial_from
from udp.evaluation.cells import FolderStore
from udp.evaluation.lab import DEFAULT_CLEANINGS, Lab
from udp.evaluation.metrics.figures_faces import FaceReference
from udp.evaluation.trial import Trial
from udp.files import typed_path
from udp.imitation.cleaning import CLEANINGS, parse_cleaning
from udp.imitation.prompts import PRESETS
from udp.imitation.recipes import RECIPES
from udp.models.loading import load_model
from udp.photo_files import with_captions
from udp.protection.folder import protect_once
from udp.protection.methods import METHODS
from udp.protection.output import check_ready
from udp.reports.lab import lab_manifest, table, write_lab


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command, those of every method and recipe among them."""
    parser.add_argument("photos", type=typed_path, nargs="+", help="a folder of clean photos, or photos")
    parser.add_argument(
        "--out",
        type=typed_path,
        required=True,
        help="folder for report.html, report.json, the protected set and cells; run again to resume",
    )
    parser.add_argument("--method", choices=tuple(METHODS), default="eudp", help="how to protect (default eudp)")
    parser.add_argument(
        "--prompt", help="of protection, fine-tune and pictures (default: the preset's instance prompt)"
    )
    parser.add_argument(
        "--recipes", default="lora", help=f"out of {', '.join(RECIPES)}, separated by commas (default lora)"
    )
    parser.add_argument(
        "--cleaning",
        default=",".join(DEFAULT_CLEANINGS),
        help=f"out of {', '.join(CLEANINGS)}, separated by commas; jpeg75+half is a chain (default "
        f"{','.join(DEFAULT_CLEANINGS)})",
    )
    parser.add_argument(
        "--seeds", type=number_of(Trial, "seeds"), default=1, help="runs of the whole trial (default 1)"
    )
    parser.add_argument(
        "--unprotected",
        type=number_of(Trial, "unprotected_share"),
        default=0.0,
        help="part of the photos found clean, 0 to 1 (default 0)",
    )
    parser.add_argument("--attack-model", help="attack another model than the one protected with (transfer)")
    add_setting_flags(parser, METHODS)
    add_setting_flags(parser, RECIPES, RECIPE_PREFIX)
    add_trainer_flag(parser)
    add_trial_flags(parser)
    add_common_flags(parser)


def run(options: argparse.Namespace) -> None:
    """`python -m udp evaluate`."""
    names = names_of(options.recipes, RECIPES, "recipes")
    refuse_unused(options, METHODS, [options.method])
    refuse_unused(options, RECIPES, names, RECIPE_PREFIX)
    apply_trainer(options, names, RECIPE_PREFIX)
    apply_preset(PRESETS[options.preset], options)
    reports = [options.out / name for name in ("report.html", "report.json")]
    check_places(options.out, folders=[options.out / "cells"], files=reports)
    check_ready(options.out / "protected", options.photos)
    photos = with_captions(read_places(options.photos).photos, options.captions)
    cleanings = [parse_cleaning(name).name for name in options.cleaning.split(",")]
    recipes = [from_flags(RECIPES[name], options, RECIPE_PREFIX) for name in names]
    method = from_flags(METHODS[options.method], options)
    trial = trial_from(
        options, options.prompt, options.prompt, seeds=options.seeds, unprotected_share=options.unprotected
    )
    model, ticker = load_model(options.model), Ticker()
    attacker = load_model(options.attack_model) if options.attack_model else model
    method = model.suited(method)
    for recipe in recipes:
        recipe.check_prompts(attacker, options.prompt, options.prompt)
    pretrained, faces = pretrained_from(options), faces_from(options)
    if faces:  # before the protection
        FaceReference.of(faces, attacker, photos)
    with unwritable(options.out):
        arms = protect_once(options.out / "protected", photos, method, model, options.prompt, options.seed, ticker)
        lab = Lab(arms, attacker, recipes, cleanings, trial, pretrained, faces)
        ticker = Ticker()
        report = lab.run(FolderStore(options.out / "cells"), ticker)
        title = f"{method.title} on {called(options.photos)}, {method.budget * 255:g}/255"
        manifest = lab_manifest(report, lab, method, options.model, title)
        write_lab(options.out, report, manifest, arms)
    print(f"\nattacked in {time.monotonic() - ticker.start:.0f} s -> {options.out}", file=sys.stderr)
    print("\n".join([table(report), "", *manifest["warnings"], report.rows[0].report.verdict]))
