"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate, rate


@register("optimizer", "sgd")
class SGD:
    """Gradient descent, with momentum where asked (Robbins, Monro 1951; Polyak 1964).

    With squared error a step moves Q(s, a) by 2 · lr · δ: textbook α = 2 · lr at batch 1.

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a straight line of it.
        momentum: of the steps; 0 for none.
        nesterov: whether the momentum is Nesterov's.
        max_grad_value: the largest size of each number of the gradient; null for no clipping.
        max_grad_norm: the gradient's largest Euclidean norm, after that; null for no clipping.

    Raises:
        ValueError: `nesterov` without momentum.
    """

    def __init__(
        self,
        *,
        lr: Rate = 1e-2,
        momentum: Annotated[float, Ge(0), Lt(1)] = 0.0,
        nesterov: bool = False,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        if nesterov and not momentum:
            raise ValueError("nesterov=true: needs momentum > 0")
        self.lr, self.momentum, self.nesterov = rate(lr), momentum, nesterov
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, fused: one call for all parameters."""
        return torch.optim.SGD(parameters, self.lr(Progress()), self.momentum, nesterov=self.nesterov, fused=True)
