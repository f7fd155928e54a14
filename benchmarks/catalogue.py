"""A catalogue of sets by several processes: killed and gone on with, how much faster two are than one, and ten thousand photos.

    python -m benchmarks.catalogue --out docs/scale.json                     # all but Ray, which is an extra
    python -m benchmarks.catalogue ray                                       # pip install "ray[data]"
    python -m benchmarks.catalogue kill --model TINY_MODEL --forked          # the test

*kill*: two processes, started by `accelerate launch`, protect 40 small sets; one gets SIGKILL in the middle, and the same command
again must finish, make nothing again that was finished, and end with the bytes of a single process. *throughput*: the same sets by
one process and by two, of one thread each, in turn; the rate is from the first finished set of each process to the last. *many*:
10,000 photos of 48 px with random noise: memory as sets are finished, seconds of listing and of a run that finds all done.
*methods*: processor seconds of a photo, by method, on one thread, and the operations that a GPU would need for one with Stable
Diffusion 1.5, counted without weights. *ray*: the recipe of `examples/ray_catalogue.py` on two local workers, stopped by nothing, run
twice, against a single process.

Ends with status 1 if a result is not as it must be. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.catalogue_costs import SET, TIMED, methods
from benchmarks.folders import peak
from udp.catalogue.layout import METADATA, Layout
from udp.catalogue.listing import list_sets
from udp.catalogue.notes import NOTES, Notes
from udp.cli import main as udp
from udp.protection.methods import METHODS

SETS = 40
QUICK = ["--rounds", "1", "--surrogate-steps", "1", "--pgd-steps", "2"]
SECONDS_OF_WORK = ["--rounds", "2", "--surrogate-steps", "2", "--pgd-steps", "4"]
PATIENCE = 1200.0


def photos(folder: Path, sets: int, of: int, side: int = 48) -> Path:
    """A tree of sets of so many photos, no two alike."""
    for index in range(sets * of):
        random = np.random.default_rng(index)
        pixels = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        place = folder / f"artist-{index // of // 10:03}" / f"set-{index // of:05}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((side, side), 3).save(place / f"{index % of:03}.png")
    return folder


def finished(out: Path) -> dict[str, int]:
    """The notes of finished sets, with the time of each in nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in (out / NOTES / "sets").glob("*.json")}


