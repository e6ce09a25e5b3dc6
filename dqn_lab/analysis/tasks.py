"""What a task is called, and what is known of the returns that it can give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

RETURNS = (
    "final_return", "best_return", "last_100", "return", "return_mean", "return_min", "return_max", "mean_return",
    "mean_value",
)  # fmt: skip


class Task(NamedTuple):
    """Undiscounted returns of an environment as Gymnasium registers it."""

    bounds: tuple[float, float]  # the least and the greatest there can be
    threshold: float  # from which on it counts as solved


TASKS = {
    "CartPole-v0": Task((0.0, 200.0), 195.0),
    "CartPole-v1": Task((0.0, 500.0), 475.0),
    "Acrobot-v1": Task((-500.0, 0.0), -100.0),
    "MountainCar-v0": Task((-200.0, 0.0), -110.0),
}


def task_name(config: Mapping[str, Any]) -> str:
    """Names what a run was trained on: the environment's id, and what changes its returns.

    Args:
        config: dotted keys.
    """
    name = config.get("env.id") or config.get("env.name") or "unknown"
    plain = (  # the last two change what is learned, not what is scored
        "env.id",
        "env.name",
        "env.truncation_terminates",
        "env.rescale",
    )
    given = [f"{key[4:]}={value}" for key, value in config.items() if key.startswith("env.") and key not in plain]
    changed = [text for text in given if not text.endswith("=None")]
    return f"{name} ({', '.join(changed)})" if changed else str(name)


def known(scores: pd.DataFrame, metric: str) -> Task | None:
    """Gives what is known of a column's values: something where it holds returns of a single, known task."""
    if metric not in RETURNS or "task" not in scores:
        return None
    tasks = scores["task"].unique()
    return TASKS.get(tasks[0]) if len(tasks) == 1 else None
