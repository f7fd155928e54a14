r"""The figure and table of real subjects: protect real photos, attack them, compare the arms.

    python -m benchmarks.subjects --photos SUBJECTS --out docs --recipe dreambooth --pictures 4 --workers 2 \
      --shown duck_toy can cat dog --beside advdm

`SUBJECTS` holds one folder of photos a subject (for instance the google/dreambooth dataset, CC BY 4.0). Writes
`subjects.png` (a grid) and `subjects.json` (settings, figures, seconds, date), and prints a Markdown table. `--shown`
names those rows that `shown.png` repeats, for a page that has no room for all. Each of `--workers` takes a subject at a
time, with its share of the cores. `--beside` names further methods (as `benchmarks.compare_methods` does) that get an arm
of their own at as many gradients a photo; they are in the figures and not in the grids, and the attack's seconds are the
share of the three arms. `--patient` names the recipe of an imitator who takes more time, such as
`dreambooth:steps=1200`: the arms are trained that way too, `patient-subjects.png` shows them, and the verdict is what holds for
both. `--stronger` adds arms at a larger budget, random and protected, beside the same clean one: `stronger-subjects.png`, and
a verdict of their own, of the subjects in `--stronger-for`. `--keep` is a folder for every picture of every arm; the same command
takes subjects that are finished there as they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from benchmarks.grids import ARMS, Pictures, cut, draw, strip, tiled
from benchmarks.texts import gradients_of, parse_method, parse_recipe
from udp.digests import digest, photos_digest
from udp.errors import UDPError
from udp.evaluation.arms import Report
from udp.evaluation.bench import run_trial
from udp.evaluation.trial import Trial
from udp.evaluation.verdict import Verdict, after_patience, judge
from udp.files import finished, finishing, versions
from udp.language import ENGLISH
from udp.models.base import DiffusionModel
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photos
from udp.protection.methods import RandomNoise
from udp.protection.visibility import visibility
from udp.settings import describe_settings, parse_levels
from udp.tensors import fit_square, to_pixels, to_tensor

# Options that say where and which, not what comes out.
NOT_A_SETTING = {"photos", "subjects", "shown", "out", "keep", "workers", "stronger_for"}
STRONGER = "stronger "  # before the names of the arms at a second budget
# Of quality and diversity: 1 where more is better, -1 where less is. Texture is in dB, noise in levels of 255.
FIGURES = {
    "recall": 1,
    "diversity": 1,
    "precision": 1,
    "structure_similarity": 1,
    "kid": -1,
    "fid": -1,
    "texture_distance": -1,
    "noise_level": -1,
}


def subject(name: str, options: argparse.Namespace) -> tuple[list[Pictures], dict, list[np.ndarray]]:
    """What `run_subject` gives, from `--keep` if it was finished there with the same options, photos and weights."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.workers))
    photos = read_photos(list_photos(options.photos / name))
    model = load_model(options.model)
    if not options.keep:
        return run_subject(name, photos, model, options)
    mark = options.keep / f"{name}.json"
    chosen = {key: value for key, value in vars(options).items() if key not in NOT_A_SETTING}
    chosen["stronger"] = options.stronger if gets_stronger(name, options) else None
    method = describe_settings(model.suited(parse_method(options.method, options.budget)))
    key = digest([chosen, method, photos_digest(photos), model.fingerprint, versions()])

    def read(content: dict) -> tuple[list[Pictures], dict, list[np.ndarray]]:
        pictures = [
            {arm: tiled(cut(mark.with_name(file))) for arm, file in by_arm.items()} for by_arm in content["pictures"]
        ]
        return pictures, with_verdict(content["row"]), cut(mark.with_name(content["squares"]))

    if (kept := finished(mark, key, read)) is not None:
        return kept
    pictures, row, squares = run_subject(name, photos, model, options)
    with finishing(mark, key) as content:
        strip(squares).save(options.keep / f"{name}-photos.png")
        titles = ["", *["patient-"] * bool(options.patient)]
        files = [{arm: f"{name}-{title}{arm}.png" for arm in ARMS} for title in titles]
        if "stronger" in row:
            files.append({arm: f"{name}-{in_report(arm, STRONGER)}.png" for arm in ARMS})
        content |= {"row": row, "squares": f"{name}-photos.png", "pictures": files}
    return pictures, row, squares


