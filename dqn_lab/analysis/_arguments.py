"""Checks of what the public functions are given, before they compute anything."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from dqn_lab.analysis._errors import AnalysisError
from dqn_lab.analysis.intervals import Bounds, Floats

SCORES = "load_configs"
EVALUATIONS = 'load_runs(…, table="evaluations")'


def check_frame(frame: Any, key: str, source: str) -> None:
    """Checks that an argument is a data frame whose columns all have different names.

    Args:
        frame: the argument.
        key: its name.
        source: the function that returns such a frame.

    Raises:
        AnalysisError: it is something else, or two columns have the same name.
    """
    if not isinstance(frame, pd.DataFrame):
        given = repr(frame) if isinstance(frame, (str, os.PathLike)) else f"an object of type {type(frame).__name__}"
        raise AnalysisError(f"{key}: must be a data frame, as {source} returns it, not {given}")
    again = frame.columns[frame.columns.duplicated()]
    if len(again):
        raise AnalysisError(f"{again[0]}: several columns have this name; drop or rename all but one")


def check_level(level: Any, num_draws: int | None = None) -> None:
    """Checks that a confidence level is a number between 0 and 1, and not too high for an interval of so many draws.

    Raises:
        AnalysisError: it is something else.
    """
    if not (_is_number(level) and 0 < level < 1):
        hint = f"; did you mean {level / 100:g}?" if _is_number(level) and 1 < level < 100 else ""
        raise AnalysisError(f"level={level!r}: must be a number between 0 and 1{hint}")
    if num_draws is not None and level > (most := 1 - 2 / (num_draws + 1)) + 1e-9:
        raise AnalysisError(
            f"level={level!r}: too high for intervals of {num_draws:,} draws; it can be at most {most:g}"
        )


def check_number(key: str, value: Any) -> None:
    """Checks that an argument is a finite number, or None.

    Raises:
        AnalysisError: it is something else.
    """
    if value is not None and not (_is_number(value) and math.isfinite(value)):
        raise AnalysisError(f"{key}={value!r}: must be a finite number")


def check_bounds(bounds: Any) -> Bounds:
    """Returns bounds as a pair of numbers.

    Raises:
        AnalysisError: they are not two numbers, the first below the second.
    """
    ends = tuple(bounds) if isinstance(bounds, (tuple, list, np.ndarray)) else ()
    if len(ends) != 2 or not all(map(_is_number, ends)) or not ends[0] < ends[1]:
        must = "must be two numbers, (low, high), with low below high; an unknown one is -inf or inf"
        raise AnalysisError(f"bounds={bounds}: {must}")
    return float(ends[0]), float(ends[1])


def check_steps(grid: Any) -> Floats:
    """Returns a list of environment steps as an array.

    Raises:
        AnalysisError: it is something else.
    """
    listed = isinstance(grid, Iterable) and not isinstance(grid, (str, bytes, dict))
    steps = list(grid) if listed else []
    if not steps or not all(_is_number(step) and math.isfinite(step) for step in steps):
        raise AnalysisError(f"grid={grid!r}: must be a list of environment steps, such as range(0, 50_001, 1_000)")
    return np.asarray(steps, float)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
