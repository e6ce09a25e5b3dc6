"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress


@register("optimizer", "adamw")
class AdamW(Shared):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019, https://arxiv.org/abs/1711.05101).

    Args:
        betas: decay rates of the first and the second moment.
        eps: added to the root of the second moment.
        weight_decay: each step first multiplies every weight by 1 − lr · weight_decay.
    """

    def __init__(
        self,
        *,
        betas: tuple[Decay, Decay] = (0.9, 0.999),
        eps: Annotated[float, Gt(0)] = 1e-8,
        weight_decay: Annotated[float, Ge(0)] = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, fused: one call for all parameters."""
        return torch.optim.AdamW(parameters, self.lr(Progress()), self.betas, self.eps, self.weight_decay, fused=True)
