"""What the documents name is there: links, paths, commands and their flags, and a command for every figure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from udp.cli import COMMANDS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(
        ROOT / name
        for name in (
            "README.md",
            "CONTRIBUTING.md",
            "examples/README.md",
            "udp/mini/README.md",
            "benchmarks/RESULTS.md",
        )
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]
TOPS = ("udp", "recipe", "benchmarks", "scripts", "examples", "tests", "docs", "app.py", "CONTRIBUTING.md", "README.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
MODULE = re.compile(r"python3? -m\s+([\w.]+)(?: (\w[\w-]*))?")
SCRIPT = re.compile(r"\b(?:scripts|examples)/\w+(?:\.py)?\b")


def quoted(text: str) -> list[str]:
    return QUOTED.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def figures() -> list[tuple[list[str], str]]:
    """The rows of CONTRIBUTING's table of figures: the files or the place of a figure, and its command."""
    lines = (ROOT / "CONTRIBUTING.md").read_text().partition("## Figures")[2].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    return [([name for name in quoted(shown) if "/" in name], command) for shown, command in rows]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_paths_and_commands_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = [link.partition("#")[0] for link in LINK.findall(text) if not re.match(r"[a-z]+:|#", link)]
    assert all((document.parent / link).exists() for link in links), links
    for link in LINK.findall(text):
        place, _, anchor = link.partition("#")
        target = document.parent / place if place else document
        if anchor and not re.match(r"[a-z]+:", link) and target.suffix == ".md":
            assert anchor in headings(target), f"{document.name} links to {link}, which is no heading there"
    paths = [
        name.rstrip("/") for name in quoted(text) if re.fullmatch(r"[\w./*-]+", name) and name.split("/")[0] in TOPS
    ]
    for name in paths:
        assert any(ROOT.glob(name)), f"{document.name} names {name}, which is not there"
    for module, command in MODULE.findall(text):
        if module == "udp":
            assert not command or command in COMMANDS, f"{document.name} names the command {command}"
        elif module.split(".")[0] in TOPS:
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").is_file(), f"{document.name} runs {module}, which is not there"
    for script in SCRIPT.findall(text):
        assert (ROOT / script).exists(), f"{document.name} names {script}, which is not there"


def headings(document: Path) -> set[str]:
    """The names by which GitHub lets links lead to the headings of a document."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_picture_and_record_has_its_command() -> None:
    rows = figures()
    assert len(rows) > 5 and all(
        MODULE.search(command) or SCRIPT.search(command) or "same" in command for _, command in rows
    )
    named = {path for names, _ in rows for name in names for path in ROOT.glob(name)}
    shown = {
        path for place in ("docs", "udp/mini") for path in (ROOT / place).glob("*") if path.suffix in (".png", ".json")
    }
    assert shown <= named, sorted(path.name for path in shown - named)


def test_programs_have_the_flags_that_the_documents_give() -> None:
    """Read in the sources: to run each with --help would take seconds for each."""
    for document in DOCUMENTS:
        joined = document.read_text().replace("\\\n", " ")
        for module, given in re.findall(r"-m\s+((?:benchmarks|recipe)\.\w+)([^`\n|]*)", joined):
            source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
            for shared in re.findall(r"^from benchmarks\.(\w+) import", source, re.MULTILINE):
                source += (ROOT / "benchmarks" / shared).with_suffix(".py").read_text()
            for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", given):
                assert f'"{flag}"' in source or flag == "--help", f"{document.name} gives {module} {flag}"


def test_every_benchmark_is_in_the_table_of_figures() -> None:
    named = {name for _, text in figures() for name, _ in MODULE.findall(text) if name.startswith("benchmarks.")}
    commands = [
        path for path in (ROOT / "benchmarks").glob("[!_]*.py") if "__main__" in path.read_text(encoding="utf-8")
    ]
    assert {f"benchmarks.{path.stem}" for path in commands} == named
