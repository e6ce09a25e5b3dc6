"""No diagnostics: only losses and Q-values are recorded."""

from __future__ import annotations

from typing import Any

from dqn_lab.registry import register


@register("diagnostics", "none")
class NoDiagnostics:
    """Measures nothing; because it has no columns, it is never called.

    Args:
        supplied: the arguments of other diagnostics, ignored.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, *supplied: Any) -> None:
        pass
