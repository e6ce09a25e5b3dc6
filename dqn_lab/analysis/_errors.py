"""What a person can get wrong when asking questions of runs, said in one line."""

from __future__ import annotations

from collections.abc import Iterable


class AnalysisError(ValueError):
    """Says in one line why runs cannot be loaded or compared as asked."""


class SkippedRuns(UserWarning):
    """Says which runs are left out, and why."""


class NoBounds(UserWarning):
    """Says that nothing is assumed of the least and the greatest score that there can be."""


def unknown(key: str, word: object, choices: Iterable[object], what: str = "column") -> AnalysisError:
    """Makes the error for a name that does not exist: those that do, the nearest match first."""
    from dqn_lab._nearest import nearest

    return AnalysisError(f"{key}={word}: no such {what}; {nearest(str(word), map(str, choices))}")
