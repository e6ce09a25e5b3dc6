"""Makes untrusted text harmless: labels, questions and values may contain anything."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

# control characters, line separators, marks that reorder text, halves of surrogate pairs, and what XML does not allow
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\uffff]")
FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "'",
)  # a spreadsheet treats a cell that starts with one of these as a formula


def visible(text: str) -> str:
    """Replaces control characters by their codes, because SVG allows none, and some reorder or break lines."""
    return CONTROLS.sub(lambda sign: sign[0].encode("unicode_escape", "surrogatepass").decode(), text)


def csv(frame: pd.DataFrame) -> str:
    """Writes a frame as CSV without formulas: a leading ' makes a spreadsheet treat a cell as text."""
    words = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    safe = frame.assign(**{str(name): frame[name].astype(object).map(_plain) for name in words})
    return safe.rename(columns=_plain).to_csv(index=False, lineterminator="\n")


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def unquoted(cell: str) -> str:
    """Reads what `csv` wrote."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def markdown(cell: str) -> str:
    """Escapes text so that Markdown shows it as it is: no HTML, links, emphasis or table cells."""
    escaped = re.sub(r"([\\`*\[\]<>|~&])", r"\\\1", visible(cell))
    return re.sub(r"(?i)\b(https?|ftp|mailto)(?=:)|\bwww(?=\.)", r"\g<0>\\", escaped)
