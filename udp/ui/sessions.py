"""What one visitor has on the server: a private temporary folder and what lies in it, gone when they leave."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from udp.ui.results import SavedProtection

GRACE_SECONDS = 300  # a phone that locks its screen drops the connection for a moment
IDLE_SECONDS = 6 * 3600


def remove_orphans(parent: Path) -> None:
    """Delete the root folders of processes that were killed before they could clean up."""
    if os.name != "posix":
        return  # elsewhere signal 0 is not a question
    for root in parent.glob("udp-*-*"):
        try:
            os.kill(int(root.name.split("-")[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(root, ignore_errors=True)
        except (ValueError, PermissionError):
            continue


@dataclass
class Session:
    """One browser tab, or one API client. `uploads` are the files that gradio stored for it."""

    folder: Path
    uploads: set[Path] = field(default_factory=set)
    protection: SavedProtection | None = None
    example: SavedProtection | None = None
    last_used: float = field(default_factory=time.monotonic)
    _current: dict[str, Path] = field(default_factory=dict)

    def new_folder(self, kind: str) -> Path:
        """An empty folder for a run's results; earlier results stay until `keep`."""
        return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self.folder))

    def keep(self, kind: str, folder: Path) -> None:
        """The run in `folder` succeeded: it replaces the earlier results of its kind."""
        earlier = self._current.get(kind)
        self._current[kind] = folder
        if earlier and earlier != folder:
            shutil.rmtree(earlier, ignore_errors=True)


class Sessions:
    """All visitors, by gradio's session hash, under one root folder that ends with the process."""

    def __init__(self, parent: str | Path, grace: float = GRACE_SECONDS) -> None:
        Path(parent).mkdir(parents=True, exist_ok=True)
        remove_orphans(Path(parent))
        self.root = Path(tempfile.mkdtemp(prefix=f"udp-{os.getpid()}-", dir=parent))
        self.grace = grace
        self._sessions: dict[str, Session] = {}
        self._leaving: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()
        weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def get(self, key: str | None) -> Session:
        """The session called `key`, made on first use; None gives a new one that nobody else can reach."""
        key = key or uuid.uuid4().hex
        with self._lock:
            if timer := self._leaving.pop(key, None):
                timer.cancel()
            now = time.monotonic()
            for other in [k for k, s in self._sessions.items() if now - s.last_used > IDLE_SECONDS and k != key]:
                self._remove(other)
            if key not in self._sessions:
                self._sessions[key] = Session(Path(tempfile.mkdtemp(dir=self.root)))
            session = self._sessions[key]
            session.last_used = now
            return session

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
                self._remove(key)

    def _remove(self, key: str) -> None:
        session = self._sessions.pop(key, None)
        if session is None:
            return
        shutil.rmtree(session.folder, ignore_errors=True)
        # gradio stores uploads by their content, so two visitors with the same file share it.
        shared = {path for other in self._sessions.values() for path in other.uploads}
        for path in session.uploads - shared:
            path.unlink(missing_ok=True)
