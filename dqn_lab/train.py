"""The training loop."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium

from dqn_lab import interrupt
from dqn_lab.agent import Agent
from dqn_lab.schedule import NEVER, Every, Progress
from dqn_lab.seeding import Streams
from dqn_lab.types import Choice, Logger, Rollout, Stride, Table

SHARE = 0.05  # the largest share of a run's time that checkpoints by the clock may take


class Due:
    """When a run ends, when its policy is evaluated, and when its state is saved.

    Args:
        steps: environment steps of the run; None for no limit.
        episodes: episodes of the run; None for no limit. The run ends at whichever limit it reaches first.
        evaluations: when the policy is evaluated during training; None for never.
        checkpoints: when the state is saved during training; None for never.
    """

    def __init__(
        self, *, steps: int | None, episodes: int | None, evaluations: Every | None, checkpoints: Every | Clock | None
    ) -> None:
        self.budget = Progress(steps or NEVER.step, episodes or NEVER.episode, NEVER.updates)
        self.evaluations, self.checkpoints = evaluations, checkpoints
        self.evaluated = self.saved = Progress()  # the progress at the last evaluation and at the last save

    def spent(self, progress: Progress) -> bool:
        """Returns whether the run is over."""
        return progress.step >= self.budget.step or progress.episode >= self.budget.episode

    def exceeded(self, progress: Progress) -> bool:
        """Returns whether the run has gone beyond its budget."""
        return progress.step > self.budget.step or progress.episode > self.budget.episode

    def share(self, progress: Progress) -> float:
        """Returns the share of the budget that is spent, in [0, 1]."""
        return min(1.0, max(progress.step / self.budget.step, progress.episode / self.budget.episode))

    def next(self, progress: Progress) -> Progress:
        """Returns how far the next stride may go, in each unit."""
        occasions = [every.next(progress) for every in (self.evaluations, self.checkpoints) if every is not None]
        first = Progress(*map(min, zip(NEVER, *occasions, strict=True)))
        return Progress(min(self.budget.step, first.step), min(self.budget.episode, first.episode), first.updates)

    def evaluation(self, progress: Progress) -> bool:
        """Returns whether to evaluate now."""
        return self.evaluations is not None and self.evaluations.due(self.evaluated, progress)

    def checkpoint(self, progress: Progress) -> bool:
        """Returns whether to save now."""
        return self.checkpoints is not None and self.checkpoints.due(self.saved, progress)


class Clock:
    """Triggers work at intervals of wall-clock time, rarely enough that the work takes at most a twentieth of it.

    Call `due`, do the work if it is due, then call `next`.

    Args:
        seconds: minimum time between the end of one occasion and the start of the next.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ended, self._cost = time.monotonic(), 0.0
        self._began: float | None = None

    def due(self, before: Progress, after: Progress) -> bool:
        """Returns whether an occasion is due; if so, begins to measure the work."""
        now = time.monotonic()
        is_due = now - self._ended >= max(self.seconds, (1 / SHARE - 1) * self._cost)
        self._began = now if is_due else None
        return is_due

    def next(self, progress: Progress) -> Progress:
        """Ends the measurement; returns `NEVER`: nobody knows in advance at which step the time will be up."""
        if self._began is not None:
            self._ended = time.monotonic()
            self._cost, self._began = self._ended - self._began, None
        return NEVER


class Observer(Protocol):
    """Watches a run without influencing it."""

    def stride(self, stride: Stride) -> None: ...
    def evaluate(self, progress: Progress) -> None: ...
    def save(self, progress: Progress) -> None: ...


def train(rollout: Rollout, due: Due, observer: Observer) -> None:
    """Trains until the budget is spent. An episode cut off by the budget gets no row, but its steps count.

    Raises:
        TrainingError: the environment raised, or a loss was not finite.
        Interrupted: a signal asked the process to stop; the run is at a safe point, from which it can be resumed.
    """
    with rare_collection():
        while not due.spent(rollout.progress):
            if due.evaluation(rollout.progress):
                observer.evaluate(rollout.progress)
                due.evaluated = rollout.progress
            if due.checkpoint(rollout.progress):
                observer.save(rollout.progress)
                due.saved = rollout.progress
            interrupt.check()
            observer.stride(rollout.advance(due.next(rollout.progress)))


@contextlib.contextmanager
def rare_collection() -> Iterator[None]:
    """Makes the garbage collector skip imported modules and run rarely; otherwise it takes a tenth of each step."""
    thresholds = gc.get_threshold()
    gc.set_threshold(10_000, *thresholds[1:])
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Everything that a run needs, built from a validated configuration."""

    config: dict[str, Any]
    choices: dict[str, Choice]  # which engine and rollout were chosen, and why
    warnings: list[str]  # about values that are valid but probably unintended
    streams: Streams
    make_env: Callable[..., gymnasium.Env[Any, Any]]  # takes an optional `render_mode`
    agent: Agent
    rollout: Rollout
    due: Due
    columns: dict[Table, tuple[str, ...]]
    loggers: Sequence[Logger]
    num_episodes: int
    final_num_episodes: int
    keep: int | None  # how many checkpoints are kept; None for no checkpoints
