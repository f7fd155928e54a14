"""`udp check-model`: whether a model works on this machine, in minutes on a GPU."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from udp.cli.common import Ticker, read_places
from udp.evaluation.smoke import check_model, drawn_photos
from udp.files import typed_path
from udp.models.loading import load_model
from udp.models.memory import peak_memory, reset_peak_memory


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("model", help="a model's short name, a diffusers folder or a Hub id")
    parser.add_argument("--photos", type=typed_path, help="a folder of photos (default: two drawn pictures)")


def run(options: argparse.Namespace) -> bool:
    """`python -m udp check-model`; True if a check failed."""
    start = time.monotonic()
    photos = read_places([options.photos]).photos if options.photos else None
    model = load_model(options.model)
    model.check_network()
    print(f"{options.model}: a {type(model.pipeline).__name__}, {model.resolution} px, on {model.device}")
    reset_peak_memory(model.device)
    ticker, checks = Ticker(), []
    with tempfile.TemporaryDirectory() as folder:
        for check in check_model(model, photos or drawn_photos(model.resolution), Path(folder), ticker):
            checks.append(check)
            print(f"\r{'ok    ' if check.passed else 'FAILED'}  {check.name}: {check.found:<40}")
    failed = [check for check in checks if not check.passed]
    took = f"{time.monotonic() - start:.0f} s, at most {peak_memory(model.device) / 2**30:.1f} GiB"
    verdict = f"{len(failed)} of {len(checks)} checks FAILED" if failed else f"all {len(checks)} checks passed"
    print(f"\n{options.model}: {verdict} ({took})")
    return bool(failed)
