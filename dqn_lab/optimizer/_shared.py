"""The parameters that all optimizers share."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt

from dqn_lab.schedule import Rate, rate

Decay = Annotated[float, Ge(0), Lt(1)]


class Shared:
    """A learning rate, and the clipping of the gradient before it is used.

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a straight line of it.
        max_grad_value: the largest size of each number of the gradient; null for no clipping.
        max_grad_norm: the gradient's largest Euclidean norm, after that; null for no clipping.
    """

    def __init__(
        self,
        *,
        lr: Rate = 1e-3,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.lr = rate(lr)
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm
