"""The rollout that is chosen for a composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dqn_lab.registry import register
from dqn_lab.types import Choice


@register("rollout", "auto")
class Auto:
    """Chooses `python`, which runs every composition; `compiled`, with the same bytes, has to be asked for."""

    @staticmethod
    def choose(config: Mapping[str, Any]) -> Choice:
        """Returns the rollout for a validated configuration, and the reason."""
        return Choice("python", "runs every composition", {"compiled": "has to be asked for"})
