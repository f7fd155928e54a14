"""The long work behind the two tabs, as plain functions that can run in a thread or in another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from udp import evaluate
from udp.errors import InvalidInput
from udp.evaluate import Report, Trial
from udp.finetune import Recipe
from udp.jobs import Job, Update
from udp.models import load_model
from udp.protect import ProtectionMethod, RandomNoise
from udp.types import OnProgress, Photo, Progress

ARMS = ("clean", "random", "protected")
PROMPT = Trial().instance_prompt
# A PGD step differentiates through encoder and U-Net: about this many fine-tuning steps.
PROTECTION_STEP_COST = 2.0


@dataclass(frozen=True)
class Finished:
    """The last thing a stream yields: what the work returned."""

    result: Any


Work = Callable[[OnProgress], Any]
Stream = Callable[[Work, float | None], Iterator[Update | Finished]]


def stream(work: Work, most_seconds: float | None = None) -> Iterator[Update | Finished]:
    """Run `work` in the background: updates as they come, then `Finished`. Closing the iterator stops the work.

    With `most_seconds`, work that would clearly take longer is refused early with `InvalidInput`, so that one visitor
    cannot hold a shared machine for hours.
    """
    job: Job[Any] = Job(work)
    try:
        for update in job.updates():
            expected = update.seconds_spent + (update.seconds_left or 0)
            if most_seconds is not None and expected > 1.5 * most_seconds:
                raise InvalidInput(
                    f"expected a run of at most {most_seconds / 60:.0f} minutes on this shared machine, got one of about "
                    f"{expected / 60:.0f}: use fewer steps or fewer photos"
                )
            yield update
        yield Finished(job.result())
    finally:
        job.stop()


def within(on_progress: OnProgress, start: float, end: float) -> OnProgress:
    """A listener for a part of the work that spans `start` to `end` of the whole."""

    def report(progress: Progress) -> None:
        on_progress(replace(progress, fraction=start + (end - start) * min(1.0, progress.overall)))

    return report


@dataclass(frozen=True)
class ProtectWork:
    """Protect photos; the result is the protected photos."""

    photos: Sequence[Photo]
    method: ProtectionMethod
    model_name: str
    prompt: str
    seed: int

    def __call__(self, on_progress: OnProgress) -> list[Photo]:
        """Run, reporting progress."""
        on_progress(Progress("loading the model", 0, 1, fraction=0.0))
        return self.method(self.photos, load_model(self.model_name), self.prompt, self.seed, on_progress)


@dataclass(frozen=True)
class AttackWork:
    """Fine-tune on every arm; where `protected` is None and an arm needs it, protect first, with `method`.

    The result is the report and the protected photos, if any. The random arm has the budget `budget`.
    """

    clean: Sequence[Photo]
    protected: Sequence[Photo] | None
    method: ProtectionMethod
    budget: float
    arms: Sequence[str]
    recipe: Recipe
    trial: Trial
    model_name: str
    protection_prompt: str = PROMPT
    protection_seed: int = 0

    def __call__(self, on_progress: OnProgress) -> tuple[Report, list[Photo] | None]:
        """Run, reporting progress."""
        on_progress(Progress("loading the model", 0, 1, fraction=0.0))
        model = load_model(self.model_name)
        protected, share = self.protected, 0.0
        if protected is None and "protected" in self.arms:
            share = self._protection_share()
            listener = within(on_progress, 0.0, share)
            protected = self.method(self.clean, model, self.protection_prompt, self.protection_seed, listener)
        photos: dict[str, Sequence[Photo]] = {}
        for arm in (a for a in ARMS if a in self.arms):
            if arm == "random":
                noise = RandomNoise(budget=self.budget)
                photos[arm] = noise(self.clean, model, self.protection_prompt, self.trial.seed)
            else:
                photos[arm] = self.clean if arm == "clean" else protected
        report = evaluate.attack(photos, model, self.recipe, self.trial, within(on_progress, share, 1.0))
        return report, list(protected) if protected is not None else None

    def _protection_share(self) -> float:
        """A guess at how much of the whole time the protection takes."""
        rounds = getattr(self.method, "rounds", 1)
        steps = getattr(self.method, "surrogate_steps", 0) + PROTECTION_STEP_COST * getattr(self.method, "pgd_steps", 1)
        attack = len(self.arms) * self.recipe.steps + (1 + len(self.arms)) * self.trial.sampling_steps
        return rounds * steps / (rounds * steps + attack)
