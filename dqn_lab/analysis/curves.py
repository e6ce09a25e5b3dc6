"""Learning curves at equal environment steps, and what a whole curve comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dqn_lab.analysis._errors import AnalysisError
from dqn_lab.analysis.intervals import Bounds, Floats, margin, student, weights
from dqn_lab.analysis.scores import Keys, arms, as_list, check_columns, check_scores, find_bounds, present

ENOUGH = 0.9  # of an arm's runs: where fewer have a value, those that are left are no fair sample
NUM_POINTS = 101
NUM_DRAWS = 1_999


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

    Between two evaluations a run's value lies on the straight line; before its first and after its last it has none. A
    step is left out where fewer than nine in ten of an arm's runs have a value: with budgets in episodes the runs that
    go on longest are the better ones. The band is that of `intervals.py` at each step, with the same draws at all.

    Args:
        evaluations: as `load_runs(…, table="evaluations")` gives them; any table with a `step` does.
        value: the column to average.
        grid: environment steps; None: the evaluations' own steps where nine in ten runs share them, else 101 from the
            first to the last.
        by: the column, or columns, that tell the arms apart.
        bounds: the least and the greatest value that there can be; None: those of the task, where known.
        level: of the band, which holds pointwise.

    Returns:
        a row per arm and step: the columns of `by`, `step`, `seeds` that have a value there, `mean, low, high`.

    Raises:
        AnalysisError: no such column, a seed that is there twice in an arm, or several tasks in one arm.
    """
    keys = as_list(by)
    check_columns(evaluations, value, keys, "value")
    steps = np.asarray(common_steps(evaluations) if grid is None else grid, float)
    tables = []
    for arm, part in arms(evaluations, keys):
        at = curve_matrix(part, value, steps, keys)
        curve = _band(at, find_bounds(part, value, bounds), level)
        enough = curve["seeds"] >= ENOUGH * len(at)
        tables.append(pd.DataFrame({**arm, "step": steps, **curve})[enough])
    whole: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return whole


def each_run(part: pd.DataFrame) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Takes a table apart into runs, in order of appearance; of two rows at one step the later counts.

    Returns:
        a row per run and arm of what tells it apart, the columns before those of its table; and each one's rows.
    """
    part, names = _once(part)
    runs = [group for _, group in part.groupby(names, observed=True, sort=False)]
    columns = list(part.columns)
    own = min(columns.index(name) for name in ("step", "episode") if name in columns)
    return part.iloc[[run.index[0] for run in runs], :own].reset_index(drop=True), runs


def _once(part: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Keeps one row at each step of a run, the last; names the columns that tell runs apart."""
    names = [name for name in ("run", "variant") if name in part]
    if not names:
        raise AnalysisError("run: no such column; rows must say which run they are of, as those of load_runs do")
    return part.drop_duplicates([*names, "step"], keep="last", ignore_index=True), names


def common_steps(evaluations: pd.DataFrame) -> Floats:
    """Returns the steps that nine in ten of the runs share, or else 101 from the first to the last."""
    part, names = _once(evaluations)
    counts = part["step"].value_counts().sort_index()
    shared = counts.index[counts >= ENOUGH * part.groupby(names, observed=True).ngroups]
    if len(shared) > 1:
        return np.asarray(shared, float)
    return np.linspace(float(counts.index[0]), float(counts.index[-1]), NUM_POINTS)


def curve_matrix(part: pd.DataFrame, value: str, steps: Floats, by: Sequence[str] = ()) -> Floats:
    """Returns each run's values at common steps, [runs, steps], NaN where it has none, in the order of their seeds."""
    about, runs = each_run(part)
    if "seed" in part:
        check_scores(about.assign(one=0.0), "one", by)
        runs = [runs[position] for position in np.argsort(about["seed"].to_numpy(), kind="stable")]
    rows = [_interpolate(run, value, steps) for run in runs]
    return np.array(rows)


def _interpolate(run: pd.DataFrame, value: str, steps: Floats) -> Floats:
    known = run[["step", value]].to_numpy(dtype=float, na_value=np.nan)
    values: Floats = np.interp(steps, known[:, 0], known[:, 1], left=np.nan, right=np.nan)
    return values


