"""No target network: the online network evaluates itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.schedule import Progress
from dqn_lab.target._compiled import make_kernel
from dqn_lab.types import Kernel


@register("target", "none")
class NoTarget:
    """Bootstraps from the online network itself, as Q-learning did before 2015."""

    has_network = False

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the step of the pseudo-code."""
        return {"follow": "θ⁻ is θ itself"}

    def follow(self, online: Sequence[Tensor], target: Sequence[Tensor], before: Progress, after: Progress) -> None:
        """Does nothing: both are the same network."""

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code."""
        return make_kernel("follow_none")
