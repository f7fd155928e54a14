"""The command line: `python -m udp protect ...`, `attack ...`, `evaluate ...` and `deploy ...`.

Flags are made from the dataclass fields of methods and recipes (`udp.cli.flags`), so a new method has its flags at once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from udp.cli.deploy import HARDWARE, deploy, plan
from udp.cli.flags import add_setting_flags, from_flags, number_of, refuse_unused
from udp.errors import InvalidInput, UDPError
from udp.evaluation.cells import FolderStore
from udp.evaluation.lab import DEFAULT_CLEANINGS, Lab
from udp.evaluation.metrics.pretrained import CLIP, DINOV2, Pretrained, load_pretrained
from udp.evaluation.pairs import pair_warnings
from udp.evaluation.trial import Trial, run_trial
from udp.imitation.cleaning import CLEANINGS, parse_cleaning
from udp.imitation.prompts import PRESETS, Preset
from udp.imitation.recipes import RECIPES
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.models.registry import available_models
from udp.models.sampling import own_sampling
from udp.photos import Photo, list_photos, read_masks, read_photos
from udp.progress import Progress
from udp.protection.folder import CONTROLS, protect_once, protection_manifest, write_protection
from udp.protection.methods import METHODS, RandomNoise
from udp.reports.lab import lab_manifest, table, write_lab
from udp.reports.trial import attack_manifest, write_attack
from udp.settings import for_model

RECIPE_PREFIX = "recipe-"


def check_places(out: Path, source: Path | None) -> None:
    """Raise `InvalidInput` if results cannot be written to `out`, or would be mixed with the photos of `source`."""
    nearest = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise InvalidInput(f"expected --out to be a folder, new or old, got the file {str(nearest)!r}")
    folder = source.parent if source is not None and source.is_file() else source
    if folder is not None and folder.exists() and out.exists() and out.samefile(folder):
        raise InvalidInput(f"expected --out to be another folder than that of the photos, got {str(out)!r} for both")


class Ticker:
    """Progress on one line of stderr, with the time left."""

    def __init__(self) -> None:
        self.start, self.last = time.monotonic(), 0.0

    def __call__(self, progress: Progress) -> None:
        """An `OnProgress`."""
        now = time.monotonic()
        if now - self.last < 0.2 and progress.overall < 1:
            return
        self.last, spent = now, now - self.start
        left = f"{spent * (1 - progress.overall) / progress.overall:.0f} s left" if progress.overall > 0.02 else ""
        loss = f"loss {progress.loss:.4f}" if progress.loss is not None else ""
        arm = f"[{progress.arm}] " if progress.arm else ""
        line = f"{progress.overall:4.0%} {arm}{progress.stage} {progress.done}/{progress.total} {loss} {left}"
        print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)


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


def trial_from(options: argparse.Namespace, model: DiffusionModel, instance: str, prompt: str, **more: Any) -> Trial:
    """The trial of `attack` and `evaluate`; sampling that was not asked for suits the imitator's `model`."""
    return Trial.for_model(
        model, instance_prompt=instance, prompt=prompt, seed=options.seed, pictures=options.pictures,
        sampling_steps=options.sampling_steps, guidance=options.guidance, **more,
    )  # fmt: skip


def pretrained_from(options: argparse.Namespace) -> Pretrained | None:
    """The models of `--pretrained-metrics`; None, and nothing is loaded or downloaded, if it was not given."""
    if not options.pretrained_metrics:
        if options.clip_model or options.dinov2_model:
            raise InvalidInput(
                "expected --clip-model and --dinov2-model with --pretrained-metrics, got them without it"
            )
        return None
    return load_pretrained(options.clip_model or CLIP, options.dinov2_model or DINOV2)


def run_protect(options: argparse.Namespace) -> None:
    """`python -m udp protect`."""
    check_places(options.out, options.photos)
    photos = read_photos(list_photos(options.photos))
    method = from_flags(METHODS[options.method], options)
    model = load_model(options.model)
    method = for_model(method, model.small)
    ticker = Ticker()
    masks = read_masks(options.mask, photos) if options.mask else None
    protected = method(photos, model, options.prompt, options.seed, ticker, masks)
    control = RandomNoise.beside(method)
    random = control(photos, model, options.prompt, options.seed, masks=masks)
    manifest = protection_manifest(photos, protected, method, options.model, options.prompt, options.seed)
    write_protection(options.out, photos, protected, random, manifest)
    print(f"\n{len(photos)} photos in {time.monotonic() - ticker.start:.0f} s, largest difference "
          f"{max(row['largest_difference_levels'] for row in manifest['photos'])}/255 -> {options.out}")  # fmt: skip


