"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate, rate


@register("optimizer", "radam")
class RAdam:
    """Adam that waits for its second moment, and trusts it by degrees.

    Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond", https://arxiv.org/abs/1908.03265. With
    ρ∞ = 2 / (1 − β₂) − 1 and ρₜ = ρ∞ − 2t β₂ᵗ / (1 − β₂ᵗ), a step is that of the corrected first moment alone while
    ρₜ ≤ 5, the first five or more; then Adam's times √((ρₜ − 4)(ρₜ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρₜ)).

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a straight line of it.
        betas: decay of the first and the second moment.
        eps: added to the root of the second moment before its bias is corrected.
        max_grad_value: the largest size of each number of the gradient; null for no clipping.
        max_grad_norm: the gradient's largest Euclidean norm, after that; null for no clipping.
    """

    def __init__(
        self,
        *,
        lr: Rate = 1e-3,
        betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999),
        eps: Annotated[float, Ge(0)] = 1e-8,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.lr, self.betas, self.eps = rate(lr), betas, eps
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, over all parameters at once."""
        return torch.optim.RAdam(parameters, self.lr(Progress()), self.betas, self.eps, foreach=True)
