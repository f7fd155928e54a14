"""Many visitors at once for a while, with the server killed and started again in the middle.

    python -m benchmarks.soak                              # 20 visitors for 10 minutes
    python -m benchmarks.soak --visitors 2 --minutes 1     # a trial

Starts app.py on loopback with the embedded model and a temporary folder of its own. Every visitor protects small photos
again and again, now and then attacks them, checks each ZIP on arrival and keeps it. Half-way the server is killed as a
crash would do it, and started again. At the end every kept file is read again. A visitor's photos, seed and settings stay
the same, so every ZIP of theirs must hold the same pictures, before and after the kill.

Prints figures as JSON and leaves with status 1 if there was an error of ours, a damaged file, or a folder left over.
Memory is the server's resident size; it is read from /proc, so Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # the client would report its use too

import numpy as np
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from udp.ui.state.context import EXAMPLES
from udp.ui.state.sessions import LOCK

ROOT = Path(__file__).parents[1]
PROTECT = {"rounds": 1, "surrogate_steps": 1, "pgd_steps": 2, "draws": 1}
BUDGET_LEVELS = 8
ATTACK_STEPS = 10
SIDE = 128
PHOTOS = 2
KEEP_SECONDS = 6
PATIENCE = 600  # seconds for the server to answer, or for what is left over to go
FULL = "runs in line"  # from the refusal of a full line, which is no error


class Server:
    """One running app; `memory` is (seconds since it answered, MiB) every few seconds."""

    def __init__(self, temporary: Path, log: Path, visitors: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.memory: list[tuple[float, float]] = []
        self.quiet = threading.Event()  # the visitors have gone: memory at rest would hide growth
        environment = {
            **os.environ,
            "GRADIO_TEMP_DIR": str(temporary),
            "GRADIO_SERVER_PORT": str(port),
            "UDP_MODEL": "mini",
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "UDP_KEEP_MINUTES": f"{KEEP_SECONDS / 60}",
            "UDP_MOST_WAITING": f"{max(20, visitors)}",
            "HF_HUB_OFFLINE": "1",
        }
        started = time.monotonic()
        with log.open("a") as file:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=file, stderr=file
            )
        wait_for(self._answers, "the page to answer")
        self.seconds_to_first_page = time.monotonic() - started
        print(f"the page answers after {self.seconds_to_first_page:.0f} s", file=sys.stderr, flush=True)
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        self.cpu_seconds_to_first_page = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")  # whatever else runs here
        threading.Thread(target=self._watch, daemon=True).start()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"expected the app to run, got exit status {self.process.returncode}: see the log")
        try:
            with urllib.request.urlopen(self.address, timeout=PATIENCE) as page:
                return page.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def _watch(self) -> None:
        started, status = time.monotonic(), Path(f"/proc/{self.process.pid}/status")
        while not self.quiet.is_set() and self.process.poll() is None:
            try:
                line = next(row for row in status.read_text().splitlines() if row.startswith("VmRSS"))
            except (OSError, StopIteration):
                return  # it has just ended
            self.memory.append((time.monotonic() - started, int(line.split()[1]) / 1024))
            time.sleep(2)

    def end(self, how: signal.Signals) -> None:
        """SIGKILL as a crash, SIGINT as an owner's Ctrl-C."""
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE)

    def figures(self) -> dict[str, Any]:
        """Start-up, and memory under load: every half minute, at its highest, at the end, growth over the second half."""
        times, sizes = np.array(self.memory).T
        points = np.arange(0, times[-1], 30)
        late = times >= times[-1] / 2
        slope = np.polyfit(times[late] / 60, sizes[late], 1)[0] if late.sum() > 2 else float("nan")
        return {
            "seconds_to_first_page": round(self.seconds_to_first_page, 1),
            "cpu_seconds_to_first_page": round(self.cpu_seconds_to_first_page, 1),
            "most_mib": round(sizes.max()),
            "last_mib": round(sizes[-1]),
            "growth_mib_a_minute": round(float(slope), 1),
            "mib_every_half_minute": np.interp(points, times, sizes).round().astype(int).tolist(),
        }


