"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate, rate


@register("optimizer", "nadam")
class NAdam:
    """Adam with Nesterov's momentum (Dozat 2016, "Incorporating Nesterov Momentum into Adam").

    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ. The share of momentum in step t is
    μₜ = β₁ (1 − ½ · 0.96^(t · momentum_decay)): from half of β₁ towards all of it.

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a straight line of it.
        betas: decay of the first and the second moment.
        eps: added to the root of the second moment.
        momentum_decay: how fast the share of momentum rises.
        max_grad_value: the largest size of each number of the gradient; null for no clipping.
        max_grad_norm: the gradient's largest Euclidean norm, after that; null for no clipping.
    """

    def __init__(
        self,
        *,
        lr: Rate = 1e-3,
        betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999),
        eps: Annotated[float, Ge(0)] = 1e-8,
        momentum_decay: Annotated[float, Ge(0)] = 0.004,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.lr, self.betas, self.eps, self.momentum_decay = rate(lr), betas, eps, momentum_decay
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, over all parameters at once."""
        return torch.optim.NAdam(
            parameters,
            lr=self.lr(Progress()),
            betas=self.betas,
            eps=self.eps,
            momentum_decay=self.momentum_decay,
            foreach=True,
        )