def gets_stronger(name: str, options: argparse.Namespace) -> bool:
    """Whether a subject gets arms at the second budget."""
    return bool(options.stronger) and name in (options.stronger_for or [name])


def run_subject(
    name: str, photos: list[Photo], model: DiffusionModel, options: argparse.Namespace
) -> tuple[list[Pictures], dict, list[np.ndarray]]:
    """One subject through protect and attack; each imitator's pictures by arm, a row of figures, the photos' squares to show."""
    method = parse_method(options.method, options.budget)
    recipe = parse_recipe(options.recipe, options.steps)
    start = time.monotonic()
    protected = method(photos, model, seed=options.seed)
    middle = time.monotonic()
    random = RandomNoise(budget=options.budget)(photos, model, seed=options.seed)
    arms = {"clean": photos, "random": random, "protected": protected}
    for text in options.beside:
        rival = parse_method(text, options.budget, gradients_of(method))
        arms[text] = rival(photos, model, seed=options.seed)
    larger: dict[str, list[Photo]] = {}
    if gets_stronger(name, options):
        for arm, made in (("random", RandomNoise()), ("protected", method)):
            stronger_one = dataclasses.replace(made, budget=options.stronger)
            larger[f"{STRONGER}{arm}"] = stronger_one(photos, model, seed=options.seed)
    arms |= larger
    start_of_attack = time.monotonic()
    trial = Trial(seed=options.seed, pictures=options.pictures, guidance=options.guidance)
    report = run_trial(arms, model, recipe, trial)
    end = time.monotonic()
    patient = run_trial(arms, model, parse_recipe(options.patient), trial) if options.patient else None
    seen = [visibility(a, b) for a, b in zip(photos, protected, strict=True)]
    row = {
        "subject": name,
        "photos": len(photos),
        "protect_seconds": round(middle - start, 1),
        "attack_seconds": round((end - start_of_attack) * len(ARMS) / len(arms), 1),
        "psnr_db": round(float(np.mean([v["psnr_db"] for v in seen])), 2),
        "ssim": round(float(np.mean([v["ssim"] for v in seen])), 4),
        **outcome(report),
        "patient": outcome(patient) if patient else None,
        "method": {"name": method.name, **describe_settings(model.suited(method))},
        "guidance": report.trial.guidance,
    }
    pictures = [{arm: tiled(r.arm(arm).images) for arm in ARMS} for r in (report, patient) if r]
    if larger:
        row["stronger"] = {"budget_levels": round(options.stronger * 255, 2)}
        pictures.append({arm: tiled(report.arm(in_report(arm, STRONGER)).images) for arm in ARMS})
    shown = [photos, protected, *(kept for arm, kept in larger.items() if arm.endswith("protected"))]
    squares = [
        tiled([to_pixels(fit_square(to_tensor(p.pixels)[None], model.resolution)[0]) for p in photos_of])[0]
        for photos_of in shown
    ]
    if options.keep:
        for title, trial_report in (("", report), ("patient-", patient)):
            for arm in (trial_report.base, *trial_report.arms) if trial_report else ():
                strip(arm.images).save(options.keep / f"{name}-{title}{arm.name}.png")
    return pictures, with_verdict(row), squares


def with_verdict(row: dict) -> dict:
    """A row with what the verdict's rule says of its figures, at either budget; a row that was kept may be older than the rule."""
    figures = row["figures"]
    hasty = judged(figures)
    patient = judged(row["patient"]["figures"]) if row["patient"] else None
    whole = after_patience(hasty, patient) if patient else hasty
    found = {**row, **shares(hasty), "verdict": ENGLISH.say(whole.sentence), "word": ENGLISH.say(whole.word)}
    if patient:
        found["patient"] = {**row["patient"], **shares(patient)}
    if "stronger" in row:
        second = judged(figures, STRONGER)
        found["stronger"] = {**row["stronger"], **shares(second), "word": ENGLISH.say(second.word)}
    return found


