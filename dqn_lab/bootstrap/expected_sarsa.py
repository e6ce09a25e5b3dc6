"""The expected next value under the agent's own ε-greedy policy: expected SARSA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dqn_lab.hooks import EpsilonGreedy
from dqn_lab.registry import lookup, register
from dqn_lab.types import Bootstrapped, QValues


def epsilon_greedy(q_values: Tensor, epsilon: float | Tensor) -> Tensor:
    """ε / A for each action, plus 1 − ε for the greedy one (the first if several tie).

    Args:
        q_values: [B, A].
        epsilon: ε in [0, 1], a number or [].

    Returns:
        Probabilities, [B, A].
    """
    greedy = torch.zeros_like(q_values).scatter(1, q_values.argmax(1, keepdim=True), 1.0)
    return epsilon / q_values.shape[1] + (1 - epsilon) * greedy


@register("bootstrap", "expected_sarsa")
class ExpectedSarsa:
    """Σ_a′ π(a′|s′) Q(s′, a′), where π is ε-greedy at the current ε; both π and Q are the target network's.

    van Seijen, van Hasselt, Whiteson, Wiering 2009, "A Theoretical and Empirical Analysis of Expected Sarsa",
    https://doi.org/10.1109/ADPRL.2009.4927542. With ε = 0 it is `max`, which breaks ties in the same way. With a
    distributional value, the target is a mixture weighted by π. Actions in the buffer were chosen at an older ε than
    the one used here; this is intended, because the value learned is that of the current policy.
    """

    follows_epsilon = True

    @classmethod
    def check(cls, config: Mapping[str, Any]) -> Iterator[str]:
        """Exploration must be ε-greedy and the network not noisy; otherwise another policy's value would be learned."""
        exploration = config["exploration"]["name"]
        if not isinstance(lookup("exploration", exploration), EpsilonGreedy):
            yield f"bootstrap=expected_sarsa: needs ε-greedy exploration, which exploration={exploration} is not"
        if config["network"].get("noisy"):
            yield "bootstrap=expected_sarsa: needs ε-greedy exploration, and network.noisy explores by itself"

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formula."""
        return {"next": "V(s′) = Σ_a′ π(a′|s′) Q(s′, a′; θ⁻), where π is ε-greedy at the current ε"}

    def __call__(self, q_values: QValues, action: Tensor) -> Bootstrapped:
        """Puts the ε-greedy policy's probabilities on the next actions."""
        probabilities = epsilon_greedy(q_values.target_next, q_values.epsilon)  # [B, A]
        nothing = torch.zeros_like(probabilities)
        return Bootstrapped(probabilities, nothing, nothing[:, 0])
