"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate, rate


@register("optimizer", "adamw")
class AdamW:
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019, https://arxiv.org/abs/1711.05101).

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a straight line of it.
        betas: decay of the first and the second moment.
        eps: added to the root of the second moment.
        weight_decay: every weight shrinks by lr · weight_decay of itself a step.
        max_grad_value: the largest size of each number of the gradient; null for no clipping.
        max_grad_norm: the gradient's largest Euclidean norm, after that; null for no clipping.
    """

    def __init__(
        self,
        *,
        lr: Rate = 1e-3,
        betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999),
        eps: Annotated[float, Ge(0)] = 1e-8,
        weight_decay: Annotated[float, Ge(0)] = 0.01,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.lr, self.betas, self.eps, self.weight_decay = rate(lr), betas, eps, weight_decay
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, fused: one call for all parameters."""
        return torch.optim.AdamW(parameters, self.lr(Progress()), self.betas, self.eps, self.weight_decay, fused=True)
