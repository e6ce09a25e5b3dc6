"""How many environment steps until a threshold is reached, where it is only seen at evaluations, or never."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def steps_to_threshold(evaluations: pd.DataFrame, threshold: float = 475.0, value: str = "return_mean") -> pd.DataFrame:
    """Finds between which evaluations each run first reached a threshold.

    Args:
        evaluations: as `load_runs(…, table="evaluations")` gives them.
        threshold: is reached at the first evaluation whose value is at least this.
        value: the column.

    Returns:
        a row per run: what tells it apart (`run`, `variant`, `seed`, swept keys); `after` and `by`, the environment
        steps of the last evaluation below and of the first one not below: it was reached after `after` and no later
        than `by`, which is infinite for a run that never did (right-censored at `after`); `reached`.

    Raises:
        AnalysisError: no such column.
    """
    identity = list(evaluations.columns[: evaluations.columns.get_loc("step")])
    rows = []
    for _, run in evaluations.groupby(["run", "variant"], observed=True, sort=False):
        steps, there = run["step"].to_numpy(float), (run[value] >= threshold).to_numpy()
        first = int(there.argmax()) if there.any() else len(steps)
        interval = {"after": steps[first - 1] if first else 0.0, "by": steps[first] if there.any() else np.inf}
        rows.append({**run[identity].iloc[0].to_dict(), **interval, "reached": bool(there.any())})
    return pd.DataFrame(rows)


def reached_curves(times: pd.DataFrame, *, by: str | Sequence[str] = "variant", level: float = 0.95) -> pd.DataFrame:
    """Estimates what fraction of runs has reached the threshold by each step: 1 − survival.

    Args:
        times: as `steps_to_threshold` gives them.
        by: the column, or columns, that tell the arms apart.
        level: of the band, which holds pointwise.

    Returns:
        a row per arm and step, from step 0: the columns of `by`, `step`, `fraction`, `low, high`, and `at_risk`, the
        runs that were watched that long and had not reached it before. Draw it as a staircase.

    Raises:
        AnalysisError: a seed that is there twice in an arm.
    """
    keys = [by] if isinstance(by, str) else list(by)
    rows = []
    for arm, part in times.groupby(keys, observed=True, sort=False):
        steps = np.array(sorted({0.0, *part["by"][part["reached"]], *part["after"]}))
        fraction = np.array([(part["by"] <= step).mean() for step in steps])
        at_risk = [int(((part["by"] >= step) & (part["reached"] | (part["after"] >= step))).sum()) for step in steps]
        columns = {"step": steps, "fraction": fraction, "low": fraction, "high": fraction, "at_risk": at_risk}
        rows.append(pd.DataFrame({**dict(zip(keys, arm, strict=True)), **columns}))
    return pd.concat(rows, ignore_index=True)
