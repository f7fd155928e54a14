"""What every tab with long work has: a start and a stop button, a bar, a loss plot, and a way back after a reload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, ClassVar

import gradio as gr

from udp.errors import Stopped, UDPError
from udp.language import ENGLISH, Text, text
from udp.progress import Progress
from udp.ui.parts import progress as show
from udp.ui.parts.errors import friendly
from udp.ui.parts.inputs import Inputs
from udp.ui.parts.layout import QUICK, WATCH, loss_plot, plot_of
from udp.ui.parts.link import REMEMBER_JOB, SETTLED, Controls, Values
from udp.ui.parts.preset_menu import PresetMenu
from udp.ui.parts.sampling import Sampling
from udp.ui.say import word
from udp.ui.state.context import Context
from udp.ui.state.jobs import Job, JobLine
from udp.ui.state.sessions import Session
from udp.ui.state.work import Work
from udp.ui.tabs.base import Tab

Updates = dict[Any, Any]
# A piece of work, and what saves its result; a job's two halves.
Prepared = tuple[Work, Callable[[Any], Any]]
SHOW_SECONDS = 1.0  # an update costs the browser some tenths of a second of work, and nobody reads faster
LOOK_SECONDS = 0.1
STOPPED = text("job.stopped")


async def watch(job: Job, line: JobLine) -> AsyncIterator[list[Progress]]:
    """New progress every `SHOW_SECONDS`, or [] when only the place in line changed, until the job is over."""
    seen, place = 0, -1
    while True:
        ended = job.ended
        news, now = job.history[seen:], line.place(job)
        if news or now != place:
            seen, place = seen + len(news), now
            yield news
        if ended:
            return
        until = time.monotonic() + SHOW_SECONDS
        while not job.ended and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)


class JobTab(Tab):
    """Base of the tabs. A subclass builds its layout with `buttons` and `progress_area` and says what to show.

    Work belongs to the session, not to a handler: handlers only submit a job and watch the session's latest one, so
    that a reloaded page finds it again.
    """

    series: ClassVar[Mapping[str, show.Series]]
    starts: ClassVar[str]  # the text of the button that starts the work
    preset: PresetMenu

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.inputs = Inputs()
        self.sampling: Sampling | None = None
        self.examples: list[gr.Button] = []

    def buttons(self) -> None:
        """Start, and Stop in its place while work runs."""
        self.estimate_line = gr.HTML(padding=False)
        self.start = gr.Button(word(self.starts), variant="primary", size="lg")
        self.stop = gr.Button(word("page.stop"), variant="stop", size="lg", visible=False)
        self.job_id = gr.Textbox(visible="hidden", label="job", container=False)
        self.run = gr.Number(0, visible="hidden", label="run", container=False, precision=0)
        self.settled = gr.Number(0, visible="hidden", label="settled", container=False, precision=0)
        self.follows = gr.Textbox(visible="hidden", label="follows", container=False)

    def progress_area(self, plot_label: str, legend: str) -> None:
        """The bar and the loss plot."""
        self.progress = gr.HTML(visible=False, padding=False)
        self.plot, self.legend = loss_plot(self.series, plot_label, legend), legend

    def estimate(self, session: Session, *values: Any) -> tuple[str, float]:
        """The model's name and the units of work that these values of the inputs would take."""
        raise NotImplementedError

    def estimated(self) -> None:
        """Keep the estimate above the start button true to the inputs."""

        gr.on([*self.inputs.changes()], None, None, self.settled, js=SETTLED.replace("KIND", self.kind), **QUICK)
        estimate = (self._expected, self.inputs.components, self.estimate_line)
        self.settled.change(*estimate, trigger_mode="always_last", **QUICK)

    def _expected(self, request: gr.Request, *values: Any) -> str:
        try:
            return show.message(self.context.pace.estimate(*self.estimate(self.context.session(request), *values)))
        except UDPError:
            return ""  # the reason is shown when the work is started

    def link_button(self) -> None:
        """A button that copies a link to the page with its settings."""
        self.copy = gr.Button(word("page.copy_link"), size="sm", variant="secondary")
        self.link = gr.Textbox(label="Link", visible=False, interactive=False)  # a button in it would take its label

    def controls(self) -> Controls:
        """Every setting that travels in the link, with its name there."""
        return self.inputs.linked

    def defaults(self, values: Values) -> Values:
        """The defaults of those controls that depend on the `values` of others."""
        return self.sampling.own(values) if self.sampling else {}

    def named_examples(self) -> dict[gr.Button, str]:
        """The buttons that load example photos, and the preset that says what those show, for all tabs."""
        return {}

    def shown(self) -> list[Any]:
        """Every component that `live`, `finished`, `stopped` or `restored` may update."""
        raise NotImplementedError

    def finished(self, session: Session, result: Any) -> tuple[Text, Updates]:
        """A line for the bar's place, and the results."""
        raise NotImplementedError

    def live(self, session: Session, job: Job) -> Updates:
        """What can be seen before the end."""
        return {}

    def stopped(self, session: Session, job: Job) -> tuple[Text, Updates]:
        """What stays after a stop."""
        return STOPPED, {}

    def restored(self, session: Session) -> Updates:
        """What a reloaded page gets back besides the job."""
        return {}

    def busy_outputs(self) -> list[Any]:
        """What `busy` updates."""
        return [self.start, self.stop, self.progress, *self.examples]

    def busy(self, busy: bool = True, line: str | None = None) -> Updates:
        """Buttons for a running or an idle tab, and `line` as the bar (None: just started)."""
        return {
            self.start: gr.Button(visible=not busy),
            self.stop: gr.Button(visible=busy),
            self.progress: gr.HTML(show.waiting() if line is None else line, visible=line != ""),
            **{button: gr.Button(interactive=not busy) for button in self.examples},
        }

    def pressed(self, button: gr.Button) -> gr.events.Dependency:
        """The event of a button that starts a run: Stop is there at once, and ends this run whenever it is pressed."""

        def press(request: gr.Request) -> Updates:
            return {**self.busy(), self.run: self.context.session(request).press(self.kind)}

        return button.click(press, None, [self.run, *self.busy_outputs()], **QUICK)

    def guarded(self, steps: Callable[..., Iterator[Updates]]) -> Callable[..., Iterator[Updates]]:
        """A handler around `steps(session, ...)` whose failure leaves an idle tab with the reason on it."""

        def handler(request: gr.Request, *values: Any) -> Iterator[Updates]:
            try:
                with friendly():
                    yield from steps(self.context.session(request), *values)
            except gr.Error as error:  # a toast alone would be gone before it is read
                if error.visible:
                    yield self.busy(False, show.message(error.message, "bad"))
                raise

        return handler

    def run_after(
        self, event: gr.events.Dependency, prepare: Callable[..., Prepared], inputs: list[Any]
    ) -> gr.events.Dependency:
        """Once `event`, of `pressed`, succeeded, submit a job, note it in the page's link, and follow it to its end."""

        def begin(session: Session, run: int, *values: Any) -> Iterator[Updates]:
            work, save = prepare(session, *values)
            try:
                job = session.begin(self.kind, run, lambda: self.context.submit(session, self.kind, work, save))
            except Stopped:
                if not session.superseded(self.kind, run):
                    yield self.busy(False, show.message(STOPPED))
                raise gr.Error(
                    ENGLISH.say(STOPPED), visible=False, print_exception=False
                ) from None  # so that nothing is followed
            yield {self.job_id: job.id}

        outputs = [self.job_id, *self.busy_outputs()]
        begun = event.success(self.guarded(begin), [self.run, *inputs], outputs, **WATCH)
        begun.success(None, self.job_id, None, js=REMEMBER_JOB, **QUICK)
        followed = begun.success(self.follow, None, [*self.busy_outputs(), self.plot, *self.shown()], **WATCH)
        # A run says how fast the next one will be.
        followed.then(self._expected, self.inputs.components, self.estimate_line, **QUICK)
        return followed

    def connect_stop(self) -> None:
        """The stop button's event, and that of a page which comes back to a job, running or over (`arrived`)."""
        self.stop.click(self._on_stop, None, self.busy_outputs(), **QUICK)
        self.follows.change(self.follow, None, [*self.busy_outputs(), self.plot, *self.shown()], **WATCH)

    def _on_stop(self, request: gr.Request) -> Updates:
        session = self.context.session(request)
        job = session.jobs.get(self.kind)
        running = job is not None and not job.ended
        session.stop(self.kind)
        updates = self.busy(False, show.message(text("job.stopping")))
        if running:  # `follow` says how it ended, and may have said so before this gets to the browser
            del updates[self.progress]
        return updates

    def arriving(self) -> list[Any]:
        """See `Tab.arriving`."""
        return [self.estimate_line, self.follows, *self.busy_outputs(), *self.shown()]

    def arrived(self, request: gr.Request, values: Values) -> Updates:
        """See `Tab.arrived`: the estimate, and the session's inputs and latest job.

        That job is followed by an event of its own: the browser shows only the last of several updates of one event that
        come at once, and the first update of `follow` would take the place of these.
        """
        given = (values.get(control, control.value) for control in self.inputs.components)
        updates: Updates = {self.estimate_line: self._expected(request, *given)}
        session = self.context.session(request)
        if job := session.jobs.get(self.kind):
            updates |= {**self.busy(not job.ended, "" if job.ended else None), **self.restored(session)}
            updates[self.follows] = job.id
        return updates

    async def follow(self, request: gr.Request) -> AsyncIterator[Updates]:
        """Show the session's latest job from its start to its end."""
        session = self.context.session(request)
        job, log = session.jobs[self.kind], show.LossLog(self.series)
        yield {**self.busy(), self.plot: plot_of(log, self.legend, request)}
        async for news in watch(job, self.context.line):
            for progress in news:
                log.add(progress)
            update, place = job.update(), self.context.line.place(job)
            bar = show.bar(update) if update else show.waiting(place)
            plot = plot_of(log, self.legend, request)
            yield {self.progress: gr.HTML(bar, visible=True), self.plot: plot, **self.live(session, job)}
        if session.jobs.get(self.kind) is not job:
            return  # a newer run has taken this one's place on the page
        error, updates = self._outcome(session, job)
        yield updates
        if error:
            raise error

    def _outcome(self, session: Session, job: Job) -> tuple[gr.Error | None, Updates]:
        try:
            with friendly():
                try:
                    line, updates = self.finished(session, job.result())
                except Stopped:
                    line, updates = self.stopped(session, job)
                    return None, {**self.busy(False, show.message(line) + self._kept(session, job)), **updates}
            return None, {**self.busy(False, show.message(line)), **updates}
        except gr.Error as error:
            kept = self._kept(session, job)
            updates = self.stopped(session, job)[1] if kept else {}
            return error, {**self.busy(False, show.message(error.message, "bad") + kept), **updates}

    def _kept(self, session: Session, job: Job) -> str:
        """How much of a run that did not get to its end is kept, and how to go on; nothing if nothing is."""
        _, store = session.unfinished.get(self.kind, ("", None))
        if store is None or not store.cells:
            return ""
        count = {"done": len(store.cells), "total": len(job.about.plan())}
        return show.message(text("job.kept", button=text(self.starts), **count))
