"""ε-greedy action choice, shared by the schedules of ε."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dqn_lab.schedule import Progress
from dqn_lab.types import Array


class EpsilonGreedy:
    """Takes a uniformly random action with probability ε, the greedy one otherwise.

    Args:
        num_actions: A.
        epsilon: ε as a function of progress.
    """

    columns = ("epsilon",)

    def __init__(self, num_actions: int, epsilon: Callable[[Progress], float]) -> None:
        self.num_actions = num_actions
        self.epsilon = epsilon

    def select(self, q_values: Callable[[], Array], rng: np.random.Generator, progress: Progress) -> int:
        """Chooses an action; the Q-values [A] are asked for only when acting greedily."""
        if rng.random() < self.epsilon(progress):
            return int(rng.integers(self.num_actions))
        return int(q_values().argmax())

    def report(self, progress: Progress) -> dict[str, float]:
        """Gives the ε in force."""
        return {"epsilon": self.epsilon(progress)}

    def state_dict(self) -> dict[str, Any]:
        """Has nothing to save: ε is a function of progress."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Has nothing to load."""
