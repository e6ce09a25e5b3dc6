"""Synthetic episodes, and the transitions that buffers must make of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st


class Step(NamedTuple):
    """One environment step, as a buffer receives it."""

    env_index: int
    obs: Any
    action: int
    reward: float
    next_obs: Any
    terminated: bool
    truncated: bool


class Episodes:
    """Steps of environments that take turns; every step's observation is a unique number.

    Args:
        endings: per environment, the length of each episode and whether it is terminated and truncated.
    """

    def __init__(self, endings: list[list[tuple[int, bool, bool]]]) -> None:
        turns = [self._play(env_index, episodes) for env_index, episodes in enumerate(endings)]
        longest = max((len(turn) for turn in turns), default=0)
        self.steps = [turn[i] for i in range(longest) for turn in turns if i < len(turn)]

    def _play(self, env_index: int, episodes: list[tuple[int, bool, bool]]) -> list[Step]:
        steps, obs = [], 10_000 * env_index
        for length, terminated, truncated in episodes:
            for left in reversed(range(length)):
                ends = (terminated and left == 0, truncated and left == 0)
                steps.append(Step(env_index, obs, obs % 3, float((obs * 7) % 11) - 5, obs + 1, *ends))
                obs += 1
            obs += 1
        return steps

    def transitions(self, n_step: int, discount: float) -> list[tuple[float, ...]]:
        """Returns every complete n-step transition (obs, action, reward, next_obs, discount)."""
        found = []
        for start in self.steps:
            window = self._window(start, n_step)
            last = window[-1]
            if len(window) == n_step or last.terminated or last.truncated:
                total = sum(discount**k * step.reward for k, step in enumerate(window))
                future = 0.0 if last.terminated else discount ** len(window)
                found.append((start.obs, start.action, total, last.next_obs, future))
        return found

    def _window(self, start: Step, n_step: int) -> list[Step]:
        """Returns at most n_step steps from `start` on, found by their consecutive numbers."""
        by_obs = {step.obs: step for step in self.steps}
        window = [start]
        while len(window) < n_step and not (window[-1].terminated or window[-1].truncated):
            if window[-1].next_obs not in by_obs:
                break
            window.append(by_obs[window[-1].next_obs])
        return window


@pytest.fixture(scope="session")
def play() -> type[Episodes]:
    return Episodes


@pytest.fixture(scope="session")
def any_episodes() -> st.SearchStrategy[Episodes]:
    """Draws up to three environments, each with up to four ended episodes and at most one unfinished."""
    ended = st.tuples(st.integers(1, 6), st.booleans(), st.booleans()).filter(lambda ending: ending[1] or ending[2])
    unfinished = st.tuples(st.integers(1, 6), st.just(False), st.just(False))
    one_env = st.tuples(st.lists(ended, max_size=4), st.lists(unfinished, max_size=1)).map(
        lambda parts: parts[0] + parts[1]
    )
    return st.lists(one_env, min_size=1, max_size=3).map(Episodes)


def rows(transition: Any) -> list[tuple[float, ...]]:
    """Returns the rows of a batch of transitions, with only the first number of an observation vector."""
    fields = [field.tolist() if field.ndim == 1 else field[:, 0].tolist() for field in transition]
    return list(zip(*fields, strict=True))


@pytest.fixture(scope="session")
def rows_of():
    return rows
