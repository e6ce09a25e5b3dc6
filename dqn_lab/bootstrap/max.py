"""The largest next value, by the target network: Q-learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.types import Bootstrapped, QValues


@register("bootstrap", "max")
class Max:
    """max_a′ Q(s′, a′): the target network, if there is one, selects and evaluates.

    Mnih et al. 2015, "Human-level control through deep reinforcement learning",
    https://doi.org/10.1038/nature14236.
    """

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formula."""
        return {"next": "V(s′) = max_a′ Q(s′, a′; θ⁻)"}

    def __call__(self, q_values: QValues, action: Tensor) -> Bootstrapped:
        """Puts all probability on the target network's greedy action."""
        target = q_values.target_next  # [B, A]
        nothing = torch.zeros_like(target)
        greedy = nothing.scatter(1, target.argmax(1, keepdim=True), 1.0)
        return Bootstrapped(greedy, nothing, nothing[:, 0])
