"""A few of the kills of `python -m benchmarks.kills`; the README has the figures of more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.families import build

ROOT = Path(__file__).parents[1]


def test_killed_while_protecting_nothing_is_lost_and_nothing_left(tmp_path: Path) -> None:
    model = str(build("sd1", tmp_path / "model"))
    line = [
        "--model",
        model,
        "--kills",
        "4",
        "--app-kills",
        "0",
        "--only",
        "protect",
        "--out",
        str(tmp_path / "found.json"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    run = [sys.executable, "-m", "benchmarks.kills", *line]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["faults"] == [] and found["kills"]["protect"]["kills"] >= 4
