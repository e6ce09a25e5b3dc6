"""The training loop, and what it is given."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium

from dqn_lab.agent import Agent
from dqn_lab.schedule import NEVER, Every, Progress
from dqn_lab.seeding import Streams
from dqn_lab.types import Choice, Logger, Rollout, Stride, Table

LONGEST = 256  # steps of a stride, so that whoever watches a long episode hears of it


class Due:
    """When a run ends, and when its policy is evaluated.

    Args:
        steps: environment steps of the run; None for no limit.
        episodes: of the run; None for no limit. Whichever limit is reached first ends it.
        evaluations: when the policy is evaluated on the way; None for never.
    """

    def __init__(self, *, steps: int | None, episodes: int | None, evaluations: Every | None) -> None:
        self.budget = Progress(steps or NEVER.step, episodes or NEVER.episode, NEVER.updates)
        self.evaluations = evaluations

    def spent(self, progress: Progress) -> bool:
        """Returns whether the run is over."""
        return progress.step >= self.budget.step or progress.episode >= self.budget.episode

    def share(self, progress: Progress) -> float:
        """Returns how much of the budget is spent, in [0, 1]."""
        return min(1.0, max(progress.step / self.budget.step, progress.episode / self.budget.episode))

    def next(self, progress: Progress) -> Progress:
        """Returns how far the next stride may go, in each unit."""
        evaluation = self.evaluations.next(progress) if self.evaluations else NEVER
        return Progress(
            min(self.budget.step, evaluation.step, progress.step + LONGEST),
            min(self.budget.episode, evaluation.episode),
            evaluation.updates,
        )

    def evaluation(self, stride: Stride) -> bool:
        """Returns whether to evaluate after a stride; after the last one the final evaluation follows anyway."""
        due = self.evaluations is not None and self.evaluations.due(stride.before, stride.after)
        return due and not self.spent(stride.after)


class Observer(Protocol):
    """What watches a run. It is told things and changes nothing."""

    def stride(self, stride: Stride) -> None: ...
    def evaluate(self, progress: Progress) -> None: ...


def train(rollout: Rollout, due: Due, observer: Observer) -> None:
    """Trains until the budget is spent. Steps of an episode that the budget cuts off count, though it has no row.

    Raises:
        TrainingError: the environment raised, or a loss was not finite.
    """
    with rare_collection():
        while not due.spent(rollout.progress):
            stride = rollout.advance(due.next(rollout.progress))
            observer.stride(stride)
            if due.evaluation(stride):
                observer.evaluate(rollout.progress)


@contextlib.contextmanager
def rare_collection() -> Iterator[None]:
    """Has the garbage collector skip everything that was imported, and run rarely: it took a tenth of every step."""
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
    """Everything that a run consists of, built from a validated configuration."""

    config: dict[str, Any]
    choices: dict[str, Choice]  # the engine and the rollout: which, why, and why not the others
    warnings: list[str]  # about values that are valid but probably unintended
    streams: Streams
    make_env: Callable[..., gymnasium.Env[Any, Any]]  # with a `render_mode` if one is given
    agent: Agent
    rollout: Rollout
    due: Due
    columns: dict[Table, tuple[str, ...]]
    loggers: Sequence[Logger]
    num_episodes: int
    final_num_episodes: int
