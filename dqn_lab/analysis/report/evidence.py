"""One environment's numbers, the source of its figures, tables and sentences."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dqn_lab.analysis import NoCurve, compare, learning_curves, summarize
from dqn_lab.analysis.figures.style import Looks, looks
from dqn_lab.analysis.report.material import Material
from dqn_lab.analysis.report.question import DECLARED, declared_here
from dqn_lab.analysis.scores import find_bounds
from dqn_lab.tasks import find_task

MAX_SHOWN = 16  # variants in a figure


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One environment's numbers.

    Args:
        material: the whole report's material.
        task: the environment.
        scores: one row per run; the metric is missing unless the run is completed.
        counted: the rows that have a score.
        evaluations: the evaluations of this environment's runs, finished or not.
        curves: the mean learning curves of the completed runs, only of variants with a curve of two steps or more.
        summary: one row per variant, as `summarize` returns it; empty if no run has a score.
        compared: the variants against the control, as `compare` returns it; None if there is nothing to compare.
        control: the variant that the others are compared with, if it has runs here.
        control_reason: why this variant is the control.
        threshold: a run succeeds at this score or above; None if no threshold is known.
        bounds: the metric's bounds, infinite if unknown; None if both are unknown.
        looks: each variant's look, in order.
        shown: the variants in the figures: all, or if there are many, the control and those with the best means.
    """

    material: Material
    task: str
    scores: pd.DataFrame
    counted: pd.DataFrame
    evaluations: pd.DataFrame
    curves: pd.DataFrame
    summary: pd.DataFrame
    compared: pd.DataFrame | None
    control: str | None
    control_reason: str
    threshold: float | None
    bounds: tuple[float, float] | None
    looks: Looks
    shown: Looks

    @property
    def most_seeds(self) -> int:
        """The largest number of runs with a score in any variant."""
        return int(self.summary["seeds"].max()) if len(self.summary) else 0

    @property
    def finished(self) -> pd.DataFrame:
        """The evaluations of completed runs; a run that stopped early would bias the mean from there on."""
        return _of_completed(self.scores, self.evaluations)


def examine(material: Material, task: str) -> Evidence:
    """Computes one environment's numbers."""
    metric = material.metric
    scores = material.scores[material.scores["task"] == task].copy()
    scores["variant"] = scores["variant"].cat.remove_unused_categories()
    is_score = (scores["status"] == "completed") & np.isfinite(scores[metric.name].astype(float))
    scores.loc[~is_score, metric.name] = None
    scores = scores.sort_values("variant", kind="stable")
    counted = scores[scores[metric.name].notna()]
    variants = [str(name) for name in scores["variant"].cat.categories]
    control, reason = _control(material, variants)
    threshold = _threshold(material, task)
    summary = _summarize(scores, metric.name, threshold)
    evaluations = material.evaluations
    here = evaluations[evaluations["task"] == task] if evaluations is not None else pd.DataFrame(columns=["variant"])
    shown = _best(variants, summary, control, metric.higher_is_better, MAX_SHOWN)
    return Evidence(
        material=material, task=task, scores=scores, counted=counted, evaluations=here,
        curves=_curves(_of_completed(scores, here)),
        summary=summary, compared=_compare(scores, metric.name, control),
        control=control, control_reason=reason, threshold=threshold, looks=looks(variants, control),
        shown=looks(shown, control), bounds=find_bounds(scores, metric.name, None),
    )  # fmt: skip


def _of_completed(scores: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    if not len(evaluations):
        return evaluations
    found = evaluations[evaluations["run"].isin(scores.loc[scores["status"] == "completed", "run"])]
    return found.assign(variant=found["variant"].cat.remove_unused_categories())


def _curves(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Averages each variant's curves; leaves out variants whose runs share fewer than two steps."""
    if not len(evaluations) or evaluations.groupby("run")["step"].nunique().max() < 2:
        return pd.DataFrame(columns=["variant"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoCurve)  # a caveat says so
        data = learning_curves(evaluations)
    size = data.groupby("variant", observed=True)["step"].transform("size")
    return data[size > 1].reset_index(drop=True)


def best_of(found: Evidence, variants: list[str], most: int) -> list[str]:
    """Picks at most `most` of the variants, in their order: the control and those with the best means."""
    return _best(variants, found.summary, found.control, found.material.metric.higher_is_better, most)


def _best(variants: list[str], summary: pd.DataFrame, control: str | None, upwards: bool, most: int) -> list[str]:
    if len(variants) <= most:
        return variants
    means = summary.set_index(summary["variant"].astype(str))["mean"] if len(summary) else pd.Series(dtype=float)
    ranked = sorted(variants, key=lambda name: means.get(name, -math.inf if upwards else math.inf), reverse=upwards)
    best = sorted(ranked, key=lambda name: name != control)[:most]
    return [name for name in variants if name in best]


def _control(material: Material, variants: list[str]) -> tuple[str | None, str]:
    """Returns one environment's control and the reason for it; a declared control is never replaced by another."""
    if material.control in variants:
        return material.control, material.control_reason
    if (own := declared_here(material.sweeps, variants)) is not None:
        return own, DECLARED
    if len(material.tasks) == 1 or len(variants) == 1:
        return None, ""
    return variants[0], f"the first here, because {material.control} has another environment"


def _with_results(scores: pd.DataFrame, metric: str, least: int) -> pd.DataFrame:
    """Keeps the variants with at least `least` results."""
    count = scores[metric].notna().groupby(scores["variant"].astype(str)).sum()
    kept = scores[scores["variant"].isin(count.index[count >= least])].copy()
    kept["variant"] = kept["variant"].cat.remove_unused_categories()
    return kept


def _summarize(scores: pd.DataFrame, metric: str, threshold: float | None) -> pd.DataFrame:
    kept = _with_results(scores, metric, 1)
    if not len(kept):
        return kept[:0]
    summary = summarize(kept, metric, threshold=threshold)
    # one run has no spread
    summary.loc[summary["seeds"] < 2, ["mean_low", "mean_high", "iqm_low", "iqm_high"]] = np.nan
    return summary


def _compare(scores: pd.DataFrame, metric: str, control: str | None) -> pd.DataFrame | None:
    """Compares the variants that have at least two results, because a single result has no spread."""
    kept = _with_results(scores[~scores["is_reference"] | (scores["variant"] == control)], metric, 2)
    variants = kept["variant"].cat.categories
    if control is None or control not in variants or len(variants) < 2:
        return None
    return compare(kept, metric, control=control)


def _threshold(material: Material, task: str) -> float | None:
    """Returns the score at which a run succeeds: the requested one, else the one that solves the task."""
    if material.threshold is not None or not material.metric.solves:
        return material.threshold
    found = find_task(task)
    return found.threshold if found else None
