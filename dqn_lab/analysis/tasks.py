"""Looks up what is known about the returns in a table of scores: from their task, or from the runs' configuration."""

from __future__ import annotations

import json

import pandas as pd

from dqn_lab.tasks import Task, find_task

RETURNS = (
    "final_return", "best_return", "last_100", "return", "return_mean", "return_min", "return_max", "mean_return",
    "mean_value",
)  # fmt: skip

RETURN_BOUNDS = "env.return_bounds"  # a column of text, [low, high], if the configuration sets it


def known(scores: pd.DataFrame, metric: str) -> Task | None:
    """Returns the task of a column's values, or None unless the column contains returns of one known task."""
    if metric not in RETURNS or "task" not in scores:
        return None
    tasks = scores["task"].unique()
    return find_task(str(tasks[0])) if len(tasks) == 1 else None


def stated_bounds(scores: pd.DataFrame, metric: str) -> tuple[float, float] | None:
    """Returns the bounds of the runs' own `env.return_bounds`, if they are the same in all runs."""
    if metric not in RETURNS or RETURN_BOUNDS not in scores:
        return None
    stated = scores[RETURN_BOUNDS].unique()
    if len(stated) != 1 or pd.isna(stated[0]):
        return None
    bounds = json.loads(str(stated[0]))
    if not isinstance(bounds, list) or len(bounds) != 2 or not all(isinstance(end, int | float) for end in bounds):
        return None
    low, high = map(float, bounds)
    return (low, high) if low < high else None
