"""εz-greedy: random actions, each repeated for a number of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from dqn_lab.exploration._compiled import make_kernel
from dqn_lab.exploration._epsilon_greedy import warn_if_epsilon_rises
from dqn_lab.registry import register
from dqn_lab.schedule import Linear, Progress, Unit
from dqn_lab.types import Array, Draw, Kernel


def zeta_distribution(mu: float, longest: int) -> NDArray[np.float64]:
    """P(n ≤ k) for k = 1 … `longest`, where P(n) ∝ n^−mu: the zeta distribution truncated at `longest`."""
    reached = np.cumsum(np.arange(1, longest + 1, dtype=np.float64) ** -mu)
    distribution: NDArray[np.float64] = reached / reached[-1]
    return distribution


@register("exploration", "ez_greedy")
class EZGreedy:
    """With probability ε, starts to repeat a uniformly random action for n steps; acts greedily otherwise.

    Dabney, Ostrovski, Barreto 2021, "Temporally-Extended ε-Greedy Exploration", https://arxiv.org/abs/2006.01782. n
    includes the first step and follows a zeta distribution, P(n) ∝ n^−mu: if it were always 1, this would be ε-greedy
    (the listing in the paper's appendix takes one step more). ε is the probability of starting, so the fraction of
    exploring steps is larger than ε. A repetition ends with its episode. ε changes linearly from `start` to `end` over
    `duration` units, then stays at `end`.

    Args:
        num_actions: A.
        start: the initial ε.
        end: the final ε.
        duration: after how many units ε reaches `end`.
        unit: what is counted.
        mu: larger values make repetitions shorter.
        max_duration: the longest repetition, in steps.
    """

    columns = ("epsilon",)

    warn = staticmethod(warn_if_epsilon_rises)

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
        self.repeated: dict[int, tuple[int, int]] = {}  # by environment: the repeated action, and the steps left

    def select(self, q_values: Callable[[], Array], draw: Draw, env_index: int, progress: Progress) -> int:
        """Chooses an action; the Q-values [A] are computed only when acting greedily."""
        action, left = self.repeated.get(env_index, (0, 0))
        if left == 0:
            if draw() >= self.epsilon(progress):
                return int(q_values().argmax())
            action = int(draw() * self.num_actions)
            left = 1 + int(self.durations.searchsorted(draw(), side="right"))
        self.repeated[env_index] = action, left - 1
        return action

    def end_episode(self, env_index: int) -> None:
        """Ends a repetition."""
        self.repeated.pop(env_index, None)

    def report(self, progress: Progress) -> dict[str, float]:
        """Returns the current ε."""
        return {"epsilon": self.epsilon(progress)}

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code, for environment 0."""

        def enter(under_way: NDArray[np.int64]) -> None:
            under_way[:] = (1, *self.repeated[0]) if 0 in self.repeated else 0

        def leave(under_way: NDArray[np.int64]) -> None:
            there, action, left = under_way.tolist()
            self.repeated = {0: (action, left)} if there else {}

        return make_kernel("select_ez_greedy", self.epsilon, self.durations, enter, leave)

    def state_dict(self) -> dict[str, Any]:
        """Returns the current repetitions; ε is a function of progress."""
        rows = [(env_index, *repeated) for env_index, repeated in self.repeated.items()]
        return {"repeated": np.array(rows, np.int64).reshape(-1, 3)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.repeated = {env_index: (action, left) for env_index, action, left in state["repeated"].tolist()}
