"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Gt

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress


@register("optimizer", "rmsprop")
class RMSprop(Shared):
    """RMSprop (Tieleman, Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning").

    Not Mnih's centred variant, which has ε inside the root.

    Args:
        alpha: decay rate of the mean of squared gradients.
        eps: added to that mean's root.
        momentum: momentum of the steps; 0 for none.
    """

    def __init__(
        self, *, alpha: Decay = 0.99, eps: Annotated[float, Gt(0)] = 1e-8, momentum: Decay = 0.0, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.alpha, self.eps, self.momentum = alpha, eps, momentum

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, over all parameters at once."""
        return torch.optim.RMSprop(
            parameters, lr=self.lr(Progress()), alpha=self.alpha, eps=self.eps, momentum=self.momentum, foreach=True
        )
