"""Protecting and attacking in one call each, for a notebook: names instead of objects, folders instead of photos."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from udp.catalogue.layout import Layout
from udp.catalogue.many import Catalogue, Summary, protect_many
from udp.catalogue.shares import own_process, share_of
from udp.errors import InvalidInput
from udp.evaluation.arms import Report
from udp.evaluation.bench import run_trial
from udp.evaluation.metrics.faces import Faces, load_faces
from udp.evaluation.metrics.pretrained import Pretrained, load_pretrained
from udp.evaluation.pairs import MOST_LEVELS, differences, pair_up, pair_warnings, recorded_originals
from udp.evaluation.trial import Trial
from udp.files import typed_path
from udp.imitation.recipes import RECIPES
from udp.language import ENGLISH
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photo_files import find_masks, survey
from udp.photos import Photo, gather, read_photos, with_own_names
from udp.progress import OnProgress, ignore_progress
from udp.protection.base import ProtectionMethod
from udp.protection.division import by_sets
from udp.protection.methods import METHODS, RandomNoise
from udp.protection.output import check_finished, check_ready
from udp.protection.sets import protect_files
from udp.settings import given

# The smallest budget that the control accepts, in levels of 255.
LEAST_LEVELS = 2
# A folder, a file, or a sequence of files and photos that were read already.
Photos = str | Path | Sequence[str | Path | Photo]


def as_photos(photos: Photos) -> list[Photo]:
    """Read what is a path; no two of the photos share a name.

    A folder counts with all of its photos; a warning names what in it cannot be read. Files that are named one by one must
    all be readable. Raises `UnreadablePhoto` or `InvalidInput`.
    """
    if isinstance(photos, (str, Path)):
        check_finished(typed_path(photos))
        found = gather(photos)
        for reason in found.skipped:
            warnings.warn(f"left out: {ENGLISH.say(reason)}", stacklevel=3)
        return found.photos
    photos = one_by_one(photos, (str, Path, Photo))
    paths = [photo for photo in photos if not isinstance(photo, Photo)]
    read = iter(read_photos(paths) if paths else [])
    return with_own_names(photo if isinstance(photo, Photo) else next(read) for photo in photos)


def one_by_one(photos: Any, kinds: tuple[type, ...]) -> list[Any]:
    """One or several photos of these kinds as a list. Raises `InvalidInput` for anything else."""
    single = isinstance(photos, (*kinds, bytes)) or not isinstance(photos, Iterable)
    found = [photos] if single else list(photos)
    if odd := [photo for photo in found if not isinstance(photo, kinds)]:
        raise InvalidInput(
            f"expected a folder, files or photos that `udp.read_photos` read, got {type(odd[0]).__name__}: save pictures that are "
            "in memory as PNG first"
        )
    return found


def as_model(model: str | Path | DiffusionModel) -> DiffusionModel:
    """A model, or the one that `load_model` finds by its name or folder. Raises `ModelUnavailable` or `InvalidInput`."""
    if isinstance(model, (str, Path)):
        return load_model(str(model))
    if not isinstance(model, DiffusionModel):
        raise InvalidInput(
            f"expected the name or the folder of a model, or what `udp.load_model` gives, got {type(model).__name__}"
        )
    return model


def protect(
    photos: Photos,
    model: str | Path | DiffusionModel = "mini",
    method: str = "eudp",
    prompt: str = "a photo of sks",
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
    **settings: Any,
) -> list[Photo]:
    """Protected copies of `photos`: same names and sizes, no pixel changed by more than the budget.

    `settings` are the fields of the method, such as `budget=8 / 255` (in [0, 1] pixel units) or `rounds=20`. Write the
    results with `udp.write_png`: a lossy file would erase the perturbation. Many photos are protected set after set
    (`udp.protection.division.divide`), and all results are held in memory: `protect_folder` writes them as it goes. Raises
    `InvalidInput` for unknown methods, settings or values, `UnreadablePhoto`, and `ModelUnavailable`.
    """
    chosen = method_of(method, settings)
    Trial(seed=seed).check()
    return by_sets(chosen, as_photos(photos), as_model(model), prompt, seed, on_progress)


def protect_folder(
    photos: str | Path | Sequence[str | Path],
    out: str | Path,
    model: str | Path | DiffusionModel = "mini",
    method: str = "eudp",
    prompt: str = "a photo of sks",
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
    masks: str | Path | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """`protect` from files to files, as the command line does it: PNGs, controls and the manifest, which is returned.

    Set after set is read, protected and written to `out`, so that memory does not grow with the folder. The same call
    after a kill or an error goes on where the last one stopped. `masks` is a folder of masks that are named like the
    photos. A warning names what cannot be read. Raises what `protect` does, and `InvalidInput` if other pictures lie in
    `out`; an `OSError` of a full disk leaves what is finished there.
    """
    chosen, folder = method_of(method, settings), typed_path(out)
    Trial(seed=seed).check()
    places = one_by_one(photos, (str, Path))
    check_ready(folder, list(map(typed_path, places)))
    found = survey(places)
    for reason in found.skipped:
        warnings.warn(f"left out: {ENGLISH.say(reason)}", stacklevel=2)
    paths = find_masks(masks, found.files) if masks is not None else None
    return protect_files(found, folder, chosen, as_model(model), prompt, seed, on_progress, paths)


def protect_folders(
    source: str | Path,
    out: str | Path,
    model: str | Path | DiffusionModel = "mini",
    method: str = "eudp",
    prompt: str = "a photo of sks",
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
    shard: str | None = None,
    captions: bool = True,
    **settings: Any,
) -> Summary:
    """Protect a catalogue of sets into a data set, as `udp protect-many` does: a tree of folders, or shards; see docs/scale.md.

    `settings` are fields of the method and of `udp.catalogue.layout.Layout`, such as `groups="similar"`; with `captions` a photo
    goes by the text beside it, and by `prompt` where there is none. Each process that
    `accelerate launch` started takes its part, `shard` "i/n" (default: that of a Slurm job array) divides further. The same
    call again goes on where an earlier one ended. Sets that fail are in the summary, and a warning is given for each;
    nothing is raised for them. Raises what `udp.catalogue.many.protect_many` does, and `InvalidInput` for unknown names.
    """
    layout = {name: settings.pop(name) for name in Layout.__dataclass_fields__ if name in settings}
    Trial(seed=seed).check()
    name = str(model) if isinstance(model, (str, Path)) else as_model(model).name
    places = typed_path(source), typed_path(out)
    catalogue = Catalogue(
        *places, method_of(method, settings), name, prompt, seed, with_settings(Layout, layout), captions
    )
    share = own_process().within(share_of(shard))
    return protect_many(
        catalogue, lambda: as_model(model), share, on_progress, lambda said: warnings.warn(said, stacklevel=4)
    )


def method_of(name: str, settings: dict[str, Any]) -> ProtectionMethod:
    """The method called `name` with these settings. Raises `InvalidInput` if one or the other is unknown."""
    if name not in METHODS:
        raise InvalidInput(f"expected a method among {', '.join(METHODS)}, got {name!r}")
    return with_settings(METHODS[name], settings)


def with_settings(kind: type, settings: dict[str, Any]) -> Any:
    """`kind(**settings)`. Raises `InvalidInput` that lists the fields if one is unknown."""
    fields = {item.name: item for item in dataclasses.fields(kind)}
    unknown = sorted(set(settings) - set(fields))
    if unknown:
        raise InvalidInput(f"expected settings among {', '.join(fields)}, got {', '.join(unknown)}")
    return kind(**{name: given(fields[name], value) for name, value in settings.items()})


def attack(
    clean: Photos,
    protected: Photos | None = None,
    model: str | Path | DiffusionModel = "mini",
    recipe: str = "lora",
    trial: Trial | None = None,
    on_progress: OnProgress = ignore_progress,
    pretrained_metrics: bool | Pretrained = False,
    face_metrics: bool | Faces = False,
    **settings: Any,
) -> Report:
    """Fine-tune on the clean photos, on random noise of the same budget and on the protected ones, and compare.

    `protected` are the same photos, paired by what they show (`udp.evaluation.pairs.pair_up`); a warning says what speaks
    against their belonging together. Without them the clean photos are fine-tuned on alone. `settings`
    are the fields of the recipe, such as `steps=300`; `trial` holds prompts, seeds and sampling. The report has an arm
    a set of photos (`report.arm("protected").images`, uint8) and says in `report.verdict` what the controls allow to
    say. `pretrained_metrics` adds CLIP and DINOv2 figures: True takes the usual models, which are downloaded unless they
    are here, and what `udp.evaluation.metrics.pretrained.load_pretrained` gives takes others. `face_metrics` does so for faces
    (`udp.evaluation.metrics.faces.load_faces`). Raises `InvalidInput` for unknown recipes, settings or photos that do not match
    or, with `face_metrics`, show no face, `NothingLearned` if a fine-tune changed nothing, and
    `ModelUnavailable`.
    """
    if recipe not in RECIPES:
        raise InvalidInput(f"expected a recipe among {', '.join(RECIPES)}, got {recipe!r}")
    model, chosen = as_model(model), with_settings(RECIPES[recipe], settings)
    pretrained = load_pretrained() if pretrained_metrics is True else pretrained_metrics or None
    faces = load_faces() if face_metrics is True else face_metrics or None
    trial = trial or Trial()
    if not isinstance(trial, Trial):
        raise InvalidInput(f"expected a `udp.Trial` of prompts, seeds and sampling, got {type(trial).__name__}")
    arms = {"clean": as_photos(clean)}
    if protected is not None:
        after = as_photos(protected)
        recorded = recorded_originals(typed_path(protected)) if isinstance(protected, (str, Path)) else None
        after = pair_up(arms["clean"], after, recorded=recorded)
        for warning in pair_warnings(arms["clean"], after):
            warnings.warn(ENGLISH.say(warning), stacklevel=2)
        known = [levels for levels in differences(arms["clean"], after) if levels is not None]
        noise = RandomNoise(budget=min(MOST_LEVELS, max(LEAST_LEVELS, *known)) / 255) if known else RandomNoise()
        arms["random"] = noise(arms["clean"], model, trial.instance_prompt, trial.seed)
        arms["protected"] = after
    return run_trial(arms, model, chosen, trial, on_progress, pretrained, faces=faces)
