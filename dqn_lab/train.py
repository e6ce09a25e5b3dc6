"""The training loop."""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import gymnasium
import numpy as np

from dqn_lab.agent import Agent
from dqn_lab.schedule import Every, Progress, progress_of
from dqn_lab.seeding import Streams
from dqn_lab.types import Logger, Row, Table, TrainingError, Update

EPISODE_COLUMNS = ("episode", "step", "return", "length", "updates", "loss", "q_value")  # beside components' own


class Reporter(Protocol):
    """A component with columns of its own in every episode's row."""

    columns: tuple[str, ...]

    def report(self, progress: Progress) -> dict[str, float]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Everything a run consists of, built from a validated configuration."""

    config: dict[str, Any]
    engine: dict[str, str]  # its name, and why it was chosen
    warnings: list[str]  # of what is allowed together and hardly meant
    streams: Streams
    make_env: Callable[[], gymnasium.Env[Any, Any]]
    agent: Agent
    reporters: Sequence[Reporter]  # beside the exploration
    loggers: Sequence[Logger]
    episodes: int | None
    steps: int | None
    evaluation: Every | None
    num_episodes: int
    final_num_episodes: int

    def budget(self) -> tuple[float, float]:
        """Gives the steps and the episodes that the run may have; whichever are spent first end it."""
        return self.steps or math.inf, self.episodes or math.inf

    def spent(self, progress: Progress) -> bool:
        """Tells whether the budget is."""
        steps, episodes = self.budget()
        return progress.step >= steps or progress.episode >= episodes

    def columns(self) -> dict[Table, tuple[str, ...]]:
        """Gives the columns of each table, fixed for the whole run."""
        exploration = self.agent.exploration.columns
        extra = tuple(name for reporter in self.reporters for name in reporter.columns)
        head, tail = EPISODE_COLUMNS[:4], EPISODE_COLUMNS[4:]
        returns = ("return_mean", "return_std", "return_min", "return_max")
        return {
            "episodes": (*head, *exploration, *tail, *extra),
            "evaluations": ("step", "episode", *returns, "episodes"),
            "timing": ("episode", "step", "seconds", "steps_per_second"),
        }


class Observer(Protocol):
    """What watches a run. It is told things and changes nothing."""

    def step(self, progress: Progress) -> None: ...
    def episode(self, row: Row, progress: Progress) -> None: ...
    def evaluate(self, progress: Progress) -> None: ...


def train(experiment: Experiment, observer: Observer) -> Progress:
    """Acts, steps, observes and learns until the budget is spent.

    Returns:
        how far the run came; the steps of an episode that the budget cut off count, though it has no row.

    Raises:
        TrainingError: the environment raised, or a loss was not finite.
    """
    agent, progress, start, tally = experiment.agent, Progress(), Progress(), Tally()
    steps, episodes = experiment.budget()
    with contextlib.closing(experiment.make_env()) as env, _undisturbed():
        obs = _reset(env, progress, seed=int(experiment.streams("environment").integers(2**31)))
        while progress.step < steps and progress.episode < episodes:
            action = agent.act(obs, progress)
            try:
                next_obs, reward, terminated, truncated, _ = env.step(action)
                reward = float(reward)
            except Exception as error:
                raise _environment_error("step", progress, error) from error
            agent.observe(obs, action, reward, next_obs, terminated, truncated)
            ended = bool(terminated or truncated)
            before, after = progress, progress_of((progress.step + 1, progress.episode + ended, progress.updates))
            progress, updates = agent.learn(before, after)
            tally.add(reward, updates)
            obs = np.array(next_obs)  # some environments give out the same array at every step
            observer.step(progress)
            if ended:
                observer.episode(_row(experiment, tally, start, progress), progress)
                obs, tally, start = _reset(env, progress), Tally(), progress
            if experiment.evaluation and experiment.evaluation.due(before, progress):
                observer.evaluate(progress)
    return progress


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keeps the garbage collector from going through all that was imported, and from going often: a tenth of a step."""
    thresholds = gc.get_threshold()
    gc.set_threshold(10_000, *thresholds[1:])
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


@dataclass(slots=True)
class Tally:
    """Sums over one training episode."""

    score: float = 0.0  # the undiscounted return
    length: int = 0
    losses: list[float] = field(default_factory=list)
    q_values: list[float] = field(default_factory=list)

    def add(self, reward: float, updates: list[Update]) -> None:
        """Counts a step and the updates made after it."""
        self.score += reward
        self.length += 1
        for update in updates:
            self.losses.append(update.loss)
            self.q_values.append(update.q_value)


def _row(experiment: Experiment, tally: Tally, start: Progress, end: Progress) -> Row:
    """Puts an ended episode's row together; exploration speaks for the episode's start, other parts for its end."""
    row: dict[str, float | int | None] = {
        "episode": start.episode,
        "step": end.step,
        "return": tally.score,
        "length": tally.length,
        **experiment.agent.exploration.report(start),
        "updates": end.updates,
        "loss": _mean(tally.losses),
        "q_value": _mean(tally.q_values),
    }
    for reporter in experiment.reporters:
        row.update(reporter.report(end))
    return row


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _reset(env: gymnasium.Env[Any, Any], progress: Progress, seed: int | None = None) -> Any:
    try:
        return np.array(env.reset(seed=seed)[0])
    except Exception as error:
        raise _environment_error("reset", progress, error) from error


def _environment_error(what: str, progress: Progress, error: Exception) -> TrainingError:
    return TrainingError(
        f"the environment raised in {what} (episode {progress.episode}, step {progress.step}): "
        f"{type(error).__name__}: {error}"
    )