def contents(out: Path) -> dict[str, bytes]:
    """All files, by their paths."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def launched(line: list[str], processes: int) -> tuple[subprocess.Popen, Callable[[], list[int]]]:
    """`udp` by `accelerate launch`, and how to find its workers. --multi_gpu is what starts several, on processors too."""
    start = ["accelerate", "launch", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    start += ["--num_processes", str(processes), *(["--multi_gpu"] if processes > 1 else [])]
    start += ["--main_process_port", str(free_port()), "-m", "udp", *line]
    started = subprocess.Popen(start, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)

    def workers() -> list[int]:
        below = psutil.Process(started.pid).children(recursive=True)
        return [child.pid for child in below if "protect-many" in child.cmdline()]

    return started, workers


class Forked:
    """Processes as `accelerate launch` starts them, its variables and all, but forks of this one: a start costs nothing."""

    def __init__(self, line: list[str], processes: int) -> None:
        shared = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1"}
        shared["MASTER_PORT"] = str(free_port())
        self.pids = [self._fork(line, {**shared, "RANK": str(i), "LOCAL_RANK": str(i)}) for i in range(processes)]

    def _fork(self, line: list[str], variables: dict[str, str]) -> int:
        if child := os.fork():
            return child
        os.environ |= variables
        status = 1
        try:
            status = udp(line)
        finally:
            os._exit(status)

    def wait(self) -> int:
        """The worst exit status, when all have ended."""
        return max(os.waitpid(pid, 0)[1] for pid in self.pids)


def run_two(line: list[str], forked: bool) -> None:
    """Two processes to their end. Raises `SystemExit` if they fail."""
    if forked:
        status, said = Forked(line, 2).wait(), ""
    else:
        started, _ = launched(line, 2)
        said = started.communicate()[1]
        status = started.returncode
    if status:
        raise SystemExit(f"expected two processes to finish, got status {status}: {said[-2000:]}")


def kill(room: Path, options: argparse.Namespace) -> dict[str, object]:
    """See above."""
    source = photos(room / "kill", SETS, 2)
    line = ["protect-many", str(source), "--model", options.model, *QUICK, "--out"]
    out, whole = room / "kill-two", room / "kill-one"
    if options.forked:
        forked = Forked([*line, str(out)], 2)
        pids, ended = lambda: forked.pids, lambda: None
    else:
        started, pids = launched([*line, str(out)], 2)
        ended = started.poll
    start = time.monotonic()
    while len(finished(out)) < SETS // 4 and ended() is None and time.monotonic() - start < PATIENCE:
        time.sleep(0.005)
    os.kill(pids()[-1], signal.SIGKILL)
    if options.forked:
        forked.wait()
    else:
        started.communicate()
    before = finished(out)
    # Only of sets that have their note, the last that is written: one that was cut off just before it is made again, as it must.
    done = {json.loads((out / NOTES / "sets" / name).read_text(encoding="utf-8"))["set"] for name in before}
    made = {
        path: path.stat().st_mtime_ns for path in out.rglob("*.png") if path.parent.relative_to(out).as_posix() in done
    }
    run_two([*line, str(out)], options.forked)
    after = finished(out)
    repeated = [name for name, at in before.items() if after.get(name) != at]
    repeated += [str(path) for path, at in made.items() if path.stat().st_mtime_ns != at]
    if udp([*line, str(whole)]):
        raise SystemExit("expected a single process to finish, got an error")
    one, two = contents(whole), contents(out)
    different = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
    return {
        "sets": len(after),
        "sets_before_the_rerun": len(before),
        "repeated": repeated,
        "different": different,
        "files": len(one),
    }


def throughput(room: Path, options: argparse.Namespace) -> dict[str, object]:
    """See above."""
    source = photos(room / "rate", options.sets, 4, 128)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(options.turns):
        for count in (1, 2):
            out = room / f"rate-{turn}-{count}"
            started, _ = launched(
                ["protect-many", str(source), "--out", str(out), "--model", options.model, *SECONDS_OF_WORK], count
            )
            said = started.communicate()[1]
            if started.returncode:
                raise SystemExit(f"expected {count} processes to finish, got: {said[-2000:]}")
            at = sorted(finished(out).values())
            rates[count].append((len(at) - count) / (at[-1] - at[count - 1]) * 1e9 * 3600)
            print(f"{count} processes: {rates[count][-1]:.0f} sets an hour", file=sys.stderr, flush=True)
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return {
        "sets_an_hour": {str(count): [round(rate) for rate in found] for count, found in rates.items()},
        "ratios": [round(ratio, 2) for ratio in ratios],
        "load_before": round(options.load, 2),
    }


def many(room: Path, options: argparse.Namespace) -> dict[str, object]:
    """See above."""
    source = photos(room / "many", options.many // 100, 100)
    start = time.monotonic()
    listing = list_sets(source, Layout(), room / "notes")
    listed = time.monotonic() - start
    out = room / "many-out"
    line = [sys.executable, "-m", "udp", "protect-many", str(source), "--out", str(out), "--method", "random"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start, memory = time.monotonic(), dict[int, int]()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, env=environment)
    while process.poll() is None:
        tenth = len(finished(out)) * 10 // len(listing.groups) * 10
        if tenth and (found := peak(process)):
            memory.setdefault(tenth, round(found))
        time.sleep(0.5)
    worked = time.monotonic() - start
    start = time.monotonic()
    again = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
    rerun = time.monotonic() - start
    index = sum(1 for _ in (out / METADATA).open())
    if process.returncode or index != options.many or "0 sets in" not in again.stdout:
        raise SystemExit(f"expected {options.many} photos once, got {index}, and: {again.stdout}")
    return {
        "photos": options.many,
        "sets": len(listing.groups),
        "list_seconds": round(listed, 2),
        "seconds": round(worked),
        "peak_mib_by_percent_of_sets": memory,
        "resume_command_seconds": round(rerun, 1),
        "resume_seconds_after_start": float(again.stdout.split(" sets in ")[1].split(" s,")[0]),
    }


def ray(room: Path, options: argparse.Namespace) -> dict[str, object]:
    """See above."""
    source, out, whole = photos(room / "ray", 12, 2, 64), room / "ray-out", room / "ray-whole"
    line = [
        sys.executable,
        "-m",
        "examples.ray_catalogue",
        str(source),
        "--out",
        str(out),
        "--steps",
        "4",
        "--workers",
        "2",
    ]
    seconds = []
    for _ in range(2):
        start = time.monotonic()
        # Ray's workers are modest by default, and would wait for whatever else this machine does.
        subprocess.run(line, check=True, env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"})
        seconds.append(round(time.monotonic() - start))
    one = [
        "protect-many",
        str(source),
        "--method",
        "photoguard",
        "--pgd-steps",
        "4",
        "--groups",
        "one",
        "--out",
        str(whole),
    ]
    if udp(one):
        raise SystemExit("expected a single process to finish, got an error")
    mine, theirs = contents(whole), contents(out)
    ours = {name for name in mine | theirs if not name.startswith(f"{NOTES}/ray")}
    return {
        "sets": len(finished(out)),
        "seconds": seconds,
        "different": sorted(name for name in ours if mine.get(name) != theirs.get(name)),
        "rows": sum(1 for _ in (out / METADATA).open()),
        "notes": len(Notes(out).settled()["sets"]),
    }


WORK = {"kill": kill, "throughput": throughput, "many": many, "methods": methods, "ray": ray}


def faults(found: dict[str, dict]) -> Iterator[str]:
    """What is not as it must be."""
    for name in ("kill", "ray"):
        for fault in ("repeated", "different"):
            if found.get(name, {}).get(fault):
                yield f"{name}: {fault} {found[name][fault][:5]}"
    if "kill" in found and not 0 < found["kill"]["sets_before_the_rerun"] < found["kill"]["sets"] == SETS:
        yield f"kill: expected it in the middle, got {found['kill']}"


def main() -> None:
    """Do what is asked for, write, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", choices=(*WORK, []), help="what to measure (default: all but ray)")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--forked", action="store_true", help="for kill: forks instead of `accelerate launch`")
    parser.add_argument("--sets", type=int, default=24, help="for throughput")
    parser.add_argument("--turns", type=int, default=2, help="for throughput")
    parser.add_argument("--many", type=int, default=10_000, help="photos")
    parser.add_argument("--photos", type=int, default=SET, help="for methods: how many of examples/subject are a set")
    parser.add_argument("--methods", nargs="+", default=TIMED, choices=tuple(METHODS))
    parser.add_argument("--out", type=Path, help="a JSON file that the figures are added to")
    options = parser.parse_args()
    options.load = os.getloadavg()[0]
    found: dict[str, dict] = {}
    if options.out and options.out.exists():
        found = json.loads(options.out.read_text())
    for name in options.work or [name for name in WORK if name != "ray"]:
        with tempfile.TemporaryDirectory() as room, contextlib.redirect_stdout(sys.stderr):
            found[name] = WORK[name](Path(room), options)
            found[name]["date"] = datetime.date.today().isoformat()
            found[name]["machine"] = (
                f"{os.cpu_count()} CPU cores, torch {torch.__version__}, load {options.load:.1f} before"
            )
        if options.out:
            options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    if amiss := list(faults(found)):
        raise SystemExit("\n".join(amiss))


if __name__ == "__main__":
    main()
