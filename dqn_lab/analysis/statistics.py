"""Scores of many seeds to statements about arms: how good, how sure, and which is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dqn_lab.analysis._errors import AnalysisError, unknown
from dqn_lab.analysis.intervals import Bounds, Floats, draw, interval, p_value
from dqn_lab.analysis.scores import Keys, arms, as_list, check_one_task, check_scores, find_bounds, present
from dqn_lab.analysis.tasks import known

SUCCESS = ("successes", "success_rate", "success_low", "success_high")
IQM = ("iqm", "iqm_low", "iqm_high")


def summarize(
    scores: pd.DataFrame,
    metric: str = "final_return",
    *,
    by: Keys = "variant",
    threshold: float | None = None,
    bounds: Bounds | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Summarises one score per run for each arm.

    Mean and success rate come first: where one seed in seven fails, the interquartile mean hides it. `intervals.py`
    has the method and its measured coverage; the success rate has Wilson's interval (1927). The interquartile mean is
    that of Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    https://arxiv.org/abs/2108.13264, over the seeds of one task.

    Args:
        scores: one row per run, as `load_configs`, `area_under_curve` and `steps_to_threshold` give them.
        metric: the column to summarise.
        by: the column, or columns, that tell the arms apart.
        threshold: a run whose score is at least this succeeds; None: the task's, where known (475 on CartPole-v1).
        bounds: the least and the greatest score that there can be; None: those of the task, where known.
        level: of the intervals.

    Returns:
        a row per arm, in order of appearance: the columns of `by`; `seeds`; `missing`, runs without a score, which
        count nowhere else; `mean, mean_low, mean_high`; `successes, success_rate, success_low, success_high`; `p10`,
        `median`; `iqm, iqm_low, iqm_high`.

    Raises:
        AnalysisError: no such column, a seed that is there twice in an arm, or several tasks in one arm.
    """
    keys = as_list(by)
    check_scores(scores, metric, keys)
    rows = []
    for arm, part in arms(scores, keys):
        task = known(part, metric)
        goal = threshold if threshold is not None or task is None else task.threshold
        values = present(part, metric)
        about = {"seeds": len(values), "missing": len(part) - len(values)}
        rows.append({**arm, **about, **_describe(values, find_bounds(part, metric, bounds), goal, level)})
    return pd.DataFrame(rows).astype({"successes": "Int64"})


def _describe(values: Floats, bounds: Bounds | None, threshold: float | None, level: float) -> dict[str, Any]:
    from scipy import stats

    if not len(values):
        return {
            **dict.fromkeys(("mean", "mean_low", "mean_high", *SUCCESS, "p10", "median", *IQM), np.nan),
            SUCCESS[0]: pd.NA,
        }
    draws = draw(values, bounds)
    (low, high), (iqm_low, iqm_high) = interval(draws.mean(), level), interval(draws.iqm(), level)
    return {
        "mean": float(values.mean()), "mean_low": low, "mean_high": high,
        **_success(values, threshold, level),
        "p10": float(np.quantile(values, 0.1)), "median": float(np.median(values)),
        "iqm": float(stats.trim_mean(values, 0.25)), "iqm_low": iqm_low, "iqm_high": iqm_high,
    }  # fmt: skip


def _success(values: Floats, threshold: float | None, level: float) -> dict[str, Any]:
    from statsmodels.stats.proportion import proportion_confint

    if threshold is None:
        return {**dict.fromkeys(SUCCESS, np.nan), SUCCESS[0]: pd.NA}
    successes = int((values >= threshold).sum())
    low, high = proportion_confint(successes, len(values), alpha=1 - level, method="wilson")
    return dict(zip(SUCCESS, (successes, successes / len(values), float(low), float(high)), strict=True))


