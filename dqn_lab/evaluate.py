"""Plays greedy episodes to evaluate a policy."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from dqn_lab import interrupt
from dqn_lab.seeding import seed_sequence
from dqn_lab.types import Array, TrainingError

TOGETHER = 16  # episodes played side by side


class Episode(NamedTuple):
    """One greedy episode."""

    seed: int
    score: float  # the undiscounted return
    length: int  # environment steps


class Moment(NamedTuple):
    """A state of a greedy episode: the observation, its Q-values, and the action taken."""

    obs: Any  # [*O]
    q_values: Array  # [A]
    action: int | None  # None at the episode's end
    reward: float  # of the step that led here; 0 at first
    terminated: bool
    truncated: bool


def watch(q_values: Callable[[Array], Array], env: gymnasium.Env[Any, Any], seed: int) -> Iterator[Moment]:
    """Plays the greedy episode that `evaluate` plays from a seed, state by state; the caller may render in between.

    Args:
        q_values: as for `evaluate`.
        env: the environment, which is reset first and stepped after each moment.
        seed: the episode's.

    Yields:
        one more moment than the episode has steps.

    Raises:
        TrainingError: a Q-value is NaN.
    """
    ties, seen = np.random.default_rng(seed_sequence(seed, "ties")), _places(env)
    seen[0], _ = env.reset(seed=seed)
    reward, terminated, truncated = 0.0, False, False
    while True:
        values = q_values(seen)[0].copy()
        action = None if terminated or truncated else greedy(values, ties)
        yield Moment(np.array(seen[0]), values, action, reward, bool(terminated), bool(truncated))
        if action is None:
            return
        seen[0], gained, terminated, truncated, _ = env.step(action)
        reward = float(gained)


def episode_seeds(rng: np.random.Generator, num_episodes: int) -> list[int]:
    """Draws the seeds of greedy episodes; the first ones are the same for any number of episodes."""
    seeds: list[int] = rng.integers(2**31, size=num_episodes).tolist()
    return seeds


def evaluate(
    q_values: Callable[[Array], Array],
    make_env: Callable[[], gymnasium.Env[Any, Any]],
    rng: np.random.Generator,
    num_episodes: int,
) -> Iterator[Episode]:
    """Plays greedy episodes, each from a fresh seed, some side by side.

    An episode depends only on the policy and its seed, not on the episodes played beside it.

    Args:
        q_values: maps observations [B, *O] to Q-values [B, A]; a row must not depend on the others.
        make_env: makes environments separate from the training environment.
        rng: the generator of the seeds.
        num_episodes: how many.

    Yields:
        the episodes in the order of their seeds.

    Raises:
        TrainingError: a Q-value is NaN.
        Interrupted: a signal asked the process to stop.
    """
    seeds = episode_seeds(rng, num_episodes)
    together = math.ceil(num_episodes / math.ceil(num_episodes / TOGETHER))  # about the same number each time
    with contextlib.ExitStack() as stack:
        envs = [stack.enter_context(contextlib.closing(make_env())) for _ in range(together)]
        for start in range(0, num_episodes, together):
            yield from _play(q_values, envs, seeds[start : start + together])


def _play(
    q_values: Callable[[Array], Array], envs: Sequence[gymnasium.Env[Any, Any]], seeds: list[int]
) -> list[Episode]:
    """Plays one episode from each seed, asking for the Q-values of all at once."""
    ties = [np.random.default_rng(seed_sequence(seed, "ties")) for seed in seeds]
    scores, lengths, running = [0.0] * len(seeds), [0] * len(seeds), list(range(len(seeds)))
    seen = _places(envs[0])
    for i in running:
        seen[i], _ = envs[i].reset(seed=seeds[i])
    while running:
        interrupt.check()
        values = q_values(seen)
        actions, best = values.argmax(1).tolist(), (values == values.max(1, keepdims=True)).sum(1).tolist()
        over = set()
        for i in running:
            action = actions[i] if best[i] == 1 else greedy(values[i], ties[i])
            seen[i], reward, terminated, truncated, _ = envs[i].step(action)
            scores[i] += float(reward)
            lengths[i] += 1
            if terminated or truncated:
                over.add(i)
        if over:
            running = [i for i in running if i not in over]
    return [Episode(*episode) for episode in zip(seeds, scores, lengths, strict=True)]


def _places(env: gymnasium.Env[Any, Any]) -> Array:
    """Allocates observations for `TOGETHER` episodes: always as many, because batch size affects rounding."""
    space = env.observation_space
    return np.zeros((TOGETHER, *(space.shape or ())), space.dtype)


def greedy(q_values: Array, rng: np.random.Generator) -> int:
    """Returns the action of the largest Q-value [A]; ties are broken at random.

    Raises:
        TrainingError: a Q-value is NaN.
    """
    best = np.flatnonzero(q_values == q_values.max())
    if not len(best):
        raise TrainingError(f"the policy's Q-values are NaN ({q_values}): lower optimizer.lr")
    return int(best[0] if len(best) == 1 else rng.choice(best))


def summarize(episodes: list[Episode]) -> dict[str, float | int]:
    """Returns mean, standard deviation (of the population), extremes and number of returns."""
    scores = np.array([episode.score for episode in episodes])
    return {
        "return_mean": float(scores.mean()),
        "return_std": float(scores.std()),
        "return_min": float(scores.min()),
        "return_max": float(scores.max()),
        "episodes": len(scores),
    }
