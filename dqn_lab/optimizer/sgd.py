"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate


@register("optimizer", "sgd")
class SGD(Shared):
    """Gradient descent, optionally with momentum (Robbins, Monro 1951; Polyak 1964).

    With squared error a step moves Q(s, a) by 2 · lr · δ: textbook α = 2 · lr at batch 1.

    Args:
        momentum: momentum of the steps; 0 for none.
        nesterov: whether the momentum is Nesterov's.

    Raises:
        ValueError: `nesterov` without momentum.
    """

    def __init__(self, *, lr: Rate = 1e-2, momentum: Decay = 0.0, nesterov: bool = False, **shared: Any) -> None:
        if nesterov and not momentum:
            raise ValueError("nesterov=true: needs momentum > 0")
        super().__init__(lr=lr, **shared)
        self.momentum, self.nesterov = momentum, nesterov

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, fused: one call for all parameters."""
        return torch.optim.SGD(parameters, self.lr(Progress()), self.momentum, nesterov=self.nesterov, fused=True)