def run_attack(options: argparse.Namespace) -> None:
    """`python -m udp attack`."""
    check_places(options.out, options.instance)
    controls = options.instance / CONTROLS
    places = {
        "clean": options.clean or controls / "clean",
        "random": options.random or controls / "random",
        "protected": options.instance,
    }
    arms = {name: place for name, place in places.items() if name == "protected" or place.is_dir()}
    if set(arms) == {"protected"}:
        arms = {"clean": options.instance}  # a plain folder of photos: there is nothing to compare it with
        print("no controls in this folder: fine-tuning on its photos alone", file=sys.stderr)
    photos = {name: read_photos(list_photos(place)) for name, place in arms.items()}
    warnings = warn_of_pairs(photos)
    recipe = from_flags(RECIPES[options.recipe], options)
    model = load_model(options.model)
    recipe = for_model(recipe, model.small)
    trial = trial_from(options, model, options.instance_prompt, options.prompt)
    trial.check()
    pretrained, ticker = pretrained_from(options), Ticker()
    report = run_trial(photos, model, recipe, trial, ticker, pretrained)
    write_attack(options.out, report, attack_manifest(report, recipe, trial, options.model, warnings))
    print(f"\n{len(arms)} arm{'s' * (len(arms) != 1)} in {time.monotonic() - ticker.start:.0f} s -> {options.out}")
    for arm in (report.base, *report.arms):
        print(f"{arm.name:>10}  " + "  ".join(f"{key} {value:g}" for key, value in arm.metrics.items()))
    for name, extractor in report.extractors.items():
        print(f"{name}: {extractor}")
    print(report.verdict)


def warn_of_pairs(photos: Mapping[str, Sequence[Photo]]) -> list[str]:
    """What speaks against the arms' belonging together, said on stderr too. Raises `InvalidInput` if they cannot."""
    names = {"random": "random-noise", "protected": "protected"}
    found = [
        text
        for arm, kind in names.items()
        if "clean" in photos and arm in photos
        for text in pair_warnings(photos["clean"], photos[arm], kind)
    ]
    for text in found:
        print(f"warning: {text}", file=sys.stderr)
    return found


def run_evaluate(options: argparse.Namespace) -> None:
    """`python -m udp evaluate`."""
    check_places(options.out, None)
    photos = read_photos(list_photos(options.photos))
    names = _names(options.recipes, RECIPES, "recipes")
    cleanings = [parse_cleaning(name).name for name in options.cleaning.split(",")]
    recipes = [from_flags(RECIPES[name], options, RECIPE_PREFIX) for name in names]
    method = from_flags(METHODS[options.method], options)
    model, ticker = load_model(options.model), Ticker()
    attacker = load_model(options.attack_model) if options.attack_model else model
    recipes, method = [for_model(recipe, attacker.small) for recipe in recipes], for_model(method, model.small)
    trial = trial_from(
        options, attacker, options.prompt, options.prompt, seeds=options.seeds, unprotected_share=options.unprotected
    )
    trial.check()
    pretrained = pretrained_from(options)
    arms = protect_once(options.out / "protected", photos, method, model, options.prompt, options.seed, ticker)
    lab = Lab(arms, attacker, recipes, cleanings, trial, pretrained)
    ticker = Ticker()
    report = lab.run(FolderStore(options.out / "cells"), ticker)
    title = f"{method.title} on {options.photos.name}, {method.budget * 255:g}/255"
    manifest = lab_manifest(report, lab, method, options.model, title)
    write_lab(options.out, report, manifest, arms)
    print(f"\nattacked in {time.monotonic() - ticker.start:.0f} s -> {options.out}", file=sys.stderr)
    print("\n".join([table(report), "", *manifest["warnings"], report.rows[0].report.verdict]))


