"""The choices that an error message offers."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable

NUMBER = re.compile(r"(?<![\w.])\d[\d_]*(\.\d+)?(e[+-]?\d+)?(?![\w.])")
SHOWN = 24  # most choices that an error lists


def nearest(word: str, choices: Iterable[str], likeness: float = 0.6) -> str:
    """Lists the choices, after the one nearest to a mistyped word if one is at least `likeness` similar."""
    known = list(choices)
    more = f", … ({len(known)} in all)" if len(known) > SHOWN else ""
    offered = f"choices: {in_list(known[:SHOWN])}{more}" if known else "there are none"
    return f"{did_you_mean(word, known, likeness)}{offered}"


def did_you_mean(word: str, choices: Iterable[str], likeness: float = 0.6) -> str:
    """Returns `did you mean …? ` for the choice nearest to a mistyped word, if it is at least `likeness` similar."""
    known = {_in_plain_numbers(choice): choice for choice in reversed(list(choices))}
    whole = [choice for choice in known if word and choice.startswith(f"{_in_plain_numbers(word)},")]
    if whole:  # a label of several overrides, of which the first was typed
        return f"did you mean {_quoted(known[whole[-1]])}? "
    close = difflib.get_close_matches(_in_plain_numbers(word), known, n=1, cutoff=likeness)
    return f"did you mean {_quoted(known[close[0]])}? " if close else ""


def in_list(names: Iterable[str]) -> str:
    """Joins names with commas; those with a comma or a space are quoted, as a shell needs them."""
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    if not re.search(r"[\s,]", name):
        return name
    quoted = shlex.quote(name)
    return f"'{name}'" if quoted == name else quoted  # a shell needs no quotes around a,b


def _in_plain_numbers(word: str) -> str:
    """Writes numbers in a uniform way, so that `1e-3` is close to `0.001`."""
    return NUMBER.sub(lambda found: f"{float(found[0]):g}", word)
