"""Learning curves at equal environment steps, areas under them, and distributions of scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dqn_lab.analysis._arguments import EVALUATIONS, check_frame, check_level, check_number, check_steps
from dqn_lab.analysis._errors import AnalysisError, NoCurve
from dqn_lab.analysis.intervals import VARIANT, Bounds, Floats, margin, student, weights
from dqn_lab.analysis.scores import Keys, as_list, check_columns, check_scores, each_variant, find_bounds, present

NEARLY_ALL = 0.9  # share of a variant's runs that must have a value; fewer are not a fair sample
NUM_POINTS = 101
FEW_POINTS = 10  # of a variant's curve
NUM_DRAWS = 1_999
IDENTITY = ("run", "variant", "task", "seed")  # columns that tell runs apart


def learning_curves(
    evaluations: pd.DataFrame,
    value: str = "return_mean",
    *,
    grid: Sequence[float] | None = None,
    by: Keys = "variant",
    bounds: Bounds | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Averages runs at common environment steps.

    A run's value is interpolated linearly between its evaluations, and missing before the first and after the last. A
    step is left out if fewer than nine in ten of a variant's runs have a value there: with a budget in episodes, the
    runs that last longest are the better ones. The band is the interval of `dqn_lab/analysis/intervals.py` at each
    step, with the same 1,999 draws for all; `summarize` has 9,999, so its ends differ slightly. A single run has none.

    Args:
        evaluations: a frame of `load_runs(…, table="evaluations")`, or any with a `step` and the run of each row: in a
            column `run`, or in `variant` and `seed`.
        value: the column to average.
        grid: environment steps; None: the steps that nine in ten runs share, else 101 from the first to the last, which
            need not be whole (runs that are evaluated by episodes share none), and 101 more within a variant's own
            range if that holds fewer than 10 of them.
        by: the column, or columns, that tell the variants apart.
        bounds: the smallest and the largest possible value; None: those of the task, if known.
        level: the band's pointwise confidence level.

    Returns:
        one row per variant and step: the columns of `by`, `step`, `seeds` (the number of runs with a value there),
        `mean, low, high`.

    Raises:
        AnalysisError: no such column, a seed that occurs twice in a variant, or several tasks in one variant.

    Warns:
        NoCurve: a variant has no step at which enough of its runs have a value.
    """
    keys = as_list(by)
    check_level(level, NUM_DRAWS)
    check_evaluations(evaluations, value, keys)
    steps = common_steps(evaluations, keys) if grid is None else check_steps(grid)
    tables: list[pd.DataFrame] = []
    for variant, part in each_variant(evaluations, keys):
        at = curve_matrix(part, value, steps, keys)
        curve = _band(at, find_bounds(part, value, bounds), level)
        enough = curve["seeds"] >= NEARLY_ALL * len(at)
        tables.append(pd.DataFrame({**variant, "step": steps, **curve})[enough])
        if not enough.any():
            warnings.warn(_why_no_curve(variant, len(at)), NoCurve, stacklevel=2)
    return pd.concat(tables, ignore_index=True)


def _why_no_curve(variant: dict[str, Any], num_runs: int) -> str:
    what = ", ".join(f"{key}={name}" for key, name in variant.items())
    return f"{what}: no curve; at no step have nine in ten of its {num_runs} runs a value"


def check_evaluations(frame: pd.DataFrame, value: str, by: Sequence[str] = ()) -> None:
    """Checks that a frame has steps, and the columns that are asked for.

    Raises:
        AnalysisError: this is no frame, a column is missing, the steps or values are not numbers, or the frame is
            empty.
    """
    check_frame(frame, "evaluations", EVALUATIONS)
    if "step" not in frame or not pd.api.types.is_numeric_dtype(frame["step"].dtype):
        needed = f"needs one row per evaluation, as {EVALUATIONS} returns them"
        raise AnalysisError(f"step: no such column of numbers; this function {needed}")
    if without := int(frame["step"].isna().sum()):
        raise AnalysisError(f"step: missing in {without} of {len(frame)} rows; drop these")
    check_columns(frame, value, by, "value")


class Curve(NamedTuple):
    """A run's values over environment steps, ascending."""

    steps: Floats
    values: Floats

    def at(self, steps: Floats) -> Floats:
        """Interpolates linearly; NaN before the first step and after the last."""
        values: Floats = np.interp(steps, self.steps, self.values, left=np.nan, right=np.nan)
        return values


