"""ε-greedy with an ε that falls by a constant factor."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy
from dqn_lab.registry import register
from dqn_lab.schedule import Exponential, Unit


@register("exploration", "exponential")
class ExponentialEpsilon(EpsilonGreedy):
    """Multiplies ε by `decay` once per unit: start · decayᵏ, down to `end`.

    Args:
        num_actions: A.
        start: the initial ε.
        end: the smallest ε.
        decay: the factor.
        unit: after what the factor is applied.
        clamp: whether ε stops at `end` exactly; if not, its last value may lie below it, as in the notebook.

    Raises:
        ValueError: `end` is more than `start`.
    """

    def __init__(
        self,
        num_actions: int,
        *,
        start: Annotated[float, Ge(0), Le(1)] = 1.0,
        end: Annotated[float, Ge(0), Le(1)] = 0.01,
        decay: Annotated[float, Gt(0), Le(1)] = 0.995,
        unit: Unit = "episodes",
        clamp: bool = True,
    ) -> None:
        if end > start:
            raise ValueError(f"end={end}: must be at most start={start}")
        super().__init__(num_actions, Exponential(start, end, decay, unit, clamp))
