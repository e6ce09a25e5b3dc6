"""The fastest engine that supports the composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dqn_lab.engine.fused import FusedEngine
from dqn_lab.registry import register


@register("engine", "auto")
class Auto:
    """Chooses the fastest engine that supports the composition: `fused` where it can, otherwise `torch`.

    The choice is a function of the configuration alone, and stands in `run.json` with its reason.
    """

    @staticmethod
    def choose(config: Mapping[str, Any]) -> tuple[str, str]:
        """Gives the engine's name for a validated configuration, and why."""
        obstacle = next(FusedEngine.check(config), None)
        if obstacle is None:
            return "fused", "the fastest that supports the composition"
        return "torch", obstacle
