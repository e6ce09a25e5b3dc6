"""Summaries of variants over seeds, and comparisons with a control."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from dqn_lab.analysis._arguments import check_level, check_number
from dqn_lab.analysis._errors import AnalysisError, NoBounds, unknown
from dqn_lab.analysis.intervals import (
    CONTROL,
    NUM_DRAWS,
    VARIANT,
    Bounds,
    Floats,
    draw,
    interval,
    mean_interval,
    wilson,
)
from dqn_lab.analysis.scores import (
    Keys,
    as_list,
    check_one_task,
    check_scores,
    each_variant,
    find_bounds,
    is_higher_better,
    one_column,
    present,
)
from dqn_lab.analysis.sentence import listed, quoted
from dqn_lab.analysis.tasks import known, stated_bounds
from dqn_lab.analysis.verdicts import Judgement, holm, judge

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
    """Summarises each variant's scores, one per run.

    Read the mean and the success rate first: if one seed in seven fails, the interquartile mean hides it. The method is
    described in `dqn_lab/analysis/intervals.py`, and its measured coverage in `dqn_lab/analysis/README.md`; the
    interval of the success rate is Wilson's (1927). The interquartile mean is that of Agarwal et al. 2021, "Deep
    Reinforcement Learning at the Edge of the Statistical Precipice", https://arxiv.org/abs/2108.13264, over the seeds
    of one task.

    Args:
        scores: one row per run, as `load_configs` and `area_under_curve` return them.
        metric: the column to summarise.
        by: the column, or columns, that tell the variants apart.
        threshold: a run whose score is at least this succeeds; None: the task's, if known (475 on CartPole-v1).
        bounds: the smallest and the largest possible score, infinite if unknown; None: those in the runs' configuration
            (`env.return_bounds`), else the task's, if known.
        level: the intervals' confidence level.

    Returns:
        one row per variant, in order of appearance: the columns of `by`; `seeds`; `missing`, the number of runs without
        a score (NaN), which are otherwise ignored; `mean, mean_low, mean_high`; `successes, success_rate, success_low,
        success_high`; `p10`, `median`; `iqm, iqm_low, iqm_high`.

    Raises:
        AnalysisError: no such column, an infinite score, a seed that occurs twice in a variant, several tasks in one
            variant, or a score outside `bounds`.
    """
    keys = as_list(by)
    check_level(level, NUM_DRAWS)
    check_number("threshold", threshold)
    check_scores(scores, metric, keys)
    rows = []
    for variant, part in each_variant(scores, keys):
        task = known(part, metric)
        goal = threshold if threshold is not None or task is None else task.threshold
        values = present(part, metric)
        about = {"seeds": len(values), "missing": len(part) - len(values)}
        rows.append({**variant, **about, **_describe(values, find_bounds(part, metric, bounds), goal, level)})
    return pd.DataFrame(rows).astype({"successes": "Int64"})


def _describe(values: Floats, bounds: Bounds | None, threshold: float | None, level: float) -> dict[str, Any]:
    if not len(values):
        return {
            **dict.fromkeys(("mean", "mean_low", "mean_high", *SUCCESS, "p10", "median", *IQM), np.nan),
            SUCCESS[0]: pd.NA,
        }
    draws = draw(values, bounds)
    (low, high), (iqm_low, iqm_high) = mean_interval(draws, bounds, level), interval(draws.iqm(), level)
    return {
        "mean": float(values.mean()), "mean_low": low, "mean_high": high,
        **_success(values, threshold, level),
        "p10": float(np.quantile(values, 0.1)), "median": float(np.median(values)),
        "iqm": (iqm := _middle_half(values)), **dict(zip(IQM[1:], _around(iqm, iqm_low, iqm_high), strict=True)),
    }  # fmt: skip


def _around(estimate: float, low: float, high: float) -> tuple[float, float]:
    """Widens an interval to contain its estimate, which draws with half an observation at each bound may all miss.

    A share of 1, for example, lies above all draws, which allow for scores that no run has shown.
    """
    return min(low, estimate), max(high, estimate)


def _middle_half(values: Floats) -> float:
    """Computes the mean of the middle half, leaving out a quarter of the scores at each end."""
    out = len(values) // 4
    return float(values[out : len(values) - out].mean())


def _success(values: Floats, threshold: float | None, level: float) -> dict[str, Any]:
    if threshold is None:
        return {**dict.fromkeys(SUCCESS, np.nan), SUCCESS[0]: pd.NA}
    successes = int((values >= threshold).sum())
    low, high = wilson(successes, len(values), level)
    return dict(zip(SUCCESS, (successes, successes / len(values), low, high), strict=True))


def compare(
    scores: pd.DataFrame,
    metric: str = "final_return",
    *,
    control: str | None = None,
    by: str = "variant",
    higher_is_better: bool | None = None,
    bounds: Bounds | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compares every variant with the control, corrected for the number of comparisons.

    A verdict requires that neither chance nor the spread of the scores can explain the difference, and that unseen
    failures cannot cancel it (`dqn_lab/analysis/verdicts.py`). Holm's procedure limits the chance of any wrong verdict.

    Args:
        scores: one row per run, as `load_configs` and `area_under_curve` return them.
        metric: the column to compare.
        control: the variant that the others are compared with; None: the frame's `.attrs["control"]`, else the first.
        by: the column that tells the variants apart.
        higher_is_better: whether a higher score is better; None: it is, except for `wall_seconds`, `by` and `after`.
        bounds: as for `summarize`.
        level: the confidence level of all verdicts together.

    Returns:
        one row per variant except the control, in order of appearance: the column `by`; `control`; `metric`; `seeds`,
        `control_seeds`; `missing`, `control_missing`, the runs without a score; `mean`, `control_mean`; `difference` of
        the means with `low, high`, its interval, which excludes zero if there is a verdict, and covers unseen scores if
        nothing shows a difference, and `level`, its corrected level; `p_seen` and `p_unseen`, of which `p_value` is the
        larger; `p_holm`; `improvement`, the probability that a run of the variant is better than one of the control,
        counting ties as ½, with `improvement_low, improvement_high`, not corrected; `verdict`: `better`, `worse` or
        `undecided`; `reason`, if undecided: `rare failures` if only unseen failures prevent a verdict, else `spread`;
        `seeds_needed`, if undecided: the estimated seeds per variant that would decide such a difference, NaN for one.

    Raises:
        AnalysisError: no such control, no other variant, no score, too high a level, or as for `summarize`.

    Warns:
        NoBounds: there is no column `task`, and no bounds are given or in the runs' configuration.
    """
    by = one_column(by)
    check_level(level, NUM_DRAWS)
    check_scores(scores, metric, [by], lists=False)
    check_one_task(scores)
    if bounds is None and "task" not in scores and stated_bounds(scores, metric) is None:
        message = "compare: no `task` column and no bounds=(low, high): no bounds are assumed"
        warnings.warn(message, NoBounds, stacklevel=2)
    limits, control = find_bounds(scores, metric, bounds), _own_control(scores, by) if control is None else control
    base, others = _variants(scores, metric, control, by, limits, is_higher_better(metric, higher_is_better))
    return _table(base, others, {"control": base.name, "metric": metric}, by, limits, level)


