"""Boltzmann exploration: action probabilities are a softmax of Q-values."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from dqn_lab.exploration._compiled import make_kernel
from dqn_lab.records import value_text
from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate, rate, rises
from dqn_lab.types import Array, Draw, Kernel


def softmax_weights(q_values: Sequence[float], temperature: float) -> list[float]:
    """exp((Q(a) − maxₐ Q) / temperature), [A]: the softmax of Q / temperature, not normalised; the sum is in [1, A].

    Subtracting the largest Q-value keeps every exponential in [0, 1]. At temperature 0 the limit is returned: 1 for the
    largest Q-values, 0 for the others.
    """
    best = max(q_values)
    if temperature == 0:
        return [float(q_value == best) for q_value in q_values]
    return [math.exp((q_value - best) / temperature) for q_value in q_values]


@register("exploration", "boltzmann")
class Boltzmann:
    """Takes action a with probability exp(Q(s, a) / temperature) / Σ_b exp(Q(s, b) / temperature).

    Kaelbling, Littman, Moore 1996, "Reinforcement Learning: A Survey", https://arxiv.org/abs/cs/9605103, section 2.2.
    The temperature is in units of return: actions whose values differ by much less are about equally likely.

    Args:
        num_actions: A.
        temperature: a number, or `{start, end, duration, unit}` for a linear schedule; at 0 the best action is taken.
    """

    columns = ("temperature",)

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """A temperature that rises explores more and more."""
        temperature = config["exploration"]["temperature"]
        if rises(temperature):
            shown = value_text(temperature)
            yield f"exploration.temperature={shown}: it rises, so the policy explores more and more"

    def __init__(self, num_actions: int, *, temperature: Rate = 1.0) -> None:
        self.num_actions = num_actions
        self.temperature = rate(temperature)

    def select(self, q_values: Callable[[], Array], draw: Draw, env_index: int, progress: Progress) -> int:
        """Chooses an action from one uniform number, by inverting the distribution function."""
        reached = list(accumulate(softmax_weights(q_values().tolist(), self.temperature(progress))))
        chosen = bisect_right(reached, draw() * reached[-1])
        return min(chosen, self.num_actions - 1)  # larger only if a Q-value is NaN

    def end_episode(self, env_index: int) -> None:
        """Does nothing: every action is chosen independently."""

    def report(self, progress: Progress) -> dict[str, float]:
        """Returns the current temperature."""
        return {"temperature": self.temperature(progress)}

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code."""
        return make_kernel("select_boltzmann", self.temperature, np.zeros(self.num_actions))
