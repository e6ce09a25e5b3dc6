"""Unfinished n-step windows, one queue for each environment."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Step = tuple[Any, int, float, Any, float]  # obs, action, reward, next_obs, discount: a transition as a buffer stores it


class Windows:
    """Turns steps into transitions of up to n steps (Sutton 1988; Watkins 1989).

    A window of k ≤ n rewards ends at termination (discount 0), at truncation (γᵏ, bootstrapping from the true last
    observation), or at n. At an episode's end the windows of length n − 1 … 1 are flushed, so that every step of an
    episode is the start of exactly one transition.

    Args:
        n_step: n.
        discount: γ.
        num_envs: the number of environments that append steps.
    """

    def __init__(self, n_step: int, discount: float, num_envs: int) -> None:
        self.n_step = n_step
        self.discount = discount
        self.queues: list[deque[tuple[Any, int, float]]] = [deque() for _ in range(num_envs)]

    def push(
        self, env_index: int, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool
    ) -> Sequence[Step]:
        """Adds a step; returns the transitions that it completes, in the order in which they began."""
        if self.n_step == 1:  # every step completes its window
            return ((obs, action, reward, next_obs, 0.0 if terminated else self.discount),)
        queue = self.queues[env_index]
        queue.append((np.array(obs), action, reward))  # some environments reuse one array
        if terminated or truncated:
            return [self._shift(queue, next_obs, terminated) for _ in range(len(queue))]
        return (self._shift(queue, next_obs, terminated),) if len(queue) == self.n_step else ()

    def _shift(self, queue: deque[tuple[Any, int, float]], next_obs: Any, terminated: bool) -> Step:
        total = 0.0
        for _, _, reward in reversed(queue):
            total = reward + self.discount * total
        discount = 0.0 if terminated else self.discount ** len(queue)
        obs, action, _ = queue.popleft()
        return obs, action, total, next_obs, discount

    def state_dict(self) -> dict[str, Any]:
        """Returns the steps of unfinished windows."""
        return {"queues": [[(np.array(obs), action, reward) for obs, action, reward in q] for q in self.queues]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.queues = [deque((obs, action, reward) for obs, action, reward in q) for q in state["queues"]]
