"""The tables of the documents, from the records that the benchmarks wrote: no figure in them is typed.

    python -m benchmarks.results            # fills README.md, benchmarks/RESULTS.md and udp/mini/README.md
    python -m benchmarks.results --check    # writes nothing; ends with 1 and the names of those that differ

A table stands between `<!-- table NAME -->` and `<!-- end -->`; `TABLES` says what each name is made from.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import (
    ablation,
    compare_methods,
    judged,
    lessons,
    paper,
    peers,
    robustness,
    speed,
    start,
    transfer,
    visibility,
)
from benchmarks import imitators as other_imitators
from benchmarks.grids import ARMS
from benchmarks.records import values_of
from benchmarks.steps import PICTURES
from benchmarks.subjects import means, structure, table

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "benchmarks/RESULTS.md", "udp/mini/README.md")
BLOCK = re.compile(r"(?P<open><!-- table (?P<name>[\w-]+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL)
EXAMPLES = {"subject": "the rendered toy", "style": "the paper-cut landscapes"}
JUDGED = ("judged", "judged-cleanings")
CLEANED = ("cleanings", "cleanings-style")  # records of several seeds


def record(path: str) -> dict:
    """What a benchmark wrote, by its path in the repository."""
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def counted(words: list[str]) -> str:
    """Verdicts and how often each was given, the most frequent first."""
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())


def subjects() -> str:
    """A row a subject, and the means of what is measured on each arm."""
    facts = record("docs/subjects.json")
    return f"{table(facts['rows'])}\n\n{means(facts['rows'])}\n\n{facts['date']}, {facts['machine']}."


def stronger() -> str:
    """The subjects that were tried at a second budget."""
    lines = ["| subject | budget | learned: random | learned: protected | verdict |", "|---|---|---|---|---|"]
    for row in record("docs/subjects.json")["rows"]:
        if found := row.get("stronger"):
            learned = " | ".join(f"{found['learned'][arm]:.0%}" for arm in ARMS[1:])
            lines.append(f"| {row['subject']} | {found['budget_levels']:g}/255 | {learned} | {found['word']} |")
    return "\n".join(lines)


def patient() -> str:
    """The imitator who takes twice the time."""
    lines = [
        "| subject | learned: random | learned: protected | structure clean / random / protected |",
        "|---|---|---|---|",
    ]
    for row in record("docs/patient.json")["rows"]:
        found = row["patient"]
        learned = " | ".join(f"{found['learned'][arm]:.0%}" for arm in ARMS[1:])
        lines.append(f"| {row['subject']} | {learned} | {structure([found['figures']])} |")
    return "\n".join(lines)


def seen(name: str) -> str:
    """What a blind judge said of each arm's pictures."""
    facts = record(f"docs/{name}.json")
    return f"{judged.table(facts['rows'])}\n\n{judged.passes_agree(facts['rows'])} {facts['date']}, {facts['judge']}."


def eyes(name: str) -> str:
    """How well each figure follows what a blind judge said."""
    return judged.agreement(record(f"docs/{name}.json")["rows"])


def short() -> str:
    """The three arms of the subjects and the examples on one screen, and what a cleaning leaves of the effect."""
    rows = record("docs/subjects.json")["rows"]
    lines = [
        "| | learned, random noise | learned, protected | after the worst cleaning, clean / random / protected | structure, clean / random / protected | verdicts |",
        "|---|---|---|---|---|---|",
    ]
    learned = [f"{np.mean([row['learned'][arm] for row in rows if row['learned']]):.0%}" for arm in ARMS[1:]]
    near = structure([row["figures"] for row in rows])
    verdicts = counted([row["word"] for row in rows])
    levels = ", ".join(sorted({f"{255 * row['method']['budget']:g}/255" for row in rows}))
    lines.append(f"| {len(rows)} real subjects, {levels} | {learned[0]} | {learned[1]} | | {near} | {verdicts} |")
    for name, title in EXAMPLES.items():
        run = record(f"examples/kept/{name}/run.json")
        learned = " | ".join(f"{run['verdict']['learned'][arm]['mean']:.0%}" for arm in ARMS[1:])
        near = structure([run["figures"]])
        levels = f"{255 * run['settings']['protection']['budget']:g}/255"
        lines.append(f"| {title}, {levels} | {learned} | | {near} | {run['verdict']['id'].replace('_', ' ')} |")
    for name in CLEANED:
        found = record(f"docs/{name}.json")["rows"]
        whole = [row for row in found if row["cleaning"] == robustness.UNTOUCHED]
        sets = ", ".join(EXAMPLES.get(row["set"], row["set"]) for row in whole if row["seed"] == 0)
        arms = (robustness.CLEAN, robustness.RANDOM, robustness.PROTECTED)
        learned = [f"{np.mean(values_of(whole, arm, 'learned')):.0%}" for arm in arms[1:]]
        near = " / ".join(f"{np.mean(values_of(whole, arm, 'structure_similarity')):.2f}" for arm in arms)
        seeds = len({row["seed"] for row in whole})
        cleaning, taught = robustness.least_effect(found)
        worst = f"{cleaning}: {' / '.join(f'{taught[arm]:.0%}' for arm in (robustness.CLEAN, *arms[1:]))}"
        lines.append(f"| {sets}, {seeds} seeds | {learned[0]} | {learned[1]} | {worst} | {near} | |")
    return "\n".join(lines)


