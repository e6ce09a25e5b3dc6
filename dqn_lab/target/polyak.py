"""A target network that is a moving average of the online network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.schedule import Every, Progress, Unit
from dqn_lab.target._compiled import make_kernel
from dqn_lab.types import Kernel


@register("target", "polyak")
class Polyak:
    """target ← target + τ (online − target), every `interval` `unit`, starting after the first one.

    Lillicrap et al. 2016, "Continuous control with deep reinforcement learning", https://arxiv.org/abs/1509.02971.

    Args:
        tau: τ; 1 is a copy.
        interval: units between steps of the moving average.
        unit: what is counted; every minibatch is an update, but the target network changes only after a whole batch.
    """

    has_network = True

    def __init__(
        self,
        *,
        tau: Annotated[float, Gt(0), Le(1)] = 0.005,
        interval: Annotated[int, Gt(0)] = 1,
        unit: Unit = "updates",
    ) -> None:
        self.tau = tau
        self.every = Every(interval, unit, first=1)

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the step of the pseudo-code."""
        own = config["target"]
        often = "" if own["interval"] == 1 else f"{own['interval']:,} "
        unit = own["unit"] if often else own["unit"][:-1]
        return {"follow": f"θ⁻ ← θ⁻ + {own['tau']:g} (θ − θ⁻) every {often}{unit}"}

    def follow(self, online: Sequence[Tensor], target: Sequence[Tensor], before: Progress, after: Progress) -> None:
        """Moves the target's parameters in place if a step is due."""
        if not self.every.due(before, after):
            return
        with torch.no_grad():
            for mine, theirs in zip(target, online, strict=True):
                mine.lerp_(theirs, self.tau)

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code."""
        return make_kernel("follow_polyak", self.every, self.tau)
