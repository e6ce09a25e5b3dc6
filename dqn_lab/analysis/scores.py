"""Checks of frames with one score per run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dqn_lab._nearest import nearest
from dqn_lab.analysis._arguments import SCORES, check_bounds, check_frame
from dqn_lab.analysis._errors import AnalysisError, NoBounds, unknown
from dqn_lab.analysis.intervals import Bounds, Floats
from dqn_lab.analysis.sentence import listed, quoted
from dqn_lab.analysis.tasks import known, stated_bounds
from dqn_lab.records import may_matter

Keys = str | Sequence[str]
MOST_KEYS = 3  # in a hint
BOUNDS = {"wall_seconds": (0.0, math.inf)}  # of scores that are no returns
ROUNDING = 1e-9  # by which a sum of rewards may be beyond the bounds, relative to them
SWEEPS = "by=['sweep', 'variant']"
LOWER_IS_BETTER = ("wall_seconds", "by", "after")  # of the columns that `load_configs` and `steps_to_threshold` return


def as_list(by: Keys) -> list[str]:
    """Returns the names as a list; a single name becomes a list of one.

    Raises:
        AnalysisError: these are not names.
    """
    names = [by] if isinstance(by, str) else list(by) if isinstance(by, (list, tuple)) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise AnalysisError(f"by={by!r}: must be the name of a column, or a list of names")
    return names


def one_column(by: Keys) -> str:
    """Returns the name of the only column.

    Raises:
        AnalysisError: there are several.
    """
    names = as_list(by)
    if len(names) > 1:
        raise AnalysisError(f"by={names}: must be one column; use by='variant', or join these in a new one")
    return names[0]


def check_columns(frame: pd.DataFrame, value: str, by: Sequence[str], what: str = "metric") -> None:
    """Checks that the columns exist and are not empty.

    Raises:
        AnalysisError: a column is missing, the value column is not numeric, or the frame is empty.
    """
    numbers = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name].dtype) and name != "seed"]
    if value in frame and not pd.api.types.is_numeric_dtype(frame[value].dtype):
        raise AnalysisError(f"{what}={value}: holds text, not numbers; {nearest('', map(str, numbers))}")
    if value not in numbers:
        raise unknown(what, value, numbers, "column of numbers")
    for key in by:
        if key not in frame:
            raise unknown("by", key, frame.columns)
    if frame.empty:
        raise AnalysisError(f"{what}={value}: there are no runs")


def check_scores(scores: pd.DataFrame, metric: str, by: Sequence[str], lists: bool = True) -> None:
    """Checks that there is one score per run, none of them infinite, and no seed twice in a variant.

    Args:
        scores: the frame to check.
        metric: the column of scores.
        by: the columns that tell the variants apart.
        lists: whether the caller's `by` may be a list, for the hint in the message.

    Raises:
        AnalysisError: `scores` is no frame, a column is missing, a score is infinite, or a seed occurs twice in a
            variant.
    """
    check_frame(scores, "scores", SCORES)
    check_columns(scores, metric, by)
    infinite = int(np.isinf(scores[metric].to_numpy(dtype=float, na_value=np.nan)).sum())
    if infinite:
        hint = (
            "use reached_curves, which includes the runs that never reached the threshold"
            if "reached" in scores
            else "replace it by a number, or by NaN to count the run as missing"
        )
        raise AnalysisError(f"metric={metric}: infinite in {infinite} of {len(scores)} runs, so it has no mean; {hint}")
    if "seed" in scores:
        _check_seeds(scores, by, lists)
    if {"variant", "sweep"} <= {*scores.columns} and "variant" in by and "sweep" not in by:
        _check_sweeps(scores, by, lists)


def _check_seeds(scores: pd.DataFrame, by: Sequence[str], lists: bool) -> None:
    """Checks that every run has a seed, and no seed occurs twice in a variant; 0 and "0" are the same seed."""
    if without := int(scores["seed"].isna().sum()):
        raise AnalysisError(f"seed: missing in {without} of {len(scores)} runs; number them, or drop the column")
    again = scores.assign(seed=scores["seed"].astype(str)).duplicated([*by, "seed"])
    if again.any():
        row = scores[again].iloc[0]
        variant = ", ".join(f"{key}={row[key]}" for key in by)
        raise AnalysisError(
            f"{variant}: seed {row['seed']} occurs more than once; there must be one score per run and seed "
            f"(as from load_configs and area_under_curve; {_hint(scores, by, lists)})"
        )


def _check_sweeps(scores: pd.DataFrame, by: Sequence[str], lists: bool) -> None:
    """Checks that variants of one name have the same settings in all sweeps."""
    settings = [str(key) for key in scores if key not in by and _is_setting(key)]
    for values, part in scores.groupby(list(by), observed=True, sort=False):
        differ = [key for key in settings if part[key].astype(str).nunique() > 1] if part["sweep"].nunique() > 1 else []
        if differ:
            name = dict(zip(by, values, strict=True))["variant"]
            more = [f"{len(differ) - MOST_KEYS} more"] if differ[MOST_KEYS:] else []
            what = listed([*differ[:MOST_KEYS], *more])
            raise AnalysisError(
                f"{quoted(name)}: its runs in several sweeps differ in {what}; {_hint(scores, by, lists)}"
            )


def _is_setting(column: object) -> bool:
    """Returns whether a column of `load_configs` is a key of the configuration that may change results."""
    key = str(column)
    others = ("versions.", "git.", "sources.")
    return key in ("steps", "episodes", "discount") or ("." in key and not key.startswith(others) and may_matter(key))


def is_higher_better(metric: str, asked: bool | None) -> bool:
    """Returns whether a higher score is better: what was asked for, else what is known of the metric."""
    return metric not in LOWER_IS_BETTER if asked is None else asked


def _hint(scores: pd.DataFrame, by: Sequence[str], lists: bool) -> str:
    """Says how to tell the variants apart."""
    if "variant" not in scores or "variant" in by:
        return f"for several sweeps: {SWEEPS if lists else 'compare each separately'}"
    swept = [key for key in scores.attrs.get("swept", ()) if key in scores and key not in by]
    others = [key for key in swept if scores[key].astype(str).nunique() > 1][:MOST_KEYS]
    if not others:
        return "for variants: by='variant'"
    differ = f"{listed(others)} {'differs' if len(others) == 1 else 'differ'} too: by='variant'"
    return f"{differ}, or average over {listed(others)} first, with groupby([…, 'seed'], as_index=False)"


def check_one_task(frame: pd.DataFrame) -> None:
    """Checks that all rows are of one task.

    Raises:
        AnalysisError: there are several tasks.
    """
    tasks = list(dict.fromkeys(frame["task"])) if "task" in frame else []
    if len(tasks) > 1:
        raise AnalysisError(
            f"{listed(list(map(str, tasks)))}: returns of different tasks cannot be compared; compare each task "
            "separately, with frame.groupby('task'), or drop the column if the returns have the same meaning"
        )


def each_variant(frame: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yields each variant's name and its rows, checked to be of one task, in order of appearance."""
    for values, part in frame.groupby(list(by), observed=True, sort=False, dropna=False):
        check_one_task(part)
        yield dict(zip(by, values, strict=True)), part


