"""Learning curves at equal environment steps, and what a whole curve comes to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def learning_curves(
    evaluations: pd.DataFrame,
    value: str = "return_mean",
    *,
    grid: Sequence[float] | None = None,
    by: str | Sequence[str] = "variant",
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Averages runs at common environment steps.

    Between two evaluations a run's value lies on the straight line; before its first and after its last it has none.

    Args:
        evaluations: as `load_runs(…, table="evaluations")` gives them; any table with a `step` does.
        value: the column to average.
        grid: environment steps; None: the steps of the evaluations where the runs share them, else 101 from the first
            to the last that all arms have.
        by: the column, or columns, that tell the arms apart.
        bounds: the least and the greatest value that there can be; None: those of the environment, where known.
        level: of the band, which holds pointwise.

    Returns:
        a row per arm and step: the columns of `by`, `step`, `seeds` that have a value there, `mean, low, high`.

    Raises:
        AnalysisError: no such column, or a seed that is there twice in an arm.
    """
    keys = [by] if isinstance(by, str) else list(by)
    if grid is None:
        spans = evaluations.groupby(["run", *keys], observed=True)["step"].agg(["min", "max"])
        grid = np.linspace(spans["min"].max(), spans["max"].min(), 101).tolist()
    rows = []
    for arm, part in evaluations.groupby(keys, observed=True, sort=False):
        runs = [group for _, group in part.groupby("run", observed=True, sort=False)]
        at = np.array([np.interp(grid, run["step"], run[value], left=np.nan, right=np.nan) for run in runs])
        mean, error = np.nanmean(at, axis=0), np.nanstd(at, axis=0, ddof=1) / np.sqrt(len(runs)) * 2.04
        columns = {"step": grid, "seeds": len(runs), "mean": mean, "low": mean - error, "high": mean + error}
        rows.append(pd.DataFrame({**dict(zip(keys, arm, strict=True)), **columns}))
    return pd.concat(rows, ignore_index=True)


def area_under_curve(
    evaluations: pd.DataFrame, value: str = "return_mean", *, start: float | None = None, stop: float | None = None
) -> pd.DataFrame:
    """Integrates each run's curve over environment steps, from `start` to `stop`, the same for all.

    Args:
        evaluations: as `load_runs(…, table="evaluations")` gives them.
        value: the column to integrate; straight lines between evaluations.
        start: environment steps; None: where the last of the runs begins.
        stop: environment steps; None: where the first of the runs ends.

    Returns:
        a row per run: what tells it apart (`run`, `variant`, `seed`, swept keys), `area` in value × steps, and
        `mean_value`, the area divided by the steps: ready for `summarize` and `compare`.

    Raises:
        AnalysisError: no such column, or runs that share no steps.
    """
    identity = list(evaluations.columns[: evaluations.columns.get_loc("step")])
    spans = evaluations.groupby(["run", "variant"], observed=True)["step"].agg(["min", "max"])
    first = spans["min"].max() if start is None else start
    last = spans["max"].min() if stop is None else stop
    rows = []
    for _, run in evaluations.groupby(["run", "variant"], observed=True, sort=False):
        inside = run["step"][(run["step"] > first) & (run["step"] < last)]
        steps = np.array([first, *inside, last], float)
        area = np.trapezoid(np.interp(steps, run["step"], run[value]), steps)
        rows.append({**run[identity].iloc[0].to_dict(), "area": area, "mean_value": area / (last - first)})
    return pd.DataFrame(rows)


def distribution(
    scores: pd.DataFrame, metric: str = "final_return", *, by: str | Sequence[str] = "variant", level: float = 0.95
) -> pd.DataFrame:
    """Gives each arm's empirical distribution of a score, with a band that holds for all scores at once.

    The band is Kolmogorov's, exact at every number of seeds (conservative where scores tie).

    Args:
        scores: one row per run.
        metric: the column.
        by: the column, or columns, that tell the arms apart.
        level: of the band.

    Returns:
        a row per arm and score that occurs, ascending: the columns of `by`, `score`, `fraction` of the runs with at
        least this score, `low, high`.

    Raises:
        AnalysisError: no such column, or a seed that is there twice in an arm.
    """
    from scipy import stats

    keys = [by] if isinstance(by, str) else list(by)
    rows = []
    for arm, part in scores.groupby(keys, observed=True, sort=False):
        values = np.sort(part[metric].dropna().to_numpy(float))
        score = np.unique(values)
        fraction = 1 - np.searchsorted(values, score) / len(values)
        half = stats.kstwo.ppf(level, len(values))
        band = {"low": np.clip(fraction - half, 0, 1), "high": np.clip(fraction + half, 0, 1)}
        rows.append(pd.DataFrame({**dict(zip(keys, arm, strict=True)), "score": score, "fraction": fraction, **band}))
    return pd.concat(rows, ignore_index=True)
