"""The documents' tables are those that the records give, and the README stays one page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import results

LONGEST_README = 120  # lines


@pytest.mark.parametrize("name", results.DOCUMENTS)
def test_tables_are_what_the_records_say(name: str) -> None:
    text = (results.ROOT / name).read_text(encoding="utf-8")
    assert len(results.BLOCK.findall(text)) == text.count("<!-- table ") > 0
    assert results.filled(text) == text, "run python -m benchmarks.results"


def test_every_table_is_shown_somewhere() -> None:
    texts = [(results.ROOT / name).read_text(encoding="utf-8") for name in results.DOCUMENTS]
    shown = {found["name"] for text in texts for found in results.BLOCK.finditer(text)}
    assert shown == set(results.TABLES)


def test_a_figure_that_somebody_typed_is_found_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [f"docs/{path.name}" for path in (results.ROOT / "docs").glob("*.json")]
    for path in (*records, *results.DOCUMENTS):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(results.ROOT / path, tmp_path / path)
    shutil.copytree(results.ROOT / "examples" / "kept", tmp_path / "examples" / "kept")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    document = tmp_path / "benchmarks" / "RESULTS.md"
    honest = document.read_text(encoding="utf-8")
    row = next(line for line in honest.splitlines() if line.startswith("| eudp 8/255 |"))
    document.write_text(honest.replace(row, row.replace("0.8", "0.9")), encoding="utf-8")
    assert results.main(["--check"]) == 1 and document.read_text(encoding="utf-8") != honest
    assert "RESULTS.md" in capsys.readouterr().out
    assert results.main([]) == 0 and document.read_text(encoding="utf-8") == honest
    assert results.main(["--check"]) == 0


def test_the_readme_is_one_page() -> None:
    assert len((results.ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README
