"""ε-greedy action choice, shared by the schedules of ε."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from dqn_lab.exploration._compiled import make_kernel
from dqn_lab.records import value_text
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Draw, Kernel


def warn_if_epsilon_rises(config: Mapping[str, Any]) -> Iterator[str]:
    """An ε that rises explores more and more."""
    own = config["exploration"]
    if "points" in own:
        keys, values = ["points"], [epsilon for _, epsilon in own["points"]]
    else:
        keys, values = ["start", "end"], [own["start"], own["end"]]
    if any(after > before for before, after in pairwise(values)):
        shown = ", ".join(f"exploration.{key}={value_text(own[key])}" for key in keys)
        yield f"{shown}: ε rises, so the policy explores more and more"


class EpsilonGreedy:
    """Takes a uniformly random action with probability ε, otherwise the greedy one.

    Args:
        num_actions: A.
        epsilon: ε as a function of progress.
    """

    columns = ("epsilon",)

    def __init__(self, num_actions: int, epsilon: Callable[[Progress], float]) -> None:
        self.num_actions = num_actions
        self.epsilon = epsilon

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the step of the pseudo-code."""
        return {"act": "a ← a random action with probability ε, else argmax_a Q(s, a; θ)"}

    def select(self, q_values: Callable[[], Array], draw: Draw, env_index: int, progress: Progress) -> int:
        """Chooses an action; the Q-values [A] are computed only when acting greedily."""
        if draw() < self.epsilon(progress):
            return int(draw() * self.num_actions)
        return int(q_values().argmax())

    def policy_epsilon(self, progress: Progress) -> float:
        """Returns the current ε, which defines the policy."""
        return self.epsilon(progress)

    def end_episode(self, env_index: int) -> None:
        """Does nothing: every action is chosen independently."""

    def report(self, progress: Progress) -> dict[str, float]:
        """Returns the current ε."""
        return {"epsilon": self.epsilon(progress)}

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code."""
        return make_kernel("select_epsilon_greedy", self.epsilon)
