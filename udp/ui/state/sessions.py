"""What one visitor has on the server: a private temporary folder and what lies in it, gone when they leave."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is taken for an orphan
    fcntl = None

from udp.errors import InvalidInput, Stopped
from udp.evaluation.cells import MemoryStore
from udp.ui.state.jobs import Job
from udp.ui.state.results import SavedProtection

GRACE_SECONDS = 600  # a reload, or a phone that locks its screen, drops the connection for a while
IDLE_SECONDS = 6 * 3600
MOST_JOBS = 4
CALL = "api-"  # begins the kind of a job that a program asked for: no tab will want it again
UPLOADS = "uploads.txt"  # in a session's folder, a path in JSON a line
LOCK = "in-use"  # in a root folder, locked for as long as its process lives


def remove_orphans(parent: Path) -> None:
    """Delete the root folders of processes that were killed before they could clean up, and their visitors' uploads.

    A process that lives holds a lock on its root. Its number would not do: a container that starts again often has the
    same one, and what two containers share is a volume, not their numbers.
    """
    if fcntl is None:
        return
    roots = [root for root in sorted(parent.glob("udp-*-*")) if root.name.split("-")[1].isdigit()]
    orphans = [(root, lock) for root in roots if (lock := _take_over(root)) is not None]
    orphans += [(r, lock) for r in parent.glob("udp-new-*") if _is_old(r) and (lock := _take_over(r)) is not None]
    gone = {root for root, _ in orphans}
    needed = {path for root in roots if root not in gone for path in _noted_uploads(root)}
    for root, lock in orphans:
        for path in _noted_uploads(root):
            if parent.resolve() in path.parents and path not in needed:
                _remove_upload(path)
        shutil.rmtree(root, ignore_errors=True)
        os.close(lock)


def _take_over(root: Path) -> int | None:
    """The lock of a root whose process is gone, None if it lives or the root is not ours to delete."""
    lock = None
    try:
        if not (root / LOCK).exists() and _runs(root.name.split("-")[1]):
            return None  # of an earlier version, which locked nothing
        lock = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if lock is not None:
            os.close(lock)
        return None
    return lock


def _runs(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass  # it does, and is somebody else's
    return True


def _is_old(place: Path) -> bool:
    """Whether a folder that was never given its name has waited for longer than that takes."""
    try:
        return time.time() - place.stat().st_mtime > 60
    except OSError:
        return False


def new_root(parent: Path) -> tuple[Path, int | None]:
    """A folder for this process, and the lock on it. Raises `InvalidInput` if nothing may be written to `parent`.

    It gets its name when it is locked, so that no other process takes it for an orphan in between.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="udp-new-", dir=parent))
        lock = None
        if fcntl is not None:
            lock = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return place.rename(parent / f"udp-{os.getpid()}-{place.name.removeprefix('udp-new-')}"), lock
    except OSError as error:
        raise InvalidInput(
            f"expected a folder for visitors' photos that this user may write to, got {str(parent)!r} "
            f"({error.strerror or type(error).__name__}): set GRADIO_TEMP_DIR to another one"
        ) from error


def _close(root: Path, lock: int | None) -> None:
    """The end of a process's root, and of what its visitors uploaded, which gradio keeps outside it.

    The notes of these go with the root, so nobody would find them later. The lock goes last, so that nobody else deletes
    at the same time.
    """
    needed = {path for other in root.parent.glob("udp-*-*") if other != root for path in _noted_uploads(other)}
    for path in _noted_uploads(root):
        if root.parent.resolve() in path.parents and path not in needed:
            _remove_upload(path)
    shutil.rmtree(root, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _remove_upload(path: Path) -> None:
    """Delete a file that gradio stored, and the folder that it made for this file alone."""
    with contextlib.suppress(OSError):
        path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()  # unless something else is in it


def _noted_uploads(root: Path) -> list[Path]:
    """What the sessions below `root` noted in `UPLOADS`. A crash may have cut the last line short: it names no file."""
    found = []
    for notes in root.glob(f"*/{UPLOADS}"):
        for line in notes.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(Path(json.loads(line)).resolve())
    return found


@dataclass(eq=False)
class Session:
    """One browser tab, or one API client; after a reload, the same tab again.

    `uploads` are the files that gradio stored for it, `files` what the upload boxes held at the last run, `jobs` the
    latest job of every tab, `unfinished` what the latest one has made so far, by tab, with the key of its work, and `secret`
    what the browser shows to be let in again. `pictures` are those of the last finished attack, by arm. Runs are numbered
    by tab, in the order in which they were asked for.
    """

    folder: Path
    secret: str = ""
    uploads: set[Path] = field(default_factory=set)
    files: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    unfinished: dict[str, tuple[str, MemoryStore]] = field(default_factory=dict)
    pictures: dict[str, list[Path]] = field(default_factory=dict)
    protection: SavedProtection | None = None
    example: SavedProtection | None = None
    last_used: float = field(default_factory=time.monotonic)
    _current: dict[str, Path] = field(default_factory=dict)
    _pressed: dict[str, int] = field(default_factory=dict)
    _stopped: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_uploads(self, paths: Iterable[Path]) -> None:
        """Remember files that gradio stored outside the folder; on disk too, for the process that comes after a crash."""
        new = [path for path in paths if self.folder not in path.parents and path not in self.uploads]
        self.uploads.update(new)
        if new:
            with (self.folder / UPLOADS).open("a", encoding="utf-8") as notes:
                notes.writelines(f"{json.dumps(str(path))}\n" for path in new)

    def new_folder(self, kind: str) -> Path:
        """An empty folder for a run's results; earlier results stay until `keep`."""
        return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self.folder))

    def keep(self, kind: str, folder: Path) -> None:
        """The run in `folder` succeeded: it replaces the earlier results of its kind."""
        earlier = self._current.get(kind)
        self._current[kind] = folder
        if earlier and earlier != folder:
            shutil.rmtree(earlier, ignore_errors=True)

    def store(self, kind: str, key: str) -> MemoryStore:
        """Where a run keeps its finished parts: with those of an earlier run of the same work that did not get to its end.

        A program's call has nobody who would press again, so it starts empty.
        """
        if kind.startswith(CALL):
            return MemoryStore()
        earlier, store = self.unfinished.get(kind, ("", MemoryStore()))
        self.unfinished[kind] = key, store if earlier == key else MemoryStore()
        return self.unfinished[kind][1]

    def press(self, kind: str) -> int:
        """The start button of a tab was pressed: the number of the run that this begins."""
        with self._lock:
            self._pressed[kind] = self._pressed.get(kind, 0) + 1
            return self._pressed[kind]

    def stop(self, kind: str) -> None:
        """End every run of a tab that was begun so far: the latest job, and whatever is still on its way to be one."""
        with self._lock:
            self._stopped[kind] = self._pressed.get(kind, 0)
            if job := self.jobs.get(kind):
                job.stop()

    def begin(self, kind: str, run: int, submit: Callable[[], Job]) -> Job:
        """Submit the job of the run of this number, from `press`. Raises `Stopped`, and submits nothing, if it was stopped.

        `submit` adds the job. Between the press and this lie seconds in which photos are read, and Stop may be pressed.
        """
        with self._lock:
            if run <= self._stopped.get(kind, 0):
                raise Stopped("stopped as asked")
            return submit()

    def superseded(self, kind: str, run: int) -> bool:
        """Whether the start button was pressed again after the run of this number."""
        return run < self._pressed.get(kind, 0)

    def add_job(self, kind: str, job: Job) -> None:
        """Remember a job as the latest of its kind, stopping the one before. Raises `InvalidInput` for too many."""
        if earlier := self.jobs.get(kind):
            earlier.stop()
        if sum(not other.ended for other in self.jobs.values()) >= MOST_JOBS:
            raise InvalidInput(f"expected at most {MOST_JOBS} runs at once from one visitor, got another one")
        self.jobs = {k: j for k, j in self.jobs.items() if not k.startswith(CALL) or not j.ended}
        self.jobs[kind] = job


