"""A target network that is a periodic copy of the online network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Gt
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.schedule import Every, Progress, Unit
from dqn_lab.target._compiled import make_kernel
from dqn_lab.types import Kernel


@register("target", "periodic")
class Periodic:
    """Copies the online network every `interval` `unit`, starting after the first one.

    Mnih et al. 2015, "Human-level control through deep reinforcement learning",
    https://doi.org/10.1038/nature14236. The count starts with the first step, whether or not the agent learns yet. An
    interval longer than the run means "never copied".

    Args:
        interval: units between copies.
        unit: what is counted; every minibatch is an update, but the target network changes only after a whole batch.
    """

    has_network = True

    def __init__(self, *, interval: Annotated[int, Gt(0)] = 10, unit: Unit = "episodes") -> None:
        self.every = Every(interval, unit, first=1)  # number 0 is over when one unit is completed

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the step of the pseudo-code."""
        own = config["target"]
        return {"follow": f"θ⁻ ← θ after {own['unit'][:-1]} number 0, {own['interval']:,}, {2 * own['interval']:,}, …"}

    def follow(self, online: Sequence[Tensor], target: Sequence[Tensor], before: Progress, after: Progress) -> None:
        """Copies parameters in place if a copy is due."""
        if not self.every.due(before, after):
            return
        with torch.no_grad():
            for mine, theirs in zip(target, online, strict=True):
                mine.copy_(theirs)

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code."""
        return make_kernel("follow_periodic", self.every)
