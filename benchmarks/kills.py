"""Killed at random moments, as by a crash, a full memory or a power cut, and started again:

    python -m benchmarks.kills                                             # 50 kills of the commands, 5 of the app
    python -m benchmarks.kills --kills 6 --app-kills 1 --out FILE.json     # a trial

`udp protect` (in sets of two photos), `udp attack` and `udp evaluate`, each on `--model`, get SIGKILL between their
start and a little after their usual end; often the run that goes on is killed too. After every kill each file there must be
whole, and what was finished must stay as it is. The last run is left alone: its folder must hold the same files, byte for byte,
as that of a run that nobody disturbed, and so nothing else. The app is killed while it serves a visitor: what the visitor has
downloaded stays good, and the app that starts after it leaves nothing of the dead one's, and gives the same pictures.

Ends with status 1 and the reasons if anything was otherwise. Runs are forks of this process, which has loaded everything but never
computed, so that a kill costs seconds; Linux and macOS only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads do not survive a fork

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

from udp.cli import build_parser
from udp.cli import main as udp
from udp.models.loading import load_model
from udp.protection import division
from udp.protection.output import UNFINISHED, OutputFolder

PHOTOS = 4
SIDE = 48
TINY = ["--rounds", "1", "--surrogate-steps", "1", "--pgd-steps", "2"]
TRIAL = ["--steps", "10", "--pictures", "1", "--sampling-steps", "1"]
LAB = ["--recipe-steps", "10", "--pictures", "1", "--sampling-steps", "1", "--cleaning", "none"]
COMMANDS = ("protect", "attack", "evaluate")  # in this order: the second takes what the first gives
PATIENCE = 120.0
KILLED_AGAIN = 0.6


def forked(work: Callable[[], int], log: Path) -> int:
    """Run `work` in a child with its output in `log`; the child's process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.environ["TMPDIR"] = tempfile.tempdir = str(log.parent / "tmp")
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def finish(child: int) -> int:
    """Wait for a child; its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_after(child: int, seconds: float) -> bool:
    """SIGKILL after `seconds`; False if it had ended by itself."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return finish(child) == -signal.SIGKILL


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def damaged(folder: Path) -> list[str]:
    """The files below `folder` that are not whole; those that were being written bear another name."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix == ".png":
                with Image.open(path) as image:
                    image.load()
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt") as file:
                    list(file.keys())
            elif path.suffix == ".zip":
                with zipfile.ZipFile(path) as bundle:
                    if bad := bundle.testzip():
                        raise ValueError(bad)
        except Exception as error:
            found.append(f"{path.relative_to(folder)}: {error}")
    return found


def finished_work(folder: Path) -> dict[str, str]:
    """What no later run may change or make again: parts of a protected set, cells of a lab, with their pictures."""
    kept: dict[str, str] = {}
    if (folder / UNFINISHED).exists():
        keys = [part["key"] for part in json.loads((folder / UNFINISHED).read_text()).get("parts", [])]
        for part in OutputFolder(folder, [], keys).done.values():
            kept |= part["files"]
    for cell in (folder / "cells").glob("*.json"):
        for path in (cell, *(cell.parent / name for name in json.loads(cell.read_text())["images"])):
            kept[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return kept


class Killing:
    """One command with its arguments: what it gives undisturbed, and what becomes of it when it is killed."""

    def __init__(self, name: str, arguments: list[str], place: Path, moments: random.Random) -> None:
        self.name, self.arguments, self.place, self.moments = name, arguments, place, moments
        self.out, self.log, self.faults, self.counts = place / name, place / "log", [], Counter()
        start = time.monotonic()
        if status := finish(self.run(place / f"{name}-whole")):
            raise SystemExit(
                f"expected {name} to work undisturbed, got status {status}:\n{self.log.read_text()[-2000:]}"
            )
        self.seconds, self.whole = time.monotonic() - start, contents(place / f"{name}-whole")
        self.temporary = contents(place / "tmp")
        print(f"{name}: {self.seconds:.1f} s undisturbed, {len(self.whole)} files", file=sys.stderr, flush=True)

    def run(self, out: Path) -> int:
        """Start the command with its results in `out`."""
        return forked(lambda: udp([*self.arguments, "--out", str(out)]), self.log)

    def fault(self, text: str) -> None:
        """Remember what should not be."""
        self.faults.append(f"{self.name}, kill {self.counts['kills']}: {text}")
        print(self.faults[-1], file=sys.stderr, flush=True)

    def round(self) -> int:
        """Kill once or twice, then let it finish; how many kills that were."""
        before, kept = self.counts["kills"], {}
        while True:
            self.counts["kills"] += 1
            killed = kill_after(self.run(self.out), self.moments.uniform(0, 1.05 * self.seconds))
            self.counts["under way"] += killed
            for fault in damaged(self.out):
                self.fault(f"not whole: {fault}")
            stamps = {file: (self.out / file).stat().st_mtime_ns for file in kept if (self.out / file).exists()}
            if lost := [file for file in kept if stamps.get(file) != kept[file]]:
                self.fault(f"finished work lost or made again: {', '.join(lost[:3])}")
            now = finished_work(self.out)
            if wrong := [file for file, sha in now.items() if self.whole.get(file) != sha]:
                self.fault(f"finished work is not that of an undisturbed run: {', '.join(wrong[:3])}")
            kept = {file: (self.out / file).stat().st_mtime_ns for file in now}
            self.counts["with finished work"] += bool(now)
            if self.moments.random() > KILLED_AGAIN:
                break
        if status := finish(self.run(self.out)):
            self.fault(f"the next run ended with status {status}: {self.log.read_text()[-500:]}")
        if lost := [file for file, stamp in kept.items() if (self.out / file).stat().st_mtime_ns != stamp]:
            self.fault(f"finished work was made again: {', '.join(lost[:3])}")
        after = contents(self.out)
        if after != self.whole:
            other = sorted(file for file in after.keys() | self.whole.keys() if after.get(file) != self.whole.get(file))
            self.fault(f"the end is not that of an undisturbed run: {', '.join(other[:5])}")
        if left := contents(self.place / "tmp").keys() - self.temporary.keys():
            self.fault(f"left in the temporary folder: {', '.join(sorted(left)[:5])}")
        shutil.rmtree(self.out)
        return self.counts["kills"] - before


def prepare(place: Path, model: str) -> None:
    """Photos below `place`, and all that the runs need loaded, so that a child inherits it."""
    division.SET_PHOTOS = 2
    load_model(model)
    build_parser()  # imports every command
    (place / "photos").mkdir()
    (place / "tmp").mkdir()
    for index in range(PHOTOS):
        pixels = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(place / "photos" / f"{index}.png")


def commands(place: Path, model: str, moments: random.Random, only: list[str]) -> list[Killing]:
    """Those of the three commands that are called in `only`."""
    photos = str(place / "photos")
    given = {
        "protect": [photos, *TINY],
        "attack": ["--instance", str(place / "protect-whole"), *TRIAL],
        "evaluate": [photos, *TINY, *LAB],
    }
    return [Killing(name, [name, "--model", model, *given[name]], place, moments) for name in COMMANDS if name in only]


class App:
    """The app with one visitor; both are children, and the app is killed while the visitor waits."""

    def __init__(self, place: Path, model: str, moments: random.Random) -> None:
        self.place, self.model, self.moments, self.faults, self.counts = place, model, moments, [], Counter()
        self.temporary = place / "app"
        self.temporary.mkdir()
        self.first, self.seconds = None, 5.0
        self.usual: set[str] | None = None  # what lies there before anybody came: gradio's own

    def start(self) -> tuple[int, str]:
        """The app's process id and address, once it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def serve() -> int:
            os.environ |= {"GRADIO_TEMP_DIR": str(self.temporary), "GRADIO_SERVER_PORT": str(port)}
            from udp.ui.page import build, launch_options
            from udp.ui.state.owner import Owner

            build(Owner(model=self.model, models=("mini",))).launch(quiet=True, **launch_options())
            return 0

        child, address, start = forked(serve, self.place / "log"), f"http://127.0.0.1:{port}/", time.monotonic()
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=PATIENCE):
                return child, address
            if os.waitpid(child, os.WNOHANG)[0] or time.monotonic() - start > PATIENCE:
                raise SystemExit(f"expected the app to start, got:\n{(self.place / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def visit(self, address: str, archive: Path) -> int:
        """A visitor who protects three photos and downloads `archive`; the visitor's process id."""

        def visitor() -> int:
            from gradio_client import Client, handle_file

            client = Client(address, verbose=False, download_files=str(archive.parent / "downloads"))
            files = [handle_file(str(path)) for path in sorted((self.place / "photos").iterdir())[:3]]
            settings = {"rounds": 4, "surrogate_steps": 2, "pgd_steps": 4}
            found = client.predict(files, "eudp", 8, "a toy", 0, settings, "", api_name="/protect")
            shutil.copy(found, archive.with_suffix(".part"))
            archive.with_suffix(".part").rename(archive)
            return 0

        return forked(visitor, self.place / "log")

    def pictures(self, archive: Path) -> dict[str, str]:
        """What an archive holds."""
        with zipfile.ZipFile(archive) as bundle:
            return {name: hashlib.sha256(bundle.read(name)).hexdigest() for name in bundle.namelist()}

    def served(self, address: str, archive: Path) -> None:
        """One visit that is left alone."""
        if status := finish(self.visit(address, archive)):
            said = (self.place / "log").read_text()[-800:]
            self.faults.append(f"app: expected a visit to work, got status {status}: {said}")
            return
        found = self.pictures(archive)
        self.first = self.first or found
        if found != self.first:
            self.faults.append("app: other pictures than before the kill")

    def round(self, number: int) -> None:
        """Serve a visitor, be killed under the next, start again."""
        child, address = self.start()
        self.usual = self.usual or {path.name for path in self.temporary.iterdir() if not path.name.startswith("udp-")}
        start = time.monotonic()
        kept = self.place / f"kept-{number}.zip"
        self.served(address, kept)
        self.seconds = time.monotonic() - start
        visitor = self.visit(address, self.place / f"second-{number}.zip")
        time.sleep(self.moments.uniform(0, self.seconds))
        os.kill(child, signal.SIGKILL)
        finish(child)
        finish(visitor)
        self.counts["kills"] += 1
        self.faults += [f"app: not whole: {fault}" for fault in damaged(self.temporary)]
        self.pictures(kept)
        dead = {path.name for path in self.temporary.iterdir()} - self.usual
        child, address = self.start()
        if left := dead & {path.name for path in self.temporary.iterdir()}:
            self.faults.append(f"app, kill {self.counts['kills']}: left by the dead app: {', '.join(sorted(left)[:5])}")
        self.served(address, self.place / f"third-{number}.zip")
        os.kill(child, signal.SIGKILL)
        finish(child)
        self.counts["kills"] += 1


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Kill, check, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="kills of the commands at least (default 50)")
    parser.add_argument("--app-kills", type=int, default=5, help="kills of the app at least (default 5)")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="some of the commands")
    parser.add_argument("--model", default="mini", help="a small one: a kill should cost seconds (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--out", type=Path, help="a file for the figures, as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    moments, start = random.Random(options.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place, options.model)
        killings, done, turn = commands(place, options.model, moments, options.only) if options.kills else [], 0, 0
        while done < options.kills:
            done += killings[turn % len(killings)].round()
            turn += 1
            faults = sum(len(killing.faults) for killing in killings)
            print(f"{done} of {options.kills} kills, {faults} faults", file=sys.stderr, flush=True)
        app = App(place, options.model, moments)
        while app.counts["kills"] < options.app_kills:
            app.round(app.counts["kills"])
    found = {
        "kills": {killing.name: dict(killing.counts) for killing in killings} | {"app": dict(app.counts)},
        "seconds_undisturbed": {killing.name: round(killing.seconds, 1) for killing in killings},
        "minutes": round((time.monotonic() - start) / 60, 1),
        "faults": [fault for killing in killings for fault in killing.faults] + app.faults,
    }
    print(json.dumps(found, indent=2))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if found["faults"]:
        raise SystemExit(1)
    return found


if __name__ == "__main__":
    main()
