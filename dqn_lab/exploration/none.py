"""No exploration: always the greedy action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy
from dqn_lab.registry import register
from dqn_lab.schedule import Constant


@register("exploration", "none")
class Greedy(EpsilonGreedy):
    """Always acts greedily: for networks that explore by themselves, or to measure the value of exploration.

    Args:
        num_actions: A.
    """

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the step of the pseudo-code."""
        return {"act": "a ← argmax_a Q(s, a; θ)"}

    def __init__(self, num_actions: int) -> None:
        super().__init__(num_actions, Constant(0.0))
