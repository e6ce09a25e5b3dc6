"""Double Q-learning: one network selects the next action, the other evaluates it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.types import Bootstrapped, QValues


@register("bootstrap", "double")
class Double:
    """Q_target(s′, argmax_a′ Q_online(s′, a′)): selected by the online network's mean, evaluated by the target network.

    van Hasselt, Guez, Silver 2016, "Deep Reinforcement Learning with Double Q-learning",
    https://arxiv.org/abs/1509.06461.
    """

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """Without a target network there is only one network, and `double` is `max`."""
        if config["target"]["name"] == "none":
            yield "bootstrap=double, target=none: the same as bootstrap=max, because there is only one network"

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formula."""
        return {"next": "V(s′) = Q(s′, argmax_a′ Q(s′, a′; θ); θ⁻)"}

    def __call__(self, q_values: QValues, action: Tensor) -> Bootstrapped:
        """Puts all probability on the online network's greedy action."""
        online = q_values.online_next  # [B, A]
        nothing = torch.zeros_like(online)
        greedy = nothing.scatter(1, online.argmax(1, keepdim=True), 1.0)
        return Bootstrapped(greedy, nothing, nothing[:, 0])
