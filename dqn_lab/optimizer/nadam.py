"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress


@register("optimizer", "nadam")
class NAdam(Shared):
    """Adam with Nesterov's momentum (Dozat 2016, "Incorporating Nesterov Momentum into Adam").

    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ. The share of momentum in step t is
    μₜ = β₁ (1 − ½ · 0.96^(t · momentum_decay)): it rises from half of β₁ to all of it.

    Args:
        betas: decay rates of the first and the second moment.
        eps: added to the root of the second moment.
        momentum_decay: how fast the share of momentum rises.
    """

    def __init__(
        self,
        *,
        betas: tuple[Decay, Decay] = (0.9, 0.999),
        eps: Annotated[float, Gt(0)] = 1e-8,
        momentum_decay: Annotated[float, Ge(0)] = 0.004,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.betas, self.eps, self.momentum_decay = betas, eps, momentum_decay

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
