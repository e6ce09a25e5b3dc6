"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Gt

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress


@register("optimizer", "radam")
class RAdam(Shared):
    """Adam that uses its second moment only gradually, as its estimate becomes reliable.

    Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond", https://arxiv.org/abs/1908.03265. With
    ρ∞ = 2 / (1 − β₂) − 1 and ρₜ = ρ∞ − 2t β₂ᵗ / (1 − β₂ᵗ), a step uses the corrected first moment alone while
    ρₜ ≤ 5 (the first five steps or more), and then is Adam's step times √((ρₜ − 4)(ρₜ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρₜ)).

    Args:
        betas: decay rates of the first and the second moment.
        eps: added to the root of the second moment before its bias is corrected.
    """

    def __init__(
        self, *, betas: tuple[Decay, Decay] = (0.9, 0.999), eps: Annotated[float, Gt(0)] = 1e-8, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.betas, self.eps = betas, eps

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimiser, over all parameters at once."""
        return torch.optim.RAdam(parameters, self.lr(Progress()), self.betas, self.eps, foreach=True)
