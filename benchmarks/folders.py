"""Memory of protecting a folder of many large photos, set after set:

    python -m benchmarks.folders                            # 32 photos of 12 megapixels: two sets
    python -m benchmarks.folders --photos 150 --method eudp

Makes JPEGs, runs `udp protect` in a process of its own and follows its peak resident size (VmHWM, so Linux only). The peak after the
first set and the peak at the end say whether memory grows with the folder. Random noise, the default here, holds as much of a photo
as any method does; what a model needs beside that is in `benchmarks.memory`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from udp.files import MANIFEST
from udp.protection.output import UNFINISHED


def make(folder: Path, count: int, width: int, height: int) -> None:
    """`count` JPEGs of coloured clouds with grain, no two alike."""
    folder.mkdir()
    for index in range(count):
        random = np.random.default_rng(index)
        clouds = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((width, height), 3)
        grain = random.integers(-6, 7, (height, width, 1), dtype=np.int16)
        pixels = np.clip(np.asarray(clouds) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"photo-{index:04}.jpg", quality=90)


def peak(process: subprocess.Popen) -> float:
    """The largest resident size so far, in MiB; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        return 0.0


def sets_done(out: Path) -> int:
    """How many sets are finished."""
    try:
        return len(json.loads((out / UNFINISHED).read_text(encoding="utf-8"))["parts"])
    except (OSError, ValueError, KeyError):
        return 0


def main() -> None:
    """Make, protect, follow, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--size", type=int, nargs=2, default=(4000, 3000), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--method", default="random")
    parser.add_argument("--model", default="mini")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos, out = Path(folder) / "photos", Path(folder) / "out"
        make(photos, options.photos, *options.size)
        command = [sys.executable, "-m", "udp", "protect", str(photos), "--out", str(out), "--method", options.method]
        start, peaks, last = time.monotonic(), {}, 0.0
        process = subprocess.Popen([*command, "--model", options.model], stderr=subprocess.DEVNULL)
        while process.poll() is None:
            last = max(last, peak(process))
            if (done := sets_done(out)) and done not in peaks:
                peaks[done] = last
                print(f"{done} sets: {last:.0f} MiB, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
            time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"expected protect to work, got status {process.returncode}")
        sets = json.loads((out / MANIFEST).read_text(encoding="utf-8")).get("sets", [{"photos": options.photos}])
    found = {
        "photos": options.photos,
        "megapixels_each": options.size[0] * options.size[1] / 1e6,
        "sets": [row["photos"] for row in sets],
        "peak_mib_after_first_set": round(peaks.get(1, last)),
        "peak_mib": round(last),
        "seconds": round(time.monotonic() - start),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
