"""The choices that an error message offers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 24  # choices that an error lists at most


def nearest(word: str, choices: Iterable[str]) -> str:
    """Lists the choices, after the one nearest to a mistyped word if one is near."""
    known = list(choices)
    more = f", … ({len(known)} in all)" if len(known) > SHOWN else ""
    return f"{did_you_mean(word, known)}choices: {', '.join(known[:SHOWN]) or 'none'}{more}"


def did_you_mean(word: str, choices: Iterable[str], likeness: float = 0.6) -> str:
    """Returns `did you mean …? ` for the choice nearest to a mistyped word, if it is at least `likeness` similar."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=likeness)
    return f"did you mean {close[0]}? " if close else ""
