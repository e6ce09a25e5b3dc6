"""ε-greedy with a constant ε."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy
from dqn_lab.registry import register
from dqn_lab.schedule import Constant


@register("exploration", "constant")
class ConstantEpsilon(EpsilonGreedy):
    """Keeps ε at one value.

    Args:
        num_actions: A.
        epsilon: ε.
    """

    def __init__(self, num_actions: int, *, epsilon: Annotated[float, Ge(0), Le(1)] = 0.1) -> None:
        super().__init__(num_actions, Constant(epsilon))
