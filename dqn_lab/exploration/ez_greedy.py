"""εz-greedy: random actions that are kept up for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from dqn_lab.registry import register
from dqn_lab.schedule import Linear, Progress, Unit
from dqn_lab.types import Array


def zeta_distribution(mu: float, longest: int) -> NDArray[np.float64]:
    """P(n ≤ k) for k = 1 … `longest`, where P(n) ∝ n^−mu: the zeta distribution cut off there and scaled to 1."""
    reached = np.cumsum(np.arange(1, longest + 1, dtype=np.float64) ** -mu)
    distribution: NDArray[np.float64] = reached / reached[-1]
    return distribution


@register("exploration", "ez_greedy")
class EZGreedy:
    """Begins, with probability ε, to repeat a uniformly random action for n steps; acts greedily otherwise.

    Dabney, Ostrovski, Barreto 2021, "Temporally-Extended ε-Greedy Exploration", https://arxiv.org/abs/2006.01782. n
    counts the first step too and follows a zeta distribution, P(n) ∝ n^−mu: were it always 1, this would be ε-greedy
    (the listing in the paper's appendix makes one step more). ε is the probability of beginning, so that a larger share
    of the steps explores. A repetition ends with its episode. ε moves from `start` to `end` in a straight line over
    `duration` units, then stays.

    Args:
        num_actions: A.
        start: ε at first.
        end: ε from the end of the line on.
        duration: the line's length in units.
        unit: what is counted.
        mu: the larger, the shorter the repetitions.
        max_duration: the longest repetition, in steps.
    """

    columns = ("epsilon",)

    def __init__(
        self,
        num_actions: int,
        *,
        start: Annotated[float, Ge(0), Le(1)] = 1.0,
        end: Annotated[float, Ge(0), Le(1)] = 0.05,
        duration: Annotated[int, Gt(0)] = 10_000,
        unit: Unit = "steps",
        mu: Annotated[float, Gt(1)] = 2.0,
        max_duration: Annotated[int, Gt(0), Le(1_000_000)] = 10_000,
    ) -> None:
        self.num_actions = num_actions
        self.epsilon = Linear(start, end, duration, unit)
        self.durations = zeta_distribution(mu, max_duration)
        self.action, self.remaining, self.episode = 0, 0, 0  # what is repeated, how often still, and in which episode

    def select(self, q_values: Callable[[], Array], rng: np.random.Generator, progress: Progress) -> int:
        """Chooses an action; the Q-values [A] are asked for only when acting greedily."""
        if self.remaining == 0 or self.episode != progress.episode:
            if rng.random() >= self.epsilon(progress):
                return int(q_values().argmax())
            self.action, self.episode = int(rng.random() * self.num_actions), progress.episode
            self.remaining = 1 + int(self.durations.searchsorted(rng.random(), side="right"))
        self.remaining -= 1
        return self.action

    def report(self, progress: Progress) -> dict[str, float]:
        """Gives the ε in force."""
        return {"epsilon": self.epsilon(progress)}

    def state_dict(self) -> dict[str, Any]:
        """Gives the repetition under way; ε is a function of progress."""
        return {"action": self.action, "remaining": self.remaining, "episode": self.episode}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self.action, self.remaining, self.episode = state["action"], state["remaining"], state["episode"]
