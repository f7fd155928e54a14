"""What every handler shares: the visitors' sessions, the model's name, and how long work is run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from udp.errors import InvalidInput
from udp.evaluation.trial import Trial
from udp.photos import list_photos
from udp.progress import OnProgress, Progress, Stage
from udp.ui.state.jobs import Job, JobLine
from udp.ui.state.owner import Owner
from udp.ui.state.pace import Pace, Stopwatch
from udp.ui.state.sessions import Session, Sessions
from udp.ui.state.values import from_values
from udp.ui.state.work import Runner, Work, limited

MOST_PROMPT = 500
PACKAGE = Path(__file__).parents[2]
# Inside the package where it is installed, beside it in the repository.
EXAMPLES = next((p for p in (PACKAGE / "examples", PACKAGE.parent / "examples") if p.is_dir()), PACKAGE / "examples")


@dataclass(frozen=True)
class Context:
    """`runner` runs work (see `udp.ui.state.work.run_here`), one after the other in `line`."""

    sessions: Sessions
    owner: Owner
    runner: Runner
    line: JobLine = field(default_factory=JobLine)
    pace: Pace = field(default_factory=Pace)

    def session(self, request: gr.Request) -> Session:
        """The visitor's own session."""
        return self.sessions.get(request.session_hash)

    def submit(self, session: Session, kind: str, work: Work, save: Callable[[Any], Any]) -> Job:
        """Start work in the background; the job's result is what `save` makes of the work's.

        Saving is part of the job, so that results are complete even if nobody watches. What was finished of a run that did
        not get to its end stays in the session, and the same work goes on there. Raises `InvalidInput` if too much is
        running already.
        """

        def run(on_progress: OnProgress) -> Any:
            store, watch = session.store(kind, work.key), Stopwatch()
            whole = not store.cells

            def listen(progress: Progress) -> None:
                watch.see(progress)
                on_progress(progress)

            result = self.runner(work, limited(listen, self.owner.most_minutes), store)
            if whole:  # the rest of a run says nothing about a run
                self.pace.note(work.model_name, work.units(), watch.seconds)
            on_progress(Progress(Stage.SAVING, 1, 1, fraction=1.0))
            saved = save(result)
            session.unfinished.pop(kind, None)
            return saved

        job: Job[Any] = Job(run, work)
        self.line.submit(job)
        try:
            session.add_job(kind, job)
        except InvalidInput:
            job.stop()
            raise
        return job


def note_uploads(session: Session, files: Sequence[str] | None) -> list[Path]:
    """The files of an upload box as paths, remembered so that they are deleted with the session."""
    paths = [Path(str(file)) for file in files or []]
    session.add_uploads(paths)
    return paths


def example_files(session: Session, name: str) -> list[str]:
    """The session's own copies of an example set, a folder of `EXAMPLES`. Raises `InvalidInput` if it is not here."""
    if not (EXAMPLES / name).is_dir():
        raise InvalidInput(f"expected the example photos in examples/{name}, got no such folder")
    folder = session.folder / f"example-{name}"
    folder.mkdir(exist_ok=True)
    return [str(shutil.copy(path, folder)) for path in list_photos(EXAMPLES / name)]


def example_name(files: Sequence[Path]) -> str:
    """The name of an example set if all files are of that example set, else ""."""
    names = {path.parent.name for path in files}
    name = names.pop() if len(names) == 1 else ""
    return name.removeprefix("example-") if name.startswith("example-") else ""


def clean_prompt(text: str | None, default: str) -> str:
    """A visitor's prompt on one line, `default` if it is empty.

    Raises `InvalidInput` if it is longer than a prompt or has characters that nobody sees.
    """
    prompt = " ".join((text or "").split())
    if len(prompt) > MOST_PROMPT:
        raise InvalidInput(f"expected a prompt of at most {MOST_PROMPT} characters, got {len(prompt)}")
    if hidden := next((letter for letter in prompt if not letter.isprintable()), ""):
        raise InvalidInput(f"expected a prompt of characters that can be seen, got U+{ord(hidden):04X} in it")
    return prompt or default


def whole_seed(value: float | None) -> int:
    """A seed from a number box. Raises `InvalidInput` unless it is one that a trial takes."""
    return from_values(Trial, {"seed": value}).seed
