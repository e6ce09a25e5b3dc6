"""Scores of many seeds to statements about arms: how good, how sure, and which is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dqn_lab.analysis._errors import AnalysisError, unknown


def summarize(
    scores: pd.DataFrame,
    metric: str = "final_return",
    *,
    by: str | Sequence[str] = "variant",
    threshold: float = 475.0,
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Summarises one score per run for each arm.

    Args:
        scores: one row per run, as `load_configs`, `area_under_curve` and `steps_to_threshold` give them.
        metric: the column to summarise.
        by: the column, or columns, that tell the arms apart.
        threshold: a run whose score is at least this succeeds.
        bounds: the least and the greatest score that there can be; None: those of the environment, where known.
        level: of the intervals.

    Returns:
        a row per arm, in order of appearance: the columns of `by`; `seeds`; `missing`, runs without a score, which
        count nowhere else; `mean, mean_low, mean_high`; `successes, success_rate, success_low, success_high` (Wilson);
        `p10`, `median`; `iqm, iqm_low, iqm_high`, the interquartile mean.

    Raises:
        AnalysisError: no such column, a seed that is there twice in an arm, or arms of several tasks in one.
    """
    keys = [by] if isinstance(by, str) else list(by)
    return pd.DataFrame([{**arm, **_describe(values, threshold)} for arm, values in _arms(scores, metric, keys)])


def _describe(values: np.ndarray[Any, Any], threshold: float) -> dict[str, Any]:
    from scipy import stats
    from statsmodels.stats.proportion import proportion_confint

    here = values[~np.isnan(values)]
    low, high = stats.t.interval(0.95, len(here) - 1, here.mean(), stats.sem(here))
    successes = int((here >= threshold).sum())
    success_low, success_high = proportion_confint(successes, len(here), method="wilson")
    iqm = stats.trim_mean(here, 0.25)
    return {
        "seeds": len(here), "missing": len(values) - len(here), "mean": here.mean(), "mean_low": low, "mean_high": high,
        "successes": successes, "success_rate": successes / len(here), "success_low": success_low,
        "success_high": success_high, "p10": np.quantile(here, 0.1), "median": np.median(here),
        "iqm": iqm, "iqm_low": iqm, "iqm_high": iqm,
    }  # fmt: skip


def _arms(scores: pd.DataFrame, metric: str, keys: list[str]) -> list[tuple[dict[str, Any], Any]]:
    for key in (metric, *keys):
        if key not in scores:
            raise unknown("metric" if key == metric else "by", key, scores.columns)
    groups = scores.groupby(keys, observed=True, sort=False)
    return [(dict(zip(keys, arm, strict=True)), group[metric].to_numpy(float)) for arm, group in groups]


def compare(
    scores: pd.DataFrame,
    metric: str = "final_return",
    *,
    control: str,
    by: str = "variant",
    higher_is_better: bool = True,
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compares every arm with the control.

    Args:
        scores: one row per run, as `load_configs`, `area_under_curve` and `steps_to_threshold` give them.
        metric: the column to compare.
        control: the arm that the others are compared with.
        by: the column that tells the arms apart.
        higher_is_better: False for a metric such as `wall_seconds`.
        bounds: the least and the greatest score that there can be; None: those of the environment, where known.
        level: of the intervals and of the verdicts.

    Returns:
        a row per arm but the control, in order of appearance: the column `by`; `control`; `metric`; `seeds`,
        `control_seeds`; `missing`, runs of both without a score; `mean`, `control_mean`; `difference` of the means with
        `low, high`, corrected by Holm; `p_value`, `p_holm`; `improvement`, the probability that a run of the arm is
        better than one of the control, ties at ½, with `improvement_low, improvement_high`; `verdict`: `better`,
        `worse` or `undecided`.

    Raises:
        AnalysisError: no such column, no such control, nothing to compare it with, a seed that is there twice in an
            arm, or several tasks in one comparison.
    """
    from scipy import stats
    from statsmodels.stats.multitest import multipletests

    arms = {arm[by]: values[~np.isnan(values)] for arm, values in _arms(scores, metric, [by])}
    if control not in arms:
        raise unknown("control", control, map(str, arms))
    base = arms[control]
    rows = []
    for arm, values in arms.items():
        if arm == control:
            continue
        test = stats.ttest_ind(values, base, equal_var=False)
        low, high = test.confidence_interval(level)
        wins = (values[:, None] > base).mean() + (values[:, None] == base).mean() / 2
        rows.append(
            {
                by: arm, "control": control, "metric": metric, "seeds": len(values), "control_seeds": len(base),
                "missing": 0, "mean": values.mean(), "control_mean": base.mean(),
                "difference": values.mean() - base.mean(), "low": low, "high": high, "p_value": test.pvalue,
                "p_holm": np.nan, "improvement": wins, "improvement_low": wins, "improvement_high": wins,
            }
        )  # fmt: skip
    if not rows:
        raise AnalysisError(f"control={control}: there is nothing to compare it with")
    table = pd.DataFrame(rows)
    table["p_holm"] = multipletests(table["p_value"], method="holm")[1]
    better = (table["difference"] > 0) == higher_is_better
    table["verdict"] = np.where(table["p_holm"] >= 1 - level, "undecided", np.where(better, "better", "worse"))
    return table


def answer(comparison: pd.DataFrame) -> str:
    """Writes what `compare` found in one sentence.

    "target.interval=10 beats target.interval=1 by 45 in final_return (95 % interval 12 to 80; 30 seeds each)."
    """
    by = comparison.columns[0]
    parts = [
        f"{row[by]} against {row['control']}: {row['verdict']}, {row['difference']:+.1f} ({row['low']:.1f} to "
        f"{row['high']:.1f}, {row['seeds']} seeds)"
        for _, row in comparison.iterrows()
    ]
    return "; ".join(parts) + "."
