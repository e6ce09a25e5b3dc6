"""Errors and warnings of the analysis, each in one line."""

from __future__ import annotations

from collections.abc import Iterable

from dqn_lab.errors import OneLine


class AnalysisError(OneLine, ValueError):
    """The runs cannot be loaded or compared as requested; the message says why, in one line."""


class SkippedRuns(UserWarning):
    """Some runs are left out; the message says which, and why."""


class NoBounds(UserWarning):
    """The bounds of the scores are unknown or wrong, so none are assumed."""


class NoCurve(UserWarning):
    """A variant has no learning curve; the text says which, and why."""


def unknown(key: str, word: object, choices: Iterable[object], what: str = "column") -> AnalysisError:
    """Returns the error for an unknown name, with the choices, the nearest match first."""
    from dqn_lab._nearest import nearest

    return AnalysisError(f"{key}={word}: no such {what}; {nearest(str(word), map(str, choices))}")