def present(part: pd.DataFrame, metric: str) -> Floats:
    """Returns the finite scores, ascending, so that not even rounding depends on the order of the runs."""
    values: Floats = part[metric].to_numpy(dtype=float, na_value=np.nan)
    return np.sort(values[np.isfinite(values)])


def find_bounds(frame: pd.DataFrame, metric: str, bounds: Bounds | None) -> Bounds | None:
    """Returns the bounds of scores: the given ones, else those in the runs' configuration, else the task's or metric's.

    Bounds that the caller did not pass are dropped if a score lies outside them. A score that is outside by rounding
    alone, as a sum of rewards may be, widens them.

    Returns:
        the smallest and the largest possible score, infinite if unknown; None if both are unknown.

    Raises:
        AnalysisError: the given bounds are not two numbers, or a score lies outside them.

    Warns:
        NoBounds: a score lies outside the bounds in the runs' configuration.
    """
    values = present(frame, metric)
    task = known(frame, metric)
    given = None if bounds is None else check_bounds(bounds)
    stated = None if given else stated_bounds(frame, metric)
    low, high = given or stated or (task.bounds if task else BOUNDS.get(metric, (-np.inf, np.inf)))
    slack = ROUNDING * max((abs(end) for end in (low, high) if math.isfinite(end)), default=0.0)
    outside = values[(values < low - slack) | (values > high + slack)]
    if given and len(outside):
        raise AnalysisError(f"bounds=({low:g}, {high:g}): {metric}={outside[0]:g} lies outside")
    if stated and len(outside):
        warnings.warn(outside_stated(stated, metric), NoBounds, stacklevel=3)
    if len(outside) or not np.isfinite([low, high]).any():
        return None
    return float(min([low, *values[:1]])), float(max([high, *values[-1:]]))


def outside_stated(bounds: Bounds, metric: str) -> str:
    """Says that the bounds in the runs' configuration are not used."""
    low, high = bounds
    return f"env.return_bounds=[{low:g},{high:g}]: a {metric} lies outside, so no bounds are assumed"
