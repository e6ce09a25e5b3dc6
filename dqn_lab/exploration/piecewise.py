"""ε-greedy with a piecewise linear ε."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy, warn_if_epsilon_rises
from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Unit

Point = tuple[Annotated[int, Ge(0)], Annotated[float, Ge(0), Le(1)]]

POINTS: list[Point] = [(0, 1.0), (10_000, 0.1), (50_000, 0.01)]


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """Interpolates linearly between points, and stays at the last value.

    Args:
        at: units at each point, ascending from 0.
        values: the value at each point.
        unit: what is counted.
    """

    at: Sequence[int]
    values: Sequence[float]
    unit: Unit

    def __call__(self, progress: Progress) -> float:
        done = progress.count(self.unit)
        after = bisect_right(self.at, done)
        if after == len(self.at):
            return self.values[-1]
        start, end = self.values[after - 1 : after + 1]
        return start + (end - start) * (done - self.at[after - 1]) / (self.at[after] - self.at[after - 1])


@register("exploration", "piecewise")
class PiecewiseEpsilon(EpsilonGreedy):
    """Interpolates ε linearly between points, then keeps the last value.

    Args:
        num_actions: A.
        points: `[at, epsilon]` each: ε after `at` units. The values of `at` ascend from 0.
        unit: what is counted.

    Raises:
        ValueError: the values of `at` do not ascend from 0.
    """

    warn = staticmethod(warn_if_epsilon_rises)

    def __init__(
        self,
        num_actions: int,
        *,
        points: Annotated[list[Point], MinLen(1)] = POINTS,
        unit: Literal["episodes", "steps"] = "steps",
    ) -> None:
        at, values = zip(*points, strict=True)
        if at[0] != 0 or any(here >= there for here, there in pairwise(at)):
            raise ValueError(f"points={[list(point) for point in points]}: the first must be at 0, each next one later")
        super().__init__(num_actions, PiecewiseLinear(at, values, unit))