@dataclass
class Tally:
    """What all visitors met, and the digest of every file that they keep."""

    finished: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    cut_off: int = 0
    errors: list[str] = field(default_factory=list)
    kept: dict[Path, str] = field(default_factory=dict)
    pictures: dict[tuple[int, str], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arrived(self, visitor: int, kind: str, archive: Path) -> None:
        """A job has finished: check its ZIP and remember it."""
        digest = pictures_digest(archive)
        with self.lock:
            self.finished[kind] += 1
            self.kept[archive] = file_digest(archive)
            if self.pictures.setdefault((visitor, kind), digest) != digest:
                self.errors.append(f"visitor {visitor}: expected the same pictures from the same {kind}, got others")

    def damaged(self) -> list[str]:
        """Kept files that are not what they were on arrival."""
        return [path.name for path, digest in self.kept.items() if not path.is_file() or file_digest(path) != digest]


class Visitor:
    """Protects and attacks the same photos until `until()` says stop."""

    def __init__(self, number: int, folder: Path, tally: Tally, attack_every: int) -> None:
        self.number, self.folder, self.tally, self.attack_every = number, folder, tally, attack_every
        self.folder.mkdir()
        sources = sorted((ROOT / "examples" / "subject").glob("*.png"))
        self.photos = []
        for index in range(PHOTOS):
            path = folder / f"photo_{index}.png"
            image = Image.open(sources[(number + index) % len(sources)]).convert("RGB")
            image.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(path)
            self.photos.append(path)

    def visit(self, address: str, until: Callable[[], bool]) -> None:
        """One page visit after the other."""
        count = 0
        while not until():
            count += 1
            client = None
            try:
                place = tempfile.mkdtemp(dir=self.folder)
                client = Client(
                    address,
                    verbose=False,
                    download_files=place,
                    analytics_enabled=False,
                    httpx_kwargs={"timeout": PATIENCE},
                )
                self._protect(client, until)
                if count % self.attack_every == 0:
                    self._attack(client, until)
            except Exception as error:  # whatever comes is what this program is there to find
                self._note(error, until)
            finally:
                if client:
                    client.close()

    def _note(self, error: Exception, until: Callable[[], bool]) -> None:
        with self.tally.lock:
            if isinstance(error, AppError) and FULL in str(error):
                self.tally.refused += 1
            elif until():
                self.tally.cut_off += 1
            else:
                self.tally.errors.append(f"visitor {self.number}: {type(error).__name__}: {str(error)[:300]}")
        time.sleep(1)

    def _call(self, client: Client, until: Callable[[], bool], *values: Any, **named: Any) -> Any:
        job = client.submit(*values, **named)
        while not job.done():
            if until():
                raise TimeoutError("the server is going down")
            time.sleep(0.2)
        return job.result()

    def _protect(self, client: Client, until: Callable[[], bool]) -> None:
        photos = [handle_file(path) for path in self.photos]
        archive = self._call(
            client, until, photos, budget_levels=BUDGET_LEVELS, seed=self.number, settings=PROTECT, api_name="/protect"
        )
        with zipfile.ZipFile(archive) as bundle:
            for path in self.photos:
                with bundle.open(path.name) as file:
                    change = np.abs(pixels(file) - pixels(path)).max()
                if not 0 < change <= BUDGET_LEVELS:
                    raise ValueError(f"expected a change of 1 to {BUDGET_LEVELS} levels, got {change}")
            bundle.extractall(Path(archive).parent)
        self.protected = [Path(archive).parent / path.name for path in self.photos]
        self.tally.arrived(self.number, "protect", Path(archive))

    def _attack(self, client: Client, until: Callable[[], bool]) -> None:
        sets = [[handle_file(path) for path in paths] for paths in (self.photos, self.protected)]
        verdict, archive = self._call(
            client, until, *sets, steps=ATTACK_STEPS, pictures=1, seed=self.number, api_name="/attack"
        )
        if not verdict.endswith("."):
            raise ValueError(f"expected a verdict, got {verdict!r}")
        self.tally.arrived(self.number, "attack", Path(archive))


def pixels(source: Any) -> np.ndarray:
    """A picture as signed numbers."""
    return np.asarray(Image.open(source).convert("RGB")).astype(int)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pictures_digest(archive: Path) -> str:
    """SHA-256 of the pictures in a ZIP, by name. Raises `ValueError` for a damaged ZIP."""
    found = hashlib.sha256()
    with zipfile.ZipFile(archive) as bundle:
        if bad := bundle.testzip():
            raise ValueError(f"expected a whole ZIP, got a damaged {bad}")
        for name in sorted(bundle.namelist()):
            if name.endswith(".png"):
                found.update(name.encode() + bundle.read(name))
    return found.hexdigest()


def wait_for(true: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Look every fifth of a second. Raises `TimeoutError`."""
    end = time.monotonic() + patience
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"expected {what} within {patience:g} s, got nothing")
        time.sleep(0.2)


def half(server: Server, visitors: list[Visitor], tally: Tally, seconds: float, kill: bool) -> None:
    """All visitors at once for a while, and until one job at least has finished; then kill the server under them."""
    end, before, going_down = time.monotonic() + seconds, sum(tally.finished.values()), threading.Event()
    threads = [threading.Thread(target=v.visit, args=(server.address, going_down.is_set)) for v in visitors]
    for thread in threads:
        thread.start()
    wait_for(
        lambda: time.monotonic() > end and (sum(tally.finished.values()) > before or bool(tally.errors)),
        "a job to finish",
        seconds + PATIENCE,
    )
    going_down.set()
    server.quiet.set()
    print(f"finished so far: {dict(tally.finished)}", file=sys.stderr, flush=True)
    if kill:
        server.end(signal.SIGKILL)
    for thread in threads:
        thread.join(timeout=PATIENCE)


def leftovers(temporary: Path) -> list[str]:
    """Folders of sessions, and files of any kind, below the server's temporary folder.

    But for the pictures of the page's own example, which gradio copies there, and the mark of a server that lives.
    """
    own = {path.read_bytes() for path in EXAMPLES.rglob("*.png")}
    found = [path for path in [*temporary.glob("udp-*/*"), *temporary.rglob("*.*")] if path.exists()]
    kept = [path for path in found if path.name != LOCK and not (path.is_file() and path.read_bytes() in own)]
    return [str(path.relative_to(temporary)) for path in kept]


def soak(work: Path, visitors: int, minutes: float, attack_every: int) -> dict[str, Any]:
    """Both halves; the figures."""
    temporary, log, tally = work / "server", work / "server.log", Tally()
    temporary.mkdir()
    people = [Visitor(number, work / f"visitor-{number}", tally, attack_every) for number in range(visitors)]
    first = Server(temporary, log, visitors)
    half(first, people, tally, 30 * minutes, kill=True)
    orphans = len(list(temporary.glob("udp-*")))
    second = Server(temporary, log, visitors)
    uncleared = leftovers(temporary)  # nobody has visited the second server yet
    half(second, people, tally, 30 * minutes, kill=False)
    with contextlib.suppress(TimeoutError):  # what is left is counted below
        wait_for(lambda: not list(temporary.glob("udp-*/*")), "the folders to go", KEEP_SECONDS + 60)
    left = leftovers(temporary)
    second.end(signal.SIGINT)
    return {
        "visitors": visitors,
        "minutes": minutes,
        "finished": dict(tally.finished),
        "refused_line_full": tally.refused,
        "cut_off_by_the_kill_or_the_end": tally.cut_off,
        "errors": tally.errors,
        "folders_that_the_kill_left": orphans,
        "left_after_the_restart": uncleared,
        "kept_files": len(tally.kept),
        "damaged": tally.damaged(),
        "left_after_the_visits": left,
        "left_after_the_end": leftovers(temporary),
        "first_server": first.figures(),
        "second_server": second.figures(),
    }


def main() -> None:
    """Run it and say whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--attack-every", type=int, default=4, help="every which visit attacks as well")
    options = parser.parse_args()
    # A shell's background job ignores SIGINT and hands that down; a handler here gives the app the default again.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="soak-") as work:
        found = soak(Path(work), options.visitors, options.minutes, options.attack_every)
        print(json.dumps(found, indent=2))
        if any(value for name, value in found.items() if name in ("errors", "damaged") or name.startswith("left_")):
            sys.exit((Path(work) / "server.log").read_text()[-3000:] or 1)


if __name__ == "__main__":
    main()
