"""How pages and figures write numbers."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd


def number(value: float, signed: bool = False, largest: float = 0.0) -> str:
    """Formats a number for readers: about four digits, and a real minus sign.

    Args:
        value: the number.
        signed: write a plus sign too.
        largest: the largest number beside it, as in the same column, which sets the decimals.
    """
    if math.isnan(value):
        return "–"
    size = max(abs(value), largest)
    places = 0 if size >= 10_000 or size == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{value:{'+' if signed else ''},.{places}f}"
    return (text if re.search("[1-9]", text) else text.lstrip("+-")).replace("-", "−")


def largest_in(frame: pd.DataFrame, *columns: str) -> float:
    """Returns the largest absolute value of columns that are shown with the same decimals; 0 if they are empty."""
    return float(np.nanmax(np.abs(frame[[*columns]].to_numpy(float)), initial=0.0))


def plain(value: float) -> str:
    """Formats a number that the user has chosen, such as a threshold, without rounding it further."""
    return f"{value:g}".replace("-", "−")


def percent(value: float) -> str:
    """Formats a share of 1 as a percentage."""
    return "–" if math.isnan(value) else f"{100 * value:.0f} %"
