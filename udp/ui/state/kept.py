"""Finished runs of the examples, kept in the repository, so that the page shows what comes out before anybody has run anything.

`python -m benchmarks.kept` makes them. A run is what the page itself would run with everything left as it is; `stale` says
when that no longer holds.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from udp.digests import photos_digest
from udp.evaluation.arm_names import TRAINED
from udp.evaluation.arms import Report
from udp.evaluation.interval import Interval
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import Verdict, VerdictId
from udp.files import write_json
from udp.imitation.prompts import PRESETS
from udp.imitation.recipes import RECIPES
from udp.models.loading import usual_of
from udp.models.registry import EMBEDDED_WEIGHTS
from udp.photos import list_photos, read_photos, write_png
from udp.protection.folder import Protection
from udp.protection.methods import EUDP
from udp.settings import describe_settings, for_model
from udp.ui.state.context import EXAMPLES
from udp.ui.state.work import AttackWork

KEPT = EXAMPLES / "kept"
MANIFEST = "run.json"
PROTECTED = "protected.png"
EXAMPLE_PRESETS = {
    "subject": "object",
    "style": "style",
    "person": "person",
}  # what the photos of each example set show
FINISHED = ("subject", "style")  # those of which a finished run is kept
MODEL, RECIPE = "mini", "dreambooth"
SEEDS = 3  # pictures an arm that are kept, of those that the verdict rests on
QUALITY = 95  # of the JPEGs of what the imitator got: those are looked at, and nothing is measured on them


@dataclass(frozen=True)
class KeptRun:
    """One of them; `pictures` are the files of each trained arm, by seed, `photo` is one that went in."""

    name: str
    made: str
    photo: Path
    protected: Path
    pictures: Mapping[str, Sequence[Path]]
    verdict: Verdict
    settings: Mapping[str, Any]
    seeds: Sequence[int]


def example_work(name: str) -> AttackWork:
    """What the page runs for the example `name` of `EXAMPLE_PRESETS`, as long as nobody has moved a control."""
    trial = Trial(instance_prompt=example_prompt(name), prompt=PRESETS[EXAMPLE_PRESETS[name]].prompt)
    photos = read_photos(list_photos(EXAMPLES / name))
    arms = [*map(str, TRAINED)]
    return AttackWork(photos, None, EUDP(), arms, RECIPES[RECIPE](), trial, MODEL, example_prompt(name))


def example_prompt(name: str) -> str:
    """What the photos of an example set are called."""
    return PRESETS[EXAMPLE_PRESETS[name]].instance_prompt


@functools.cache
def example_units(name: str) -> float:
    """What that costs, in fine-tuning steps."""
    return example_work(name).units()


def settings_of(work: AttackWork) -> dict[str, Any]:
    """All that decides what comes out of a run, as JSON values: settings, photos, weights."""
    usual = usual_of(MODEL)
    method, recipe, trial = (for_model(item, True, usual) for item in (work.method, work.recipe, work.trial))
    found = {
        "protection": {"method": method.name, **describe_settings(method)},
        "protection_prompt": work.protection_prompt,
        "protection_seed": work.protection_seed,
        "recipe": {"name": recipe.name, **describe_settings(recipe)},
        "trial": asdict(trial),
        "arms": [*map(str, work.arms)],
        "model": work.model_name,
        "photos": photos_digest(work.clean),
        "weights": files_digest(EMBEDDED_WEIGHTS),
    }
    return json.loads(json.dumps(found))


def files_digest(folder: Path) -> str:
    """A short name for the contents of a folder."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:16]


def write_kept(
    folder: Path, name: str, work: AttackWork, made: Protection, report: Report, date: str, seconds: float
) -> None:
    """Write one run into `folder`: a protected photo, the pictures of the first seeds, and run.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*-*.jpg"):
        old.unlink()  # of an earlier run, whose seeds may have been others
    write_png(folder / PROTECTED, made.protected[0])
    seeds = report.trial.picture_seeds(0)[:SEEDS]
    for arm in report.arms:
        for seed, image in zip(seeds, arm.images, strict=False):
            Image.fromarray(image).save(_picture(folder, arm.name, seed), quality=QUALITY, subsampling=0)
    content = {
        "made": date,
        "seconds": round(seconds),
        "example": name,
        "photo": made.originals[0].file,
        "seeds": seeds,
        "verdict": asdict(report.judgement),
        "figures": {arm.name: arm.metrics for arm in (report.base, *report.arms)},
        "settings": settings_of(work),
    }
    write_json(folder / MANIFEST, content)


def _picture(folder: Path, arm: str, seed: int) -> Path:
    return folder / f"{arm}-{seed}.jpg"


def read_kept(name: str, place: Path = KEPT) -> KeptRun | None:
    """The run kept of the example `name`; None if there is none, as where the package is installed, or it is no run of ours."""
    folder = place / name
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        seeds = [int(seed) for seed in content["seeds"]]
        pictures = {str(arm): [_picture(folder, arm, seed) for seed in seeds] for arm in TRAINED}
        photo, protected = EXAMPLES / name / Path(content["photo"]).name, folder / PROTECTED
        verdict = verdict_from(content["verdict"])
        if not all(path.is_file() for path in (photo, protected, *(p for row in pictures.values() for p in row))):
            return None
        return KeptRun(name, content["made"], photo, protected, pictures, verdict, content["settings"], seeds)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def verdict_from(values: Mapping[str, Any]) -> Verdict:
    """A verdict from its fields as JSON values."""

    def interval(found: Mapping[str, Any] | None) -> Interval | None:
        return Interval(**found) if found else None

    by = values.get("likeness_by", "")  # runs kept before 2026-11-29 do not say
    known = Verdict(VerdictId(values["id"]), values["seeds"], lesson=values["lesson"], likeness_by=by)
    return replace(
        known,
        learned={arm: Interval(**found) for arm, found in values["learned"].items()},
        **{name: interval(values[name]) for name in ("effect", "excess_db", "likeness")},
    )


def stale(run: KeptRun) -> list[str]:
    """What differs between a kept run and what the page would run today, as lines for people; none if nothing does."""
    return [*_differences(run.settings, settings_of(example_work(run.name)))]


def _differences(then: Any, now: Any, place: str = "") -> list[str]:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*then, *now])
        return [line for key in keys for line in _differences(then.get(key), now.get(key), f"{place}.{key}".strip("."))]
    return [] if then == now else [f"{place}: {then!r} then, {now!r} now"]