def setting(name: str) -> str:
    """One of the paper's settings: the figures of every arm."""
    facts = record(f"docs/paper-{name}.json")
    rows = facts["rows"]
    sets = ", ".join(f"{row['photos']} photos of {row['set']}" for row in rows if row["recipe"] == rows[0]["recipe"])
    return f"{paper.table(rows)}\n\n{facts['date']}, {facts['machine']}; {sets}, {facts['pictures']} pictures an arm."


def imitators(name: str) -> str:
    """Imitators who clean photos or train against protections, those who learn most from protected photos first."""
    facts = record(f"docs/{name}.json")
    return f"{robustness.table(facts['rows'])}\n\n{tried(facts)}"


def tried(facts: dict) -> str:
    """When and where a benchmark of imitators ran, and on what."""
    sets = ", ".join(dict.fromkeys(row["set"] for row in facts["rows"]))
    seeds = len({row["seed"] for row in facts["rows"]})
    return f"{facts['date']}, {facts['machine']}; {sets}, seeds: {seeds}, {facts['pictures']} pictures an arm."


def parts() -> str:
    """What each part of EUDP is worth."""
    facts = record("docs/ablation.json")
    return f"{ablation.table(facts['rows'])}\n\n{tried(facts)}"


def compared(name: str) -> str:
    """Methods at equal gradients, at each budget."""
    facts = record(f"docs/{name}.json")
    return f"{compare_methods.table(facts['rows'])}\n\n{tried(facts)}"


def beside(before: str, after: str, titles: tuple[str, str]) -> str:
    """What an imitator learns from whole and from cut photos, with one EUDP and with another; two records of the same imitators."""
    found = [record(f"docs/{name}.json") for name in (before, after)]
    lines = [
        f"| subject, photos | learned: clean | learned: random noise | learned: {' | learned: '.join(titles)} |",
        "|---|---|---|---|---|",
    ]
    for then, now in zip(*(robustness.shares(of["rows"]) for of in found), strict=True):
        if (now["set"], now["cleaning"]) != (then["set"], then["cleaning"]):
            raise ValueError(
                f"expected the same sets and cleanings in both records, got {now['set']} and {then['set']}"
            )
        arms = [now["learned"][arm] for arm in (robustness.CLEAN, robustness.RANDOM)]
        arms += [of["learned"][robustness.PROTECTED] for of in (then, now)]
        photos = "whole" if now["cleaning"] == robustness.UNTOUCHED else "cut"
        lines.append(f"| {now['set']}, {photos} | {' | '.join(f'{share:.0%}' for share in arms)} |")
    table = "\n".join(lines)
    return f"{table}\n\n{tried(found[1])}"


def steps() -> str:
    """What a step costs, and starting."""
    facts = record("docs/speed.json")
    rates = ", ".join(f"{rate} GFLOP/s in {name}" for name, rate in facts["matrix_gflops"].items())
    starts = ", ".join(f"{name} {seconds} s" for name, seconds in facts["start_seconds"].items())
    settings = facts["settings"]
    return (
        f"{speed.table(facts['rows'])}\n\n{facts['date']}, {facts['machine']}; {settings['batch']} photos a fine-tuning step, "
        f"{settings['count']} a PGD step, {PICTURES} pictures. Large matrices: {rates}. From the shell: {starts}. "
        f"{speed.taught(facts['lesson'])}"
    )