def _own_control(scores: pd.DataFrame, by: str) -> Any:
    """Returns the control that a frame's question names, else the first variant."""
    named = scores.attrs.get("control") if by == "variant" else None
    if named is None:
        return scores[by].iloc[0]
    if str(named) not in map(str, scores[by].unique()):
        gone, there = quoted(str(named)), listed([quoted(str(name)) for name in scores[by].unique()])
        raise AnalysisError(f"{gone}, the sweep's control, has no rows here; pass control=, one of {there}")
    return named


def _variants(
    scores: pd.DataFrame, metric: str, control: Any, by: str, bounds: Bounds | None, upwards: bool
) -> tuple[_Variant, dict[Any, _Variant]]:
    """Splits the scores into the control's and each other variant's."""
    parts = {variant[by]: part for variant, part in each_variant(scores, [by])}
    found = [name for name in parts if name == control] or [name for name in parts if str(name) == str(control)]
    if not found:
        raise unknown("control", control, parts, by)
    base = _Variant(found[0], parts.pop(found[0]), metric, bounds, CONTROL, upwards)
    if not parts:
        raise AnalysisError(f"control={control}: there is no other variant to compare it with")
    return base, {name: _Variant(name, part, metric, bounds, VARIANT, upwards) for name, part in parts.items()}


def _table(
    base: _Variant, others: dict[Any, _Variant], same: dict[str, Any], by: str, bounds: Bounds | None, level: float
) -> pd.DataFrame:
    """Lists the comparisons, and corrects their p-values."""
    judged = judge(base.values, [other.values for other in others.values()], bounds, level)
    rows = [
        {by: name, **same, **other.against(base, level, found)}
        for (name, other), found in zip(others.items(), judged, strict=True)
    ]
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p_value"].to_numpy())
    return table


class _Variant:
    """A variant's scores and bootstrap draws."""

    def __init__(
        self, name: str, part: pd.DataFrame, metric: str, bounds: Bounds | None, stream: str, upwards: bool
    ) -> None:
        self.name, self.values = name, present(part, metric)
        self.missing = len(part) - len(self.values)
        self.upwards = upwards
        if not len(self.values):
            role = "control" if stream == CONTROL else "variant"
            raise AnalysisError(f"{role}={name}: none of its {len(part)} runs has a score in {metric}")
        self.draws = draw(self.values, bounds, stream)

    def against(self, control: _Variant, level: float, found: Judgement) -> dict[str, Any]:
        first, second = (self, control) if self.upwards else (control, self)
        below, upto = (np.searchsorted(second.values, first.values, side) for side in ("left", "right"))
        wins = (below + upto).mean() / (2 * len(second.values))
        low, high = _around(float(wins), *interval(first.draws.improvement(second.draws), level))
        good = (found.difference > 0) == self.upwards
        return {
            "seeds": len(self.values), "control_seeds": len(control.values),
            "missing": self.missing, "control_missing": control.missing,
            "mean": float(self.values.mean()), "control_mean": float(control.values.mean()),
            "difference": found.difference, "low": found.low, "high": found.high, "level": found.level,
            "p_seen": found.p_seen, "p_unseen": found.p_unseen, "p_value": found.p_value, "p_holm": np.nan,
            "improvement": float(wins), "improvement_low": low, "improvement_high": high,
            "verdict": ("better" if good else "worse") if found.decided else "undecided",
            "reason": found.reason, "seeds_needed": found.seeds_needed,
        }  # fmt: skip