def _names(text: str, registry: Mapping[str, object], kind: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in registry:
            raise InvalidInput(f"expected {kind} out of {', '.join(registry)}, separated by commas, got {name!r}")
    return names


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate`."""
    parser.add_argument("photos", type=Path, help="a folder of clean photos")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for report.html, report.json, the protected set and cells; run again to resume")  # fmt: skip
    parser.add_argument("--method", choices=tuple(METHODS), default="eudp", help="how to protect (default eudp)")
    parser.add_argument("--prompt",
                        help="of protection, fine-tune and pictures (default: the preset's instance prompt)")  # fmt: skip
    parser.add_argument("--recipes", default="lora",
                        help=f"out of {', '.join(RECIPES)}, separated by commas (default lora)")  # fmt: skip
    parser.add_argument("--cleaning", default=",".join(DEFAULT_CLEANINGS),
                        help=f"out of {', '.join(CLEANINGS)}, separated by commas; jpeg75+half is a chain (default "
                             f"{','.join(DEFAULT_CLEANINGS)})")  # fmt: skip
    parser.add_argument(
        "--seeds", type=number_of(Trial, "seeds"), default=1, help="runs of the whole trial (default 1)"
    )
    parser.add_argument("--unprotected", type=number_of(Trial, "unprotected_share"), default=0.0,
                        help="part of the photos found clean, 0 to 1 (default 0)")  # fmt: skip
    parser.add_argument("--pictures", type=number_of(Trial, "pictures"), default=Trial().pictures,
                        help=f"pictures an arm and run (default {Trial().pictures})")  # fmt: skip
    parser.add_argument("--attack-model", help="attack another model than the one protected with (transfer)")
    add_setting_flags(parser, METHODS)
    add_setting_flags(parser, RECIPES, RECIPE_PREFIX)
    parser.set_defaults(run=run_evaluate)


def run_deploy(options: argparse.Namespace) -> None:
    """`python -m udp deploy`."""
    found = plan(options.repository, options.hardware, options.private)
    print(found.describe())
    if options.dry_run:
        print("\n".join(found.files))
    else:
        print(deploy(found))


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m udp", description="Protect photos; then attack the protection.")
    commands = parser.add_subparsers(dest="command", required=True)
    models = f"{', '.join(available_models())}, a local diffusers folder or a Hub id"
    protect = commands.add_parser("protect", help="add an imperceptible perturbation to photos")
    protect.add_argument("photos", type=Path, help="a folder of photos, or one photo")
    protect.add_argument("--out", type=Path, required=True, help="folder for the protected PNGs and manifest.json")
    protect.add_argument("--method", choices=tuple(METHODS), default="eudp", help="how to protect (default eudp)")
    protect.add_argument("--prompt", help="what the photos are assumed to show (default: the preset's instance prompt)")
    protect.add_argument(
        "--mask", type=Path, help="a folder of masks named like the photos: bright regions are protected"
    )
    add_setting_flags(protect, METHODS)
    protect.set_defaults(run=run_protect)
    trial = commands.add_parser("attack", help="fine-tune on protected, clean and random-noise photos and compare")
    trial.add_argument("--instance", type=Path, required=True, help="a folder that `protect` wrote, or plain photos")
    trial.add_argument("--clean", type=Path, help="the clean photos, if not in INSTANCE/controls/clean")
    trial.add_argument("--random", type=Path, help="the random-noise photos, if not in INSTANCE/controls/random")
    trial.add_argument("--out", type=Path, required=True, help="folder for pictures, grid, losses and manifest.json")
    trial.add_argument("--recipe", choices=tuple(RECIPES), default="lora", help="how to fine-tune (default lora)")
    trial.add_argument("--instance-prompt", help="prompt of the fine-tune (default: the preset's)")
    trial.add_argument("--prompt",
                       help="prompt of the generated pictures (default: --instance-prompt, or else the preset's)")  # fmt: skip
    trial.add_argument("--pictures", type=number_of(Trial, "pictures"), default=Trial().pictures,
                       help=f"pictures an arm (default {Trial().pictures})")  # fmt: skip
    add_setting_flags(trial, RECIPES)
    trial.set_defaults(run=run_attack)
    evaluate = commands.add_parser("evaluate", help="protect, then try recipes x cleanings and write a report")
    add_evaluate(evaluate)
    space = commands.add_parser("deploy", help="put the app on Hugging Face Spaces, see docs/owners.md")
    space.add_argument("repository", help="USER/NAME of the Space")
    space.add_argument("--hardware", choices=tuple(HARDWARE), default="cpu",
                       help="what the Space runs on (default cpu, which is free)")  # fmt: skip
    space.add_argument("--private", action="store_true", help="visible to you alone")
    space.add_argument("--dry-run", action="store_true", help="only say what would go up")
    space.set_defaults(run=run_deploy)
    prompts = "; ".join(f"{p.name} '{p.instance_prompt}'" for p in PRESETS.values())
    (few, weak), (many, strong) = own_sampling(small=True), own_sampling(small=False)
    own = "(default {:g} for a small model such as the embedded one, {:g} for Stable Diffusion's size)".format
    for command in (trial, evaluate):
        command.add_argument("--sampling-steps", type=number_of(Trial, "sampling_steps"),
                             help=f"steps of a picture {own(few, many)}")  # fmt: skip
        command.add_argument("--guidance", type=number_of(Trial, "guidance"),
                             help=f"classifier-free guidance; 1 or less is none {own(weak, strong)}")  # fmt: skip
        command.add_argument("--pretrained-metrics", action="store_true",
                             help="also measure with CLIP and DINOv2, downloading 0.7 GB from the Hub unless they are here")  # fmt: skip
        for flag, known in (("--clip-model", CLIP), ("--dinov2-model", DINOV2)):
            command.add_argument(flag, help=f"for --pretrained-metrics, a Hub id or folder (default {known})")
    for command in (protect, trial, evaluate):
        command.add_argument("--preset", choices=tuple(PRESETS), default="object",
                             help=f"prompts (default object): {prompts}")  # fmt: skip
        command.add_argument("--model", default="mini", help=f"{models} (default mini)")
        command.add_argument("--seed", type=number_of(Trial, "seed"), default=0,
                             help="the same seed and settings give the same result (default 0)")  # fmt: skip
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; bad input ends with a message and exit code 2."""
    parser = build_parser()
    try:
        options = parser.parse_args(arguments)
        if "method" in options:
            refuse_unused(options, METHODS, [options.method])
        if "recipe" in options:
            refuse_unused(options, RECIPES, [options.recipe])
        if "recipes" in options:
            refuse_unused(options, RECIPES, _names(options.recipes, RECIPES, "recipes"), RECIPE_PREFIX)
        if "preset" in options:
            apply_preset(PRESETS[options.preset], options)
        options.run(options)
    except UDPError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return 0