def fifth() -> str:
    """What keeping a part of the budget for 512 px does to an imitator of the embedded model: the same subjects by what is kept."""
    shares = {"nothing": "reach-off", "a tenth, as now": "subjects-whole", "a fifth": "reach-fifth"}
    rows_of = {share: record(f"docs/{name}.json")["rows"] for share, name in shares.items()}
    names = {row["subject"] for row in rows_of["a fifth"]}
    lines = [
        "| kept for 512 px | learned: random | learned: protected | structure clean / random / protected | PSNR |",
        "|---|---|---|---|---|",
    ]
    for title, found in rows_of.items():
        rows = [row for row in found if row["subject"] in names]
        learned = " | ".join(f"{np.mean([row['learned'][arm] for row in rows]):.0%}" for arm in ARMS[1:])
        near, psnr = structure([row["figures"] for row in rows]), np.mean([row["psnr_db"] for row in rows])
        lines.append(f"| {title} | {learned} | {near} | {psnr:.1f} dB |")
    return "\n".join(lines)


def reach() -> str:
    """How far latents of published autoencoders move."""
    facts = record("docs/transfer.json")
    names = sorted(facts["rows"][0]["shift"])
    return (
        f"{transfer.table(facts['rows'], names)}\n\n{facts['date']}, {facts['side']} px, {255 * facts['budget']:g}/255, first "
        f"photo of {', '.join(dict.fromkeys(row['subject'] for row in facts['rows']))}."
    )


def visible() -> str:
    """How visible a protection is, beside what it does."""
    facts = record("docs/visibility.json")
    return (
        f"{visibility.table(facts['rows'])}\n\n{facts['date']}, means over {facts['photos']} photos of {facts['side']} px; "
        f"{facts['machine']}."
    )


def starts() -> str:
    """What the square does by itself, and what taking it out gives back."""
    facts = record("docs/start.json")
    return f"{start.table(facts['rows'])}\n\n{facts['date']}, {facts['budget_levels']:g}/255 at 128 px, without the steps at 512 px; {facts['machine']}."


def peer_steps() -> str:
    """A PGD step of ours and of public code, at Stable Diffusion 1.5's size."""
    facts = record("docs/peers.json")
    return f"{peers.table(facts['rows'])}\n\n{facts['date']}, {facts['machine']}; {facts['settings']['rounds']} run of each."


def race() -> str:
    """How long a method takes for how much effect."""
    return visibility.race(record("docs/visibility.json")["rows"])


def others() -> str:
    """Imitators with other networks and schedules than the embedded model's."""
    facts = record("docs/imitators.json")
    return f"{other_imitators.table(facts['rows'])}\n\n{tried(facts)}"


def learned() -> str:
    """What fine-tunes learned, and in which time."""
    facts = record("docs/lessons.json")
    return f"{lessons.table(facts['rows'])}\n\n{facts['date']}, {facts['machine']}."


TABLES: dict[str, Callable[[], str]] = {
    "subjects": subjects,
    "stronger": stronger,
    "patient": patient,
    **{name: functools.partial(seen, name) for name in JUDGED},
    **{f"eyes-{name}": functools.partial(eyes, name) for name in JUDGED},
    "short": short,
    **{f"paper-{name}": functools.partial(setting, name) for name in ("ddpm", "ldm", "object", "style")},
    "countermeasures": functools.partial(imitators, "robustness"),
    **{name: functools.partial(imitators, name) for name in CLEANED},
    "ablation": parts,
    **{name: functools.partial(compared, name) for name in ("methods", "methods-few")},
    "imitators": others,
    "crops": functools.partial(beside, "crops-whole", "crops", ("EUDP for whole photos", "EUDP through crops")),
    "rounds": functools.partial(beside, "rounds-nine", "rounds", ("nine rounds", "thirteen rounds")),
    "steps": steps,
    "reach": reach,
    "fifth": fifth,
    "visible": visible,
    "race": race,
    "start": starts,
    "lessons": learned,
    "peers": peer_steps,
}


def filled(text: str) -> str:
    """`text` with every table made anew. Raises `KeyError` for a name that `TABLES` lacks."""
    return BLOCK.sub(lambda found: f"{found['open']}{TABLES[found['name']]()}\n{found['close']}", text)


def main(arguments: list[str] | None = None) -> int:
    """Fill, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    stale = []
    for name in DOCUMENTS:
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        if (after := filled(before)) != before:
            stale.append(name)
            if not options.check:
                path.write_text(after, encoding="utf-8")
    print("\n".join(stale) or "nothing to change")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
