"""No diagnostics: only losses and Q-values are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dqn_lab.registry import register
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Batch, Noise


@register("diagnostics", "none")
class NoDiagnostics:
    """Measures nothing; because it has no columns, it is never called.

    Args:
        supplied: the arguments of other diagnostics, ignored.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, *supplied: Any) -> None:
        pass

    def observe(self, obs: Array, reward: float, ended: bool) -> None:
        """Does nothing."""

    def before_update(self, batch: Batch, noise: Noise, epsilon: float) -> None:
        """Does nothing."""

    def after_update(self) -> None:
        """Does nothing."""

    def report(self, progress: Progress) -> Mapping[str, float | None]:
        """Returns nothing."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Has nothing to restore."""