def _band(at: Floats, bounds: Bounds | None, level: float) -> dict[str, Any]:
    """Averages [runs, steps] over the runs that have a value, with the interval of `mean_interval` at each step."""
    here = np.isfinite(at)
    seeds = here.sum(axis=0)
    values = np.where(here, at, 0.0)
    least, greatest = bounds or (-np.inf, np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = values.sum(axis=0) / seeds
        spread = np.sqrt((np.where(here, at - mean, 0.0) ** 2).sum(axis=0) / (seeds - 1))
        lowest, highest = np.where(here, at, np.inf).min(axis=0), np.where(here, at, -np.inf).max(axis=0)
        beyond = margin(spread, highest - lowest, seeds)
        low = least if np.isfinite(least) else lowest - beyond
        high = greatest if np.isfinite(greatest) else highest + beyond
        weight = weights(len(at), "arm", NUM_DRAWS)
        ends = weight[:, :1] * low + weight[:, -1:] * high  # [draws, steps]
        draws = (weight[:, 1:-1] @ values + ends) / (weight[:, 1:-1] @ here + weight[:, :1] + weight[:, -1:])
        half = np.nan_to_num(student(spread, seeds, level))  # nothing, of a single run
    tail = (1 - level) / 2
    below, above = np.quantile(draws, [tail, 1 - tail], axis=0)
    low, high = np.minimum(below, mean - half), np.maximum(above, mean + half)
    return {"seeds": seeds, "mean": mean, "low": np.maximum(low, least), "high": np.minimum(high, greatest)}


def area_under_curve(
    evaluations: pd.DataFrame, value: str = "return_mean", *, start: float | None = None, stop: float | None = None
) -> pd.DataFrame:
    """Integrates each run's curve over environment steps, from `start` to `stop`, the same for all.

    Args:
        evaluations: as `load_runs(…, table="evaluations")` gives them.
        value: the column to integrate; straight lines between evaluations.
        start: environment steps; None: from where on nine in ten of the runs of every arm have a value.
        stop: environment steps; None: up to where nine in ten of the runs of every arm have one.

    Returns:
        a row per run: what tells it apart (`run`, `variant`, `seed`, swept keys), `area` in value × steps, and
        `mean_value`, the area divided by the steps; both missing for a run that does not reach from `start` to `stop`.
        Ready for `summarize` and `compare`.

    Raises:
        AnalysisError: no such column, or runs that share no steps.
    """
    check_columns(evaluations, value, [], "value")
    about, runs = each_run(evaluations)
    ends = [(run["step"].min(), run["step"].max()) for run in runs]
    about = about.assign(_first=[first for first, _ in ends], _last=[last for _, last in ends])
    spans = about.groupby("variant" if "variant" in about else "run", observed=True)
    first = float(spans["_first"].quantile(ENOUGH, interpolation="higher").max()) if start is None else start
    last = float(spans["_last"].quantile(1 - ENOUGH, interpolation="lower").min()) if stop is None else stop
    if not first < last:
        raise AnalysisError(f"start={first:g}, stop={last:g}: the runs share no steps to integrate over")
    areas = [_area(run, value, first, last) for run in runs]
    table = about.drop(columns=["_first", "_last"])
    return table.assign(area=areas, mean_value=np.array(areas) / (last - first))


def _area(run: pd.DataFrame, value: str, first: float, last: float) -> float:
    taken = run["step"].to_numpy(float)
    inside = taken[(taken > first) & (taken < last)]
    steps = np.array([first, *inside, last], float)
    return float(np.trapezoid(_interpolate(run, value, steps), steps))


def distribution(
    scores: pd.DataFrame, metric: str = "final_return", *, by: Keys = "variant", level: float = 0.95
) -> pd.DataFrame:
    """Returns each variant's empirical distribution of a score, with a band that holds for all scores at once.

    The band is Kolmogorov's, exact at every number of seeds where scores do not tie, and wider than need be where they
    do (Massey 1951, "The Kolmogorov-Smirnov Test for Goodness of Fit", https://doi.org/10.2307/2280095).

    Args:
        scores: one row per run.
        metric: the column.
        by: the column, or columns, that tell the arms apart.
        level: of the band.

    Returns:
        a row per arm and score that occurs, ascending: the columns of `by`, `score`, `fraction` of the runs with at
        least this score, `low, high`.

    Raises:
        AnalysisError: no such column, a seed that is there twice in an arm, or several tasks in one arm.
    """
    from scipy import stats

    keys = as_list(by)
    check_scores(scores, metric, keys)
    tables = []
    for arm, part in arms(scores, keys):
        values = np.sort(present(part, metric))
        score = np.unique(values)
        fraction = 1 - np.searchsorted(values, score) / max(len(values), 1)
        half = stats.kstwo.ppf(level, max(len(values), 1))
        band = {"low": np.clip(fraction - half, 0, 1), "high": np.clip(fraction + half, 0, 1)}
        tables.append(pd.DataFrame({**arm, "score": score, "fraction": fraction, **band}))
    return pd.concat(tables, ignore_index=True)
