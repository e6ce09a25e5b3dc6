"""Environment steps until a threshold is reached, known only to lie between two evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dqn_lab.analysis._arguments import check_frame, check_level, check_number
from dqn_lab.analysis._errors import AnalysisError
from dqn_lab.analysis.curves import NEARLY_ALL, Curve, check_evaluations, each_run
from dqn_lab.analysis.intervals import VARIANT, Floats, weights
from dqn_lab.analysis.scores import Keys, as_list, check_scores, each_variant
from dqn_lab.analysis.tasks import known

NUM_DRAWS = 599
NUM_ITERATIONS = 200  # enough for an estimate on a hundred seeds to be exact to a line's width


def steps_to_threshold(
    evaluations: pd.DataFrame, threshold: float | None = None, value: str = "return_mean"
) -> pd.DataFrame:
    """Finds between which evaluations each run first reached a threshold.

    Use `reached_curves`, not means of `by`, if any run never reached it.

    Args:
        evaluations: a frame of `load_runs(…, table="evaluations")`.
        threshold: reached at the first evaluation whose value is at least this; None: the task's, if known (475 on
            CartPole-v1).
        value: the column.

    Returns:
        one row per run: the columns that identify it (`run`, `variant`, `seed`, swept keys); `after` and `by`, the
        environment steps of the last evaluation below the threshold and of the first one at or above it; `reached`. The
        threshold was reached after step `after`, and at step `by` at the latest. If it was never reached, `by` is
        infinite, and `after` is the run's last evaluation.

    Raises:
        AnalysisError: no such column, or no threshold is known.
    """
    check_number("threshold", threshold)
    check_evaluations(evaluations, value)
    task = known(evaluations, value)
    goal = threshold if threshold is not None or task is None else task.threshold
    if goal is None:
        raise AnalysisError(f"threshold: must be given, because none is known for {value} here")
    about, runs = each_run(evaluations, value)
    times = about.join(pd.DataFrame([_first_reached(run, goal) for run in runs]))
    times.attrs = dict(evaluations.attrs)
    return times


def _first_reached(run: Curve, threshold: float) -> dict[str, Any]:
    steps = np.array([0.0, *run.steps])
    there = np.flatnonzero(run.values >= threshold)
    if not len(there):
        return {"after": steps[-1], "by": np.inf, "reached": False}
    return {"after": steps[there[0]], "by": steps[there[0] + 1], "reached": True}


def reached_curves(times: pd.DataFrame, *, by: Keys = "variant", level: float = 0.95) -> pd.DataFrame:
    """Estimates the fraction of runs that have reached the threshold by each step: 1 − survival.

    The estimate is Turnbull's, the maximum likelihood estimate when an event is only known to lie between two
    evaluations (Turnbull 1976, "The Empirical Distribution Function with Arbitrarily Grouped, Censored and Truncated
    Data", https://doi.org/10.1111/j.2517-6161.1976.tb01597.x). If all runs share their evaluation steps, it equals
    Kaplan and Meier's (1958, https://doi.org/10.1080/01621459.1958.10501452). It cannot tell when within an interval a
    run reached the threshold, and so puts the mass at the interval's end. The band weights runs as
    `dqn_lab/analysis/intervals.py` does, with half a run that reaches the threshold at once and half a run that never
    does; if all runs continue to the end, it is Jeffreys' interval for a proportion. A step is left out if fewer than
    nine in ten of a variant's runs lasted that long: with a budget in episodes, bad runs end early, and the others are
    not a fair sample.

    Args:
        times: a frame of `steps_to_threshold`.
        by: the column, or columns, that tell the variants apart.
        level: the band's pointwise confidence level.

    Returns:
        one row per variant and step, from step 0: the columns of `by`, `step`, `fraction`, `low, high`, and `at_risk`,
        the number of runs that lasted that long and had not reached the threshold before. Draw it as a staircase.

    Raises:
        AnalysisError: no such column, a seed that occurs twice in a variant, or several tasks in one variant.
    """
    keys = as_list(by)
    check_level(level, NUM_DRAWS)
    check_frame(times, "times", "steps_to_threshold")
    for name in ("after", "by"):
        if name not in times or not pd.api.types.is_numeric_dtype(times[name].dtype):
            needed = "reached_curves needs the frame of steps_to_threshold"
            raise AnalysisError(f"{name}: no such column of numbers; {needed}")
    check_scores(times, "after", keys)
    tables = []
    for variant, part in each_variant(times, keys):
        ordered = part.sort_values(["by", "after"])
        after, until = ordered["after"].to_numpy(float), ordered["by"].to_numpy(float)
        after = np.where(until > after, after, -np.inf)  # it was there before its first step
        ends = np.unique([0.0, *after, *until[np.isfinite(until)]])
        seen = np.isfinite(until)
        at_risk = [int(((until >= end) & (seen | (after >= end))).sum()) for end in ends]
        watched = [((until <= end) | (after >= end)).mean() for end in ends]
        columns = {"step": ends, **_estimate(after, until, ends, level), "at_risk": at_risk}
        tables.append(pd.DataFrame({**variant, **columns})[(np.array(watched) >= NEARLY_ALL) & (ends >= 0)])
    return pd.concat(tables, ignore_index=True)


def _estimate(after: Floats, until: Floats, ends: Floats, level: float) -> dict[str, Floats]:
    """Estimates the distribution and its band at `ends`, which begin with 0, or with −∞ and 0."""
    upper = np.array([*ends[1:], np.inf])  # a cell lies between two ends; the last cell is unbounded
    number = len(after)
    low = np.array([ends[0], *after, ends[-1]])  # half a run at once, the runs, half a run never
    high = np.array([upper[0], *until, np.inf])
    may = (ends >= low[:, None]) & (upper <= high[:, None])  # [runs + 2, cells]: where each may have reached it
    fraction = turnbull(np.full((1, number), 1 / number), may[1:-1])[0]
    draws = turnbull(weights(number, VARIANT, NUM_DRAWS), may)
    tail = (1 - level) / 2
    below, above = np.quantile(draws, [tail, 1 - tail], axis=0)
    return {"fraction": fraction, "low": np.minimum(below, fraction), "high": np.maximum(above, fraction)}


def turnbull(weight: Floats, may: NDArray[np.bool_]) -> Floats:
    """Finds the maximum likelihood distribution by self-consistency.

    Args:
        weight: each run's weight, [draws, runs]; rows sum to 1.
        may: whether the run may have reached it in the cell, [runs, cells].

    Returns:
        the fraction at the beginning of each cell, [draws, cells].
    """
    patterns, which = np.unique(may, axis=0, return_inverse=True)  # runs with the same possibilities count as one
    weight = weight @ (which.reshape(-1, 1) == np.arange(len(patterns)))
    allowed = patterns.astype(float)
    mass = np.full((len(weight), allowed.shape[1]), 1 / allowed.shape[1])
    for _ in range(NUM_ITERATIONS):
        mass = mass * ((weight / (mass @ allowed.T)) @ allowed)
    reached: Floats = np.round(np.cumsum(mass, axis=1) - mass, 12)  # so that all runs are exactly 1
    return reached
