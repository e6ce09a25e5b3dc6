"""ε-greedy action choice, shared by the schedules of ε."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dqn_lab.schedule import Progress
from dqn_lab.types import Array

BLOCK = 512  # uniform numbers drawn together


class EpsilonGreedy:
    """Takes a uniformly random action with probability ε, the greedy one otherwise.

    Args:
        num_actions: A.
        epsilon: ε as a function of progress.
    """

    columns = ("epsilon",)
    epsilon_greedy = True  # its policy is known by its ε alone, which `epsilon` gives

    def __init__(self, num_actions: int, epsilon: Callable[[Progress], float]) -> None:
        self.num_actions = num_actions
        self.epsilon = epsilon
        self._draws: list[float] = []  # the next is the last; a call for one costs as much as for a hundred

    def select(self, q_values: Callable[[], Array], rng: np.random.Generator, progress: Progress) -> int:
        """Chooses an action; the Q-values [A] are asked for only when acting greedily."""
        if len(self._draws) < 2:
            self._draws = [*rng.random(BLOCK).tolist(), *self._draws]
        if self._draws.pop() < self.epsilon(progress):
            return int(self._draws.pop() * self.num_actions)
        return int(q_values().argmax())

    def report(self, progress: Progress) -> dict[str, float]:
        """Gives the ε in force."""
        return {"epsilon": self.epsilon(progress)}

    def state_dict(self) -> dict[str, Any]:
        """Gives what is drawn and not used; ε is a function of progress."""
        return {"draws": list(self._draws)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self._draws = list(state["draws"])
