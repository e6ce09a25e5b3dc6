"""ε-greedy with an ε that changes linearly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy
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

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """An ε that rises explores more and more."""
        start, end = config["exploration"]["start"], config["exploration"]["end"]
        if end > start:
            yield f"exploration.start={start}, exploration.end={end}: ε rises, so the policy explores more and more"

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
