"""Greedy episodes: what a policy is worth."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv

from dqn_lab.seeding import seed_sequence
from dqn_lab.types import Array, TrainingError

TOGETHER = 16  # episodes played side by side


class Episode(NamedTuple):
    """One greedy episode."""

    seed: int
    score: float  # the undiscounted return
    length: int  # environment steps


def evaluate(
    q_values: Callable[[Array], Array],
    make_env: Callable[[], gymnasium.Env[Any, Any]],
    rng: np.random.Generator,
    num_episodes: int,
) -> Iterator[Episode]:
    """Plays greedy episodes, each from a fresh seed, some side by side.

    An episode depends on the policy and its seed alone, not on the ones beside it.

    Args:
        q_values: gives Q-values [B, A] at observations [B, *O]; a row must not depend on the others.
        make_env: makes environments that are not the training one.
        rng: draws the seeds.
        num_episodes: how many.

    Yields:
        the episodes in the order of their seeds.

    Raises:
        TrainingError: a Q-value is not a number.
    """
    seeds = rng.integers(2**31, size=num_episodes).tolist()
    together = math.ceil(num_episodes / math.ceil(num_episodes / TOGETHER))  # as many each time, or nearly so
    with contextlib.closing(SyncVectorEnv([make_env] * together, copy=False)) as envs:
        for start in range(0, num_episodes, together):
            yield from _play(q_values, envs, seeds[start : start + together])


def _play(q_values: Callable[[Array], Array], envs: SyncVectorEnv, seeds: list[int]) -> list[Episode]:
    """Plays one episode from each seed; environments that are done, or not needed, go on without being counted."""
    number, num_envs = len(seeds), envs.num_envs
    ties = [np.random.default_rng(seed_sequence(seed, "ties")) for seed in seeds]
    scores, lengths, running = np.zeros(number), np.zeros(number, np.int64), np.ones(number, bool)
    actions = np.zeros(num_envs, np.int64)
    obs, _ = envs.reset(seed=[*seeds, *[0] * (num_envs - number)])
    seen = np.zeros((TOGETHER, *obs.shape[1:]), obs.dtype)  # always as many, because sums are ordered by their number
    while running.any():
        seen[:num_envs] = obs
        values = q_values(seen)[:number]
        best = values == values.max(1, keepdims=True)
        actions[:number] = values.argmax(1)
        for i in np.flatnonzero(running & (best.sum(1) != 1)):
            actions[i] = greedy(values[i], ties[i])
        obs, rewards, terminated, truncated, _ = envs.step(actions)
        scores[running] += rewards[:number][running]
        lengths[running] += 1
        running &= ~(terminated | truncated)[:number]
    return [Episode(*episode) for episode in zip(seeds, scores.tolist(), lengths.tolist(), strict=True)]


def greedy(q_values: Array, rng: np.random.Generator) -> int:
    """Gives the action of the largest Q-value [A]; ties are broken at random.

    Raises:
        TrainingError: a Q-value is not a number.
    """
    best = np.flatnonzero(q_values == q_values.max())
    if not len(best):
        raise TrainingError(f"the policy's Q-values are no numbers ({q_values}): lower optimizer.lr")
    return int(best[0] if len(best) == 1 else rng.choice(best))


def summarize(episodes: list[Episode]) -> dict[str, float | int]:
    """Gives mean, standard deviation (of the population), extremes and number of returns."""
    scores = np.array([episode.score for episode in episodes])
    return {
        "return_mean": float(scores.mean()),
        "return_std": float(scores.std()),
        "return_min": float(scores.min()),
        "return_max": float(scores.max()),
        "episodes": len(scores),
    }
