"""The metrics that a report can compare."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dqn_lab.analysis._errors import unknown
from dqn_lab.analysis.scores import is_higher_better

FOR_QUARTILES = 5  # seeds; with fewer, quartiles, percentiles and distributions mean nothing


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of a run: its column and its description."""

    name: str
    title: str
    meaning: str
    is_return: bool = True
    solves: bool = True  # whether the task's threshold applies to it

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is better."""
        return is_higher_better(self.name, None)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("final_return", "final return", "mean greedy return of the final policy, over fresh episodes"),
        Metric("best_return", "selected return", "mean greedy return, over fresh episodes, of the policy with the "
               "best evaluation, which may be the final one: as a measure of training biased upwards, because it was "
               "selected"),
        Metric("last_100", "training return", "mean return of the last 100 training episodes, while exploring"),
        Metric("mean_return", "return over the whole run", "area under the run's greedy learning curve divided by its "
               "steps, over the steps that nine in ten runs share", solves=False),
        Metric("wall_seconds", "wall time in seconds", "seconds from a run's start to its end, evaluations included",
               is_return=False, solves=False),
    )
}  # fmt: skip


def find_metric(name: str, scores: pd.DataFrame) -> Metric:
    """Looks a metric up.

    Raises:
        AnalysisError: there is no such metric; the error names those that some run has a value of.
    """
    there = [known for known in METRICS if known in scores and scores[known].notna().any()]
    if name not in METRICS:
        raise unknown("metric", name, there, "metric")
    return METRICS[name]


def count_seeds(count: int) -> str:
    """Returns `1 seed` or `30 seeds`."""
    return "1 seed" if count == 1 else f"{count:,} seeds"


def seeds_between(few: int, most: int) -> str:
    """Returns `30 seeds`, or `2 to 30 seeds` if variants differ."""
    return count_seeds(most) if few == most else f"{few} to {most} seeds"