class Sessions:
    """All visitors, by gradio's session hash, under one root folder that ends with the process.

    A reload gives a tab a new hash; `rejoin` brings it back to its session, so several hashes may share one. `on_removed`
    hears every hash that is gone for good.
    """

    def __init__(
        self, parent: str | Path, grace: float = GRACE_SECONDS, on_removed: Callable[[str], None] = lambda key: None
    ) -> None:
        self.root, self._in_use = new_root(Path(parent))
        remove_orphans(Path(parent))
        self.grace, self.on_removed = grace, on_removed
        self._sessions: dict[str, Session] = {}
        self._leaving: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self.root, self._in_use)

    def get(self, key: str | None) -> Session:
        """The session called `key`, made on first use; None gives a new one that nobody else can reach."""
        key = key or uuid.uuid4().hex
        with self._lock:
            if timer := self._leaving.pop(key, None):
                timer.cancel()
            now = time.monotonic()
            for other in [k for k, s in self._sessions.items() if now - s.last_used > IDLE_SECONDS and k != key]:
                self._forget(other)
            if key not in self._sessions:
                folder = self.root / secrets.token_urlsafe(18)  # part of the links to its files: not to be guessed
                folder.mkdir(mode=0o700)
                self._sessions[key] = Session(folder)
            session = self._sessions[key]
            session.last_used = now
            return session

    def rejoin(self, key: str | None, job_id: str, secret: str) -> bool:
        """Bring a reloaded tab back to the session that has the job `job_id`; False if there is none for it.

        The link alone is not enough, because links are passed on: the browser must also know the session's secret.
        """
        with self._lock:
            for session in {id(s): s for s in self._sessions.values()}.values():
                known = any(secrets.compare_digest(job.id.encode(), job_id.encode()) for job in session.jobs.values())
                if known and session.secret and secrets.compare_digest(session.secret.encode(), secret.encode()):
                    break
            else:
                return False
            if key and self._sessions.get(key) is not session:
                self._remove(key)
                self._sessions[key] = session
            session.last_used = time.monotonic()
            return True

    def leave(self, key: str | None) -> None:
        """The visitor's connection closed: delete everything after the grace time, unless they come back."""
        with self._lock:
            if key not in self._sessions or key in self._leaving:
                return
            timer = threading.Timer(self.grace, self._expire, [key])
            timer.daemon = True
            self._leaving[key] = timer
            timer.start()

    def _expire(self, key: str) -> None:
        with self._lock:
            if self._leaving.pop(key, None):
                self._forget(key)

    def _forget(self, key: str) -> None:
        """Remove a hash whose page is gone; `rejoin` removes what a living one had before."""
        self._remove(key)
        self.on_removed(key)

    def _remove(self, key: str) -> None:
        session = self._sessions.pop(key, None)
        if session is None or session in self._sessions.values():
            return
        for job in session.jobs.values():
            job.stop()
        shutil.rmtree(session.folder, ignore_errors=True)
        # gradio stores uploads by their content, so two visitors with the same file share it.
        # So may those of another process that keeps its files in the same place.
        shared = {path for other in self._sessions.values() for path in other.uploads}
        others = [root for root in self.root.parent.glob("udp-*-*") if root != self.root] if session.uploads else []
        elsewhere = {path for root in others for path in _noted_uploads(root)}
        for path in (path for path in session.uploads - shared if path.resolve() not in elsewhere):
            _remove_upload(path)