def judged(figures: dict[str, dict], prefix: str = "") -> Verdict:
    """The verdict on a row's figures by arm; with a prefix on its arms at a further budget."""
    names = ARMS if prefix else [arm for arm in figures if arm != "base"]
    return judge([figures["base"]], {arm: [figures[in_report(arm, prefix)]] for arm in names})


def shares(judgement: Verdict) -> dict:
    """What each arm learned, and the likeness that is left."""
    return {
        "learned": {arm: round(interval.mean, 3) for arm, interval in judgement.learned.items()},
        "likeness": judgement.likeness and round(judgement.likeness.mean, 3),
    }


def in_report(arm: str, prefix: str) -> str:
    """What the arm of a further budget is called; both share the clean one."""
    return arm if arm == "clean" else f"{prefix}{arm}"


def outcome(report: Report) -> dict:
    """What came of one imitator: the recipe and every figure."""
    return {
        "recipe": {"name": report.recipe.name, **describe_settings(report.recipe)},
        "figures": {arm.name: arm.metrics for arm in (report.base, *report.arms)},
    }


def at_one_budget(row: dict) -> list[str]:
    """The arms that every subject has."""
    return [arm for arm in row["figures"] if arm != "base" and not arm.startswith(STRONGER)]


def share(row: dict, arm: str) -> str:
    """What an arm learned, or a dash where the clean arm learned too little to compare with."""
    return f"{row['learned'][arm]:.0%}" if arm in row["learned"] else "–"


def structure(measured: Sequence[dict]) -> str:
    """How near each arm's pictures come to a photo, means over the figures (by arm) of some subjects."""
    return " / ".join(f"{np.mean([by_arm[arm]['structure_similarity'] for by_arm in measured]):.2f}" for arm in ARMS)


def table(rows: list[dict]) -> str:
    """Markdown: what each arm learned, how near its pictures come to a photo, the verdict, the photos' change, the cost."""
    measured = [arm for arm in at_one_budget(rows[0]) if arm != "clean"]
    taught = " | ".join(f"learned: {arm}" for arm in measured)
    lines = [
        f"| subject | {taught} | structure clean / random / protected | verdict | PSNR, SSIM | protect, attack |",
        "|---" * (len(measured) + 5) + "|",
    ]
    for row in rows:
        near = structure([row["figures"]])
        lines.append(
            f"| {row['subject']} | {' | '.join(share(row, arm) for arm in measured)} | {near} | {row['word']} | "
            f"{row['psnr_db']:.1f} dB, {row['ssim']:.3f} | {row['protect_seconds']:.0f} s, {row['attack_seconds']:.0f} s |"
        )
    if len(rows) > 1:
        counted = [row["learned"] for row in rows if row["learned"]]
        shares = [f"{np.mean([row[arm] for row in counted]):.0%}" if counted else "–" for arm in measured]
        near = structure([row["figures"] for row in rows])
        lines.append(f"| mean of {len(rows)} | {' | '.join(shares)} | {near} | | | |")
    return "\n".join(lines)


def means(rows: list[dict]) -> str:
    """Markdown: figures of quality and diversity, means over the subjects, and how often protected is worst of the three."""
    arms = at_one_budget(rows[0])
    lines = [
        f"| mean of {len(rows)} | {' | '.join(arms)} | protected is worse than both controls |",
        "|---" * (len(arms) + 2) + "|",
    ]
    for figure, better in FIGURES.items():
        if not all(figure in row["figures"][arm] for row in rows for arm in arms):
            continue  # some take several photos and pictures
        values = {arm: [row["figures"][arm][figure] for row in rows] for arm in arms}
        worst = sum(
            better * p < min(better * c, better * r) for c, r, p in zip(*(values[arm] for arm in ARMS), strict=True)
        )
        shown = " | ".join(f"{np.mean(values[arm]):.3g}" for arm in arms)
        lines.append(f"| {figure} | {shown} | {worst} of {len(rows)} |")
    return "\n".join(lines)