def compare(
    scores: pd.DataFrame,
    metric: str = "final_return",
    *,
    control: str,
    by: str = "variant",
    higher_is_better: bool = True,
    bounds: Bounds | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compares every arm with the control, corrected for the number of comparisons.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", https://www.jstor.org/stable/4615733: with m
    comparisons, the smallest p-value is held against (1 − level) / m, the next against (1 − level) / (m − 1), and so on
    until one is too large. Each interval has the level that its comparison came to in that order, so that it leaves out
    zero exactly where Holm's procedure decides. The chance of any wrong decision is then at most 1 − level.

    Args:
        scores: one row per run, as `load_configs`, `area_under_curve` and `steps_to_threshold` give them.
        metric: the column to compare.
        control: the arm that the others are compared with.
        by: the column that tells the arms apart.
        higher_is_better: False for a metric such as `wall_seconds`.
        bounds: the least and the greatest score that there can be; None: those of the task, where known.
        level: of the verdicts together.

    Returns:
        a row per arm but the control, in order of appearance: the column `by`; `control`; `metric`; `seeds`,
        `control_seeds`; `missing`, runs of both without a score; `mean`, `control_mean`; `difference` of the means with
        `low, high`; `level`, the interval's, corrected; `p_value`, `p_holm`; `improvement`, the probability that a run
        of the arm is better than one of the control, ties at ½, with `improvement_low, improvement_high`, not
        corrected; `verdict`: `better`, `worse` or `undecided`.

    Raises:
        AnalysisError: no such column or control, no other arm, an arm without a score, a seed that is twice in an arm,
            or several tasks in one comparison.
    """
    check_scores(scores, metric, [by])
    check_one_task(scores)
    parts, limits = {arm[by]: part for arm, part in arms(scores, [by])}, find_bounds(scores, metric, bounds)
    if control not in parts:
        raise unknown("control", control, parts, by)
    base = _Arm(control, parts.pop(control), metric, limits, "control", higher_is_better)
    if not parts:
        raise AnalysisError(f"control={control}: there is nothing to compare it with")
    others = [_Arm(name, part, metric, limits, "arm", higher_is_better) for name, part in parts.items()]
    same = {"control": control, "metric": metric}
    rows = [{by: name, **same, **arm.against(base, level)} for name, arm in zip(parts, others, strict=True)]
    differences = [arm.draws.mean() - base.draws.mean() for arm in others]
    return _correct(pd.DataFrame(rows), differences, higher_is_better, level)


class _Arm:
    """An arm's scores and the distributions that they may have come from."""

    def __init__(
        self, name: str, part: pd.DataFrame, metric: str, bounds: Bounds | None, stream: str, upwards: bool
    ) -> None:
        self.values = present(part, metric)
        self.missing = len(part) - len(self.values)
        self.upwards = upwards
        if not len(self.values):
            raise AnalysisError(f"{stream}={name}: none of its {len(part)} runs has a score in {metric}")
        self.draws = draw(self.values, bounds, stream)

    def against(self, control: _Arm, level: float) -> dict[str, Any]:
        first, second = (self, control) if self.upwards else (control, self)
        wins = (first.values[:, None] > second.values).mean() + (first.values[:, None] == second.values).mean() / 2
        low, high = interval(first.draws.improvement(second.draws), level)
        return {
            "seeds": len(self.values), "control_seeds": len(control.values),
            "missing": self.missing + control.missing,
            "mean": float(self.values.mean()), "control_mean": float(control.values.mean()),
            "difference": float(self.values.mean() - control.values.mean()),
            "low": np.nan, "high": np.nan, "level": np.nan, "p_value": np.nan, "p_holm": np.nan,
            "improvement": float(wins), "improvement_low": low, "improvement_high": high,
        }  # fmt: skip


def _correct(table: pd.DataFrame, differences: Sequence[Floats], upwards: bool, level: float) -> pd.DataFrame:
    """Fills in p-values, intervals and verdicts."""
    from statsmodels.stats.multitest import multipletests

    p_values = np.array([p_value(draws) for draws in differences])
    table["p_value"], table["p_holm"] = p_values, multipletests(np.nan_to_num(p_values, nan=1.0), method="holm")[1]
    table["level"] = holm_levels(np.nan_to_num(p_values, nan=1.0), level)
    ends = [interval(draws, own) for draws, own in zip(differences, table["level"], strict=True)]
    table["low"], table["high"] = zip(*ends, strict=True)
    table["low"] = table["low"].clip(upper=table["difference"])  # at the bounds of what a score can be the
    table["high"] = table["high"].clip(lower=table["difference"])  # draws, which know of them, stop short of it
    above, below = table["low"] > 0, table["high"] < 0
    better, worse = (above, below) if upwards else (below, above)
    table["verdict"] = np.select([better, worse], ["better", "worse"], "undecided")
    return table


def holm_levels(p_values: Floats, level: float) -> Floats:
    """Gives the level that each comparison comes to in Holm's order; those after the first undecided one share its."""
    order = np.argsort(p_values, kind="stable")
    alphas = (1 - level) / np.arange(len(p_values), 0, -1)
    undecided = np.flatnonzero(p_values[order] > alphas * (1 + 1e-9))
    if len(undecided):
        alphas[undecided[0] :] = alphas[undecided[0]]
    levels = np.empty(len(p_values))
    levels[order] = 1 - alphas
    return levels
