"""What a report shows of one environment: the answer, and every figure and table beneath it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dqn_lab.analysis import answer, compare, summarize
from dqn_lab.analysis.figures.style import Looks, looks
from dqn_lab.analysis.report import pictures, tables
from dqn_lab.analysis.report.material import Material
from dqn_lab.analysis.report.metrics import number, percent
from dqn_lab.analysis.report.pictures import Picture
from dqn_lab.analysis.report.tables import Table

FEW = 30  # seeds, below which intervals of bimodal returns are too narrow more often than they say


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: one environment's answer and what supports it."""

    task: str
    answer: str
    about: str
    warnings: Sequence[str]
    pictures: Sequence[Picture]
    tables: Sequence[Table]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One environment's numbers.

    Args:
        material: of the report.
        task: the environment.
        scores: a row per run, the metric empty where a run is not completed.
        counted: the rows that have a score.
        evaluations: of this environment's runs, finished or not.
        summary: of each variant, as `summarize` gives it; empty where no run has a score.
        compared: against the control, as `compare` gives it; None where there is nothing to compare.
        control: the arm compared with, if it is there.
        threshold: a run succeeds at this score or above; None where nobody says.
        looks: of each variant, in order.
    """

    material: Material
    task: str
    scores: pd.DataFrame
    counted: pd.DataFrame
    evaluations: pd.DataFrame
    summary: pd.DataFrame
    compared: pd.DataFrame | None
    control: str | None
    threshold: float | None
    looks: Looks


def make_section(material: Material, task: str) -> Section:
    """Computes and draws what there is to say about one environment."""
    found = examine(material, task)
    shown = pictures.draw_all(found)
    made = []
    if not found.summary.empty:
        made.append(tables.results(found.summary, material.metric, found.threshold))
    if found.compared is not None and found.control is not None:
        made.append(tables.comparison(found.compared, material.metric, found.control))
    return Section(
        task=task, answer=_answer(found), about=_about(found), warnings=list(_warnings(found)), pictures=shown,
        tables=[*made, tables.runs(found.scores, material.metric)],
    )  # fmt: skip


def examine(material: Material, task: str) -> Evidence:
    """Computes one environment's numbers."""
    metric = material.metric
    scores = material.scores[material.scores["task"] == task].copy()
    scores["variant"] = scores["variant"].cat.remove_unused_categories()
    scores.loc[scores["status"] != "completed", metric.name] = None
    scores = scores.sort_values("variant", kind="stable")
    counted = scores[scores[metric.name].notna()]
    variants = [str(name) for name in scores["variant"].cat.categories]
    control = material.control if material.control in variants else variants[0] if len(variants) > 1 else None
    threshold = _threshold(material, task)
    summary = (
        summarize(scores, metric.name, threshold=475.0 if threshold is None else threshold) if len(counted) else None
    )
    evaluations = material.evaluations
    here = evaluations[evaluations["task"] == task] if evaluations is not None else pd.DataFrame(columns=["variant"])
    return Evidence(
        material=material, task=task, scores=scores, counted=counted, evaluations=here,
        summary=pd.DataFrame() if summary is None else summary, compared=_compare(scores, metric.name, control, material),
        control=control, threshold=threshold, looks=looks(variants, control),
    )  # fmt: skip


def _compare(scores: pd.DataFrame, metric: str, control: str | None, material: Material) -> pd.DataFrame | None:
    """Compares the variants of at least two results: one has no spread to judge by."""
    enough = scores[metric].notna().groupby(scores["variant"].astype(str)).sum() >= 2
    ready = [name for name in enough.index if enough[name]]
    if control not in ready or len(ready) < 2:
        return None
    kept = scores[scores["variant"].isin(ready)].copy()
    kept["variant"] = kept["variant"].cat.remove_unused_categories()
    return compare(kept, metric, control=control, higher_is_better=material.metric.higher_is_better)


def _threshold(material: Material, task: str) -> float | None:
    """Says which return succeeds: the one asked for, else the one that the environment counts as solved."""
    if not material.metric.is_return or material.threshold is not None:
        return material.threshold
    import gymnasium

    try:
        return gymnasium.spec(task).reward_threshold
    except (gymnasium.error.Error, ImportError, ValueError):
        return None


def _answer(found: Evidence) -> str:
    metric = found.material.metric
    if found.compared is not None:
        return answer(found.compared)
    if found.summary.empty:
        return f"No answer yet: none of {len(found.scores)} runs has a {metric.title}."
    if len(found.looks) > 1:
        return "No answer yet: it takes two finished runs of the control and of another variant."
    row = found.summary.iloc[0]
    spread = (
        "" if pd.isna(row["mean_low"]) else f" (95 % interval {number(row['mean_low'])} to {number(row['mean_high'])})"
    )
    text = f"{row['variant']} has a mean {metric.title} of {number(row['mean'])}{spread}, {_seeds(row['seeds'])}"
    if found.threshold is None:
        return f"{text}."
    low, high = percent(row["success_low"]), percent(row["success_high"])
    return f"{text}; {row['successes']} of {row['seeds']} reach {found.threshold:g} ({low} to {high})."


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _about(found: Evidence) -> str:
    """Says how the answer is to be read: metric, seeds, intervals, control."""
    metric, counts = found.material.metric, list(found.summary["seeds"]) if len(found.summary) else [0]
    few, many = min(counts), max(counts)
    seeds = _seeds(few) if few == many else f"{few} to {many} seeds"
    text = f"{found.task}; {metric.title}: {metric.meaning}; {seeds} a variant."
    if found.compared is None:
        return text
    number_of = len(found.compared)
    holm = f", corrected by Holm for {number_of} comparisons," if number_of > 1 else ""
    text += f" 95 % intervals{holm} against {found.control}"
    return f"{text} ({found.material.control_reason})."


def _warnings(found: Evidence) -> Sequence[str]:
    material, scores, metric = found.material, found.scores, found.material.metric
    lines = []
    empty = scores[(scores["status"] == "completed") & scores[metric.name].isna()]
    if len(empty):
        names = ", ".join(f"{row.variant} seed {row.seed}" for row in empty.head(5).itertuples())
        lines.append(f"{len(empty)} completed runs have no {metric.title} or one that is not a number, and count nowhere: "
                     f"{names}{' …' if len(empty) > 5 else ''}.")  # fmt: skip
    if len(found.summary) and found.summary["seeds"].min() < FEW:
        lines.append(f"Fewer than {FEW} seeds: where one seed in some fails, intervals from so few are too narrow more often "
                     "than they say. Read them as a first look.")  # fmt: skip
    if found.compared is None and len(found.looks) > 1 and len(found.summary):
        lines.append("Nothing is compared: a variant needs two finished runs.")
    elif found.compared is not None and (out := len(found.looks) - 1 - len(found.compared)):
        lines.append(f"{out} of {len(found.looks)} variants have fewer than two finished runs and are not compared.")
    steps = (
        found.counted.groupby("variant", observed=True)["final_step"].mean() if "final_step" in found.counted else None
    )
    if steps is not None and len(steps) > 1 and steps.max() > 1.02 * steps.min() and metric.is_return:
        lines.append(f"The variants did not take the same number of steps (on average {steps.min():,.0f} to {steps.max():,.0f}): "
                     "final results are not at equal experience. The learning curves are, step by step.")  # fmt: skip
    if metric.name == "best_return":
        lines.append(
            "The policy scored was selected by its evaluations on the way; the final policy is the primary result."
        )
    if material.control is not None and material.control not in found.looks and len(found.looks) > 1:
        lines.append(f"{material.control} has no runs here, so the others are compared with {found.control}.")
    return lines