def ratios(rows: list[dict]) -> str:
    """How many times the effect of each further method the protected arm has, by the means of what the arms learned."""
    counted = [row["learned"] for row in rows if row["learned"]]
    lines = []
    for rival in [arm for arm in counted[0] if arm not in ARMS and not arm.startswith(STRONGER)] if counted else []:
        random, ours, theirs = (np.mean([row[arm] for row in counted]) for arm in ("random", "protected", rival))
        lines.append(
            f"Effect over {rival}'s: {(random - ours) / (random - theirs):.2f} times beyond random noise, "
            f"{(1 - ours) / (1 - theirs):.2f} times from the clean arm."
        )
    return "\n".join(lines)


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--subjects", nargs="+", help="folder names (default: all)")
    parser.add_argument("--shown", nargs="+", default=(), help="of those, the rows of shown.png")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", default="eudp", help="as eudp, or eudp:reach=off")
    parser.add_argument("--beside", nargs="+", default=(), metavar="METHOD", help="further methods, at equal cost")
    parser.add_argument("--recipe", default="lora", help="as lora, or dreambooth:batch_size=16")
    parser.add_argument("--patient", metavar="RECIPE", help="a further imitator, as --recipe")
    parser.add_argument("--keep", type=Path, help="folder for all pictures")
    parser.add_argument("--budget", type=parse_levels, default=8 / 255)
    parser.add_argument("--stronger", type=parse_levels, help="a second, larger budget, as 16/255")
    parser.add_argument("--stronger-for", nargs="+", help="of the subjects, those that get it (default: all)")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--steps", type=int, help="training steps of each arm (default: the recipe's)")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--guidance", type=float, help="of the pictures (default: what suits the model)")
    parser.add_argument("--workers", type=int, default=1, help="subjects at a time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:  # here, not in a worker that has protected already
        parse_recipe(options.recipe, options.steps)
        if options.patient:
            parse_recipe(options.patient)
        for text in (options.method, *options.beside):
            parse_method(text, options.budget)
        Trial(pictures=options.pictures, guidance=options.guidance).check()
    except UDPError as error:
        parser.error(str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.subjects or sorted(p.name for p in options.photos.iterdir() if p.is_dir())
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    shown, rows = [], []
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        results = pool.map(functools.partial(subject, options=options), names)
        for name, (pictures, row, squares) in zip(names, results, strict=True):
            shown.append((name, pictures, squares))
            rows.append(row)
            print(f"{name}: {row['verdict']}", flush=True)
            write(options, shown, rows)
    print(f"{table(rows)}\n\n{means(rows)}\n\n{ratios(rows)}")


def write(
    options: argparse.Namespace, shown: list[tuple[str, list[Pictures], list[np.ndarray]]], rows: list[dict]
) -> None:
    """The grids and figures of the subjects that are done."""
    titles = ["", *["patient-"] * bool(options.patient), *["stronger-"] * bool(options.stronger)]
    for index, title in enumerate(titles):
        photo = 2 if title == "stronger-" else 1
        grid = [
            (name, pictures[index], [squares[0], squares[photo]])
            for name, pictures, squares in shown
            if index < len(pictures)
        ]
        if not grid:
            continue
        draw(grid).save(options.out / f"{title}subjects.png", optimize=True)
        if chosen := [row for row in grid if row[0] in options.shown]:
            draw(chosen).save(options.out / f"{title}shown.png", optimize=True)
    facts = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores, torch {torch.__version__}, {options.workers} subjects at a time",
        "rows": rows,
    }
    (options.out / "subjects.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
