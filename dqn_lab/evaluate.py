"""Greedy episodes: what a policy is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from dqn_lab.types import Array, TrainingError


class Episode(NamedTuple):
    """One greedy episode."""

    seed: int
    score: float  # the undiscounted return
    length: int  # environment steps


def evaluate(
    q_values: Callable[[Any], Array],
    env: gymnasium.Env[Any, Any],
    rng: np.random.Generator,
    num_episodes: int,
) -> Iterator[Episode]:
    """Plays greedy episodes, each from a fresh seed, one at a time.

    Args:
        q_values: gives Q-values [A] at an observation [*O].
        env: an environment of its own, not the training one.
        rng: draws the seeds, then breaks ties between equal Q-values.
        num_episodes: how many.

    Yields:
        each episode as it ends.
    """
    for seed in rng.integers(2**31, size=num_episodes).tolist():
        obs, _ = env.reset(seed=seed)
        score, length, ended = 0.0, 0, False
        while not ended:
            obs, reward, terminated, truncated, _ = env.step(greedy(q_values(obs), rng))
            score += float(reward)
            length += 1
            ended = terminated or truncated
        yield Episode(seed, score, length)


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