def each_run(part: pd.DataFrame, value: str, by: Sequence[str] = ()) -> tuple[pd.DataFrame, list[Curve]]:
    """Splits a table into runs, in order of appearance; if a run has two rows at one step, keeps the later one.

    Returns:
        a frame with one row per run and variant and the columns that identify it, and each row's curve.
    """
    part, names = _unique_steps(part, by)
    which = part.groupby(names, observed=True, sort=False, dropna=False).ngroup().to_numpy()
    order = np.lexsort((part["step"].to_numpy(float), which))
    starts = np.flatnonzero(np.diff(which[order], prepend=-1))
    numbers = part[["step", value]].to_numpy(dtype=float, na_value=np.nan)[order]
    columns = list(part.columns)
    own = min(columns.index(name) for name in ("step", "episode") if name in columns)
    firsts = pd.Series(np.arange(len(part))).groupby(which).min().to_numpy()
    about = part.iloc[firsts][[*columns[:own], *(name for name in columns[own:] if name in (*IDENTITY, *names))]]
    curves = [Curve(rows[:, 0], rows[:, 1]) for rows in np.split(numbers, starts[1:])]
    return about.reset_index(drop=True), curves


def _unique_steps(part: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Keeps the last row at each step of a run; also returns the columns that identify a run.

    Raises:
        AnalysisError: the columns do not say which rows are of one run.
    """
    own = "run" if "run" in part else "seed"
    if own not in part:
        raise AnalysisError("run: no such column; each row must name its run, or its variant and seed")
    names = [name for name in dict.fromkeys((own, "variant", "task", *by)) if name in part]
    again = part.duplicated([*names, "step"], keep="last")
    if own == "seed" and again.any():  # of a run that is named, the later row counts: it was resumed
        row = part[again].iloc[0]
        found = ", ".join(f"{name}={row[name]}" for name in [*names, "step"])
        raise AnalysisError(f"{found}: occurs more than once; name each row's variant, or its run in a column `run`")
    return part[~again].reset_index(drop=True), names


def common_steps(evaluations: pd.DataFrame, by: Sequence[str]) -> Floats:
    """Returns the steps that nine in ten of the runs share; if there is at most one, 101 from the first to the last.

    A variant whose runs end so early that few of these are left has 101 of its own, at which the others count too.
    """
    part, names = _unique_steps(evaluations, by)
    counts = part["step"].value_counts().sort_index()
    shared = counts.index[counts >= NEARLY_ALL * part.groupby(names, observed=True, dropna=False).ngroups]
    if len(shared) > 1:
        return np.asarray(shared, float)
    steps = np.linspace(float(counts.index[0]), float(counts.index[-1]), NUM_POINTS)
    for _, rows in part.groupby(list(by), observed=True, sort=False, dropna=False):
        ends = rows.groupby(names, observed=True, dropna=False)["step"].agg(["min", "max"])
        first = float(ends["min"].quantile(NEARLY_ALL, interpolation="higher"))
        last = float(ends["max"].quantile(1 - NEARLY_ALL, interpolation="lower"))
        if first <= last and ((steps >= first) & (steps <= last)).sum() < FEW_POINTS:
            steps = np.concatenate([steps, np.linspace(first, last, NUM_POINTS)])
    return np.unique(steps)


def curve_matrix(part: pd.DataFrame, value: str, steps: Floats, by: Sequence[str] = ()) -> Floats:
    """Returns each run's values at common steps, [runs, steps], NaN where missing, ordered by seed."""
    about, runs = each_run(part, value, by)
    if "seed" in part:
        check_scores(about.assign(one=0.0), "one", by)
        runs = [runs[position] for position in np.argsort(about["seed"].to_numpy(), kind="stable")]
    return np.array([run.at(steps) for run in runs])


def _band(at: Floats, bounds: Bounds | None, level: float) -> dict[str, Any]:
    """Averages [runs, steps] over the runs that have a value, with the interval of `mean_interval` at each step."""
    here = np.isfinite(at)
    seeds = here.sum(axis=0)
    values = np.where(here, at, 0.0)
    least, greatest = bounds or (-np.inf, np.inf)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lowest, highest = np.where(here, at, np.inf).min(axis=0), np.where(here, at, -np.inf).max(axis=0)
        mean = np.clip(values.sum(axis=0) / seeds, lowest, highest)  # rounding may leave the range of equal values
        spread = np.sqrt((np.where(here, at - mean, 0.0) ** 2).sum(axis=0) / (seeds - 1))
        beyond = margin(spread, highest - lowest, seeds)
        low = least if np.isfinite(least) else lowest - beyond
        high = greatest if np.isfinite(greatest) else highest + beyond
        weight = weights(len(at), VARIANT, NUM_DRAWS)
        ends = weight[:, :1] * low + weight[:, -1:] * high  # [draws, steps]
        draws = (weight[:, 1:-1] @ values + ends) / (weight[:, 1:-1] @ here + weight[:, :1] + weight[:, -1:])
        half = np.nan_to_num(student(spread, seeds, level))  # zero for a single run
        tail = (1 - level) / 2
        below, above = np.clip(np.quantile(draws, [tail, 1 - tail], axis=0), low, high)
        low = np.maximum(np.minimum(below, mean - half), least)
        high = np.minimum(np.maximum(above, mean + half), greatest)
    low, high = (np.where(seeds > 1, end, np.nan) for end in (low, high))
    return {"seeds": seeds, "mean": mean, "low": low, "high": high}


def area_under_curve(
    evaluations: pd.DataFrame, value: str = "return_mean", *, start: float | None = None, stop: float | None = None
) -> pd.DataFrame:
    """Integrates each run's curve over environment steps, from `start` to `stop`, which are the same for all runs.

    Args:
        evaluations: a frame of `load_runs(…, table="evaluations")`.
        value: the column to integrate, interpolated linearly between evaluations.
        start: environment steps; None: the first step at which nine in ten of every variant's runs have a value.
        stop: environment steps; None: the last such step.

    Returns:
        one row per run: the columns that identify it (`run`, `variant`, `seed`, swept keys), `area` in value × steps,
        and `mean_value`, the area divided by the steps; both are missing if the run does not span `start` to `stop`.
        `summarize` and `compare` accept this frame.

    Raises:
        AnalysisError: no such column, runs that share no steps, or no run that spans `start` to `stop`.
    """
    check_number("start", start)
    check_number("stop", stop)
    check_evaluations(evaluations, value)
    about, runs = each_run(evaluations, value)
    ends = [(run.steps[0], run.steps[-1]) for run in runs]
    about = about.assign(_first=[first for first, _ in ends], _last=[last for _, last in ends])
    spans = about.groupby(next(name for name in ("variant", "run", "seed") if name in about), observed=True)
    first = float(spans["_first"].quantile(NEARLY_ALL, interpolation="higher").max()) if start is None else start
    last = float(spans["_last"].quantile(1 - NEARLY_ALL, interpolation="lower").min()) if stop is None else stop
    if not first < last:
        raise AnalysisError(f"start={first:g}, stop={last:g}: the runs share no steps to integrate over")
    if not any(begin <= first and last <= end for begin, end in ends):
        there = f"they have values from {min(ends)[0]:g} to {max(end for _, end in ends):g}"
        raise AnalysisError(f"start={first:g}, stop={last:g}: no run has values from start to stop; {there}")
    areas = [_area(run, first, last) for run in runs]
    table = about.drop(columns=["_first", "_last"])
    return table.assign(area=areas, mean_value=np.array(areas) / (last - first))


def _area(run: Curve, first: float, last: float) -> float:
    steps = np.array([first, *run.steps[(run.steps > first) & (run.steps < last)], last])
    return float(np.trapezoid(run.at(steps), steps))


def distribution(
    scores: pd.DataFrame, metric: str = "final_return", *, by: Keys = "variant", level: float = 0.95
) -> pd.DataFrame:
    """Computes each variant's empirical distribution of a score, with a simultaneous band over all scores.

    The band is Kolmogorov's: exact for any number of seeds if no scores tie, and wider than necessary if they
    do (Massey 1951, "The Kolmogorov-Smirnov Test for Goodness of Fit", https://doi.org/10.2307/2280095).

    Args:
        scores: one row per run.
        metric: the column.
        by: the column, or columns, that tell the variants apart.
        level: the band's confidence level.

    Returns:
        one row per variant and distinct score, ascending: the columns of `by`, `score`, `fraction` (the share of runs
        with at least this score), `low, high`.

    Raises:
        AnalysisError: no such column, an infinite score, a seed that occurs twice in a variant, or several tasks in one
            variant.
    """
    from scipy.special import smirnovi

    keys = as_list(by)
    check_level(level)
    check_scores(scores, metric, keys)
    tables = []
    for variant, part in each_variant(scores, keys):
        values = np.sort(present(part, metric))
        score = np.unique(values)
        fraction = 1 - np.searchsorted(values, score) / max(len(values), 1)
        half = smirnovi(max(len(values), 1), (1 - level) / 2)  # Kolmogorov's statistic, from both one-sided tails
        band = {"low": np.clip(fraction - half, 0, 1), "high": np.clip(fraction + half, 0, 1)}
        tables.append(pd.DataFrame({**variant, "score": score, "fraction": fraction, **band}))
    return pd.concat(tables, ignore_index=True)
