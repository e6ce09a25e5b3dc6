"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate, rate


@register("optimizer", "rmsprop")
class RMSprop:
    """RMSprop (Tieleman, Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning").

    Not Mnih's centred variant, which has ε inside the root.

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a straight line of it.
        alpha: decay of the mean of squared gradients.
        eps: added to that mean's root.
        momentum: of the steps; 0 for none.
        max_grad_value: the largest size of each number of the gradient; null for no clipping.
        max_grad_norm: the gradient's largest Euclidean norm, after that; null for no clipping.
    """

    def __init__(
        self,
        *,
        lr: Rate = 1e-3,
        alpha: Annotated[float, Ge(0), Lt(1)] = 0.99,
        eps: Annotated[float, Ge(0)] = 1e-8,
        momentum: Annotated[float, Ge(0), Lt(1)] = 0.0,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.lr, self.alpha, self.eps, self.momentum = rate(lr), alpha, eps, momentum
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, over all parameters at once."""
        return torch.optim.RMSprop(
            parameters, lr=self.lr(Progress()), alpha=self.alpha, eps=self.eps, momentum=self.momentum, foreach=True
        )
