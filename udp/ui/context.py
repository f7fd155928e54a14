"""What every handler shares: the visitors' sessions, the model's name, and how long work is run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from udp.errors import InvalidInput
from udp.images import list_photos
from udp.jobs import Update
from udp.ui.owner import Owner
from udp.ui.sessions import Session, Sessions
from udp.ui.work import Finished, Stream, Work

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Context:
    """`stream` runs work (see `udp.ui.work.stream`)."""

    sessions: Sessions
    owner: Owner
    stream: Stream

    def session(self, request: gr.Request) -> Session:
        """The visitor's own session."""
        return self.sessions.get(request.session_hash)

    def run(self, work: Work) -> Iterator[Update | Finished]:
        """Updates, then `Finished`."""
        minutes = self.owner.most_minutes
        return self.stream(work, minutes and 60 * minutes)

    def result(self, work: Work) -> Any:
        """Run to the end and return the result, for API calls."""
        return last_result(self.run(work))


def last_result(events: Iterator[Update | Finished], on_update: Callable[[Update], None] | None = None) -> Any:
    """Drain a stream and return what the work returned."""
    for event in events:
        if isinstance(event, Finished):
            return event.result
        if on_update:
            on_update(event)
    raise AssertionError("a stream ends with Finished or raises")


def note_uploads(session: Session, files: Sequence[str] | None) -> list[Path]:
    """The files of an upload box as paths, remembered so that they are deleted with the session."""
    paths = [Path(str(file)) for file in files or []]
    session.uploads.update(path for path in paths if session.folder not in path.parents)
    return paths


def example_files(session: Session, name: str) -> list[str]:
    """The session's own copies of an example set ("subject" or "style"). Raises `InvalidInput` if it is not here."""
    if not (EXAMPLES / name).is_dir():
        raise InvalidInput(f"expected the example photos in examples/{name}, got no such folder")
    folder = session.folder / f"example-{name}"
    folder.mkdir(exist_ok=True)
    return [str(shutil.copy(path, folder)) for path in list_photos(EXAMPLES / name)]


def example_name(files: Sequence[Path]) -> str:
    """Return "subject" or "style" if all files are of that example set, else ""."""
    names = {path.parent.name for path in files}
    name = names.pop() if len(names) == 1 else ""
    return name.removeprefix("example-") if name.startswith("example-") else ""


def whole_seed(value: float | None) -> int:
    """A seed from a number box. Raises `InvalidInput` unless it is a whole number of 0 or more."""
    if value is None or isinstance(value, bool) or value != int(value) or not 0 <= value < 2**31:
        raise InvalidInput(f"expected the seed to be a whole number from 0 to {2**31 - 1}, got {value!r}")
    return int(value)
