"""ε-greedy with an ε that changes linearly."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy, warn_if_epsilon_rises
from dqn_lab.registry import register
from dqn_lab.schedule import Linear, Unit


@register("exploration", "linear")
class LinearEpsilon(EpsilonGreedy):
    """Changes ε linearly from `start` to `end` over `duration` units, then keeps it at `end`.

    Args:
        num_actions: A.
        start: the initial ε.
        end: the final ε.
        duration: after how many units ε reaches `end`.
        unit: what is counted.
    """

    warn = staticmethod(warn_if_epsilon_rises)

    def __init__(
        self,
        num_actions: int,
        *,
        start: Annotated[float, Ge(0), Le(1)] = 1.0,
        end: Annotated[float, Ge(0), Le(1)] = 0.05,
        duration: Annotated[int, Gt(0)] = 10_000,
        unit: Unit = "steps",
    ) -> None:
        super().__init__(num_actions, Linear(start, end, duration, unit))
