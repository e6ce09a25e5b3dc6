"""The fastest rollout that supports the composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dqn_lab.registry import register
from dqn_lab.rollout._obstacles import obstacles
from dqn_lab.types import Choice


@register("rollout", "auto")
class Auto:
    """Chooses `compiled` if everything in the composition has a kernel, else `python`; both write the same bytes."""

    @staticmethod
    def choose(config: Mapping[str, Any]) -> Choice:
        """Returns the rollout for a validated configuration, and the reason."""
        reasons = list(obstacles(config))
        if reasons:
            return Choice("python", "runs every composition", {"compiled": "; ".join(reasons)})
        return Choice("compiled", "everything in the composition has a kernel", {"python": "slower than compiled"})
