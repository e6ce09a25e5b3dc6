"""Adam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Gt

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress


@register("optimizer", "adam")
class Adam(Shared):
    """Adam (Kingma, Ba 2015, "Adam: A Method for Stochastic Optimization", https://arxiv.org/abs/1412.6980).

    Args:
        betas: decay rates of the first and the second moment.
        eps: added to the root of the second moment.
    """

    def __init__(
        self, *, betas: tuple[Decay, Decay] = (0.9, 0.999), eps: Annotated[float, Gt(0)] = 1e-8, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.betas, self.eps = betas, eps

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, fused: one call for all parameters."""
        return torch.optim.Adam(parameters, self.lr(Progress()), self.betas, self.eps, fused=True)
