"""What a report shows of one environment: the answer, its figures and its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dqn_lab.analysis import answer
from dqn_lab.analysis.report import pictures, tables
from dqn_lab.analysis.report.cautions import of_section
from dqn_lab.analysis.report.clips import Clip, Shoot, make_clips
from dqn_lab.analysis.report.evidence import Evidence, examine
from dqn_lab.analysis.report.material import Material
from dqn_lab.analysis.report.metrics import count_seeds, number, percent, plain
from dqn_lab.analysis.report.plan import Picture
from dqn_lab.analysis.report.tables import Table, interval
from dqn_lab.analysis.sentence import quoted
from dqn_lab.tasks import find_task


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: one environment's answer and what supports it."""

    task: str
    answer: str
    about: str
    cautions: Sequence[str]
    pictures: Sequence[Picture]
    tables: Sequence[Table]
    clips: Sequence[Clip] = ()

    @property
    def tables_after(self) -> str:
        """The picture that the tables follow: the differences, else the first."""
        names = [picture.name for picture in self.pictures]
        return "differences" if "differences" in names else names[0] if names else ""


def make_section(material: Material, task: str, shoot: Shoot | None = None) -> Section:
    """Computes and draws one environment's section, and films its variants if `shoot` is given."""
    found = examine(material, task)
    shown = pictures.draw_all(found)
    made = []
    if not found.summary.empty:
        made.append(tables.results(found.summary, material.metric, found.threshold))
    if found.compared is not None and found.control is not None:
        made.append(tables.comparison(found.compared, material.metric, found.control))
    return Section(
        task=task, answer=_answer(found), about=_about(found), cautions=list(of_section(found)), pictures=shown,
        tables=[*made, tables.runs(found.scores, material.metric)],
        clips=list(make_clips(material, task, shoot)) if shoot else [],
    )  # fmt: skip


def _answer(found: Evidence) -> str:
    metric = found.material.metric
    if found.compared is not None:
        return answer(found.compared)
    if found.summary.empty:
        runs = "the run has" if len(found.scores) == 1 else f"none of {len(found.scores)} runs has"
        return f"No answer yet: {runs} {'no' if len(found.scores) == 1 else 'a'} {metric.title}."
    if len(found.looks) > 1 and found.control is None and found.material.control is not None:
        return f"No answer: {quoted(found.material.control)}, the control, has no runs here."
    if len(found.looks) > 1:
        return "No answer yet: the control and another variant need two finished runs each."
    return _describe(found, found.summary.to_dict("records")[0])


def _describe(found: Evidence, row: dict[Any, Any]) -> str:
    """Describes the only variant."""
    metric, name = found.material.metric, quoted(row["variant"])
    if row["seeds"] == 1:
        text = f"{name} has a {metric.title} of {number(row['mean'])}, with one seed"
        if found.threshold is None:
            return f"{text}."
        return f"{text}; it {'reaches' if row['successes'] else 'does not reach'} {plain(found.threshold)}."
    spread = (
        "" if pd.isna(row["mean_low"]) else f", 95 % interval {number(row['mean_low'])} to {number(row['mean_high'])}"
    )
    text = f"{name} has a mean {metric.title} of {number(row['mean'])} ({count_seeds(row['seeds'])}{spread})"
    if found.threshold is None:
        return f"{text}."
    share = interval(row, "success_low", "success_high", percent)
    return f"{text}; {row['successes']} of {row['seeds']} runs reach {plain(found.threshold)} (95 % interval {share})."


def _about(found: Evidence) -> str:
    """Describes how to read the answer: metric, seeds, intervals, control."""
    metric, counts = found.material.metric, list(found.summary["seeds"]) if len(found.summary) else [0]
    few, many = min(counts), max(counts)
    seeds = count_seeds(few) if few == many else f"{few} to {many} seeds"
    text = f"{found.task}; {metric.title}: {metric.meaning}; {seeds} per variant."
    if many > 1:
        text += f" 95 % intervals of means: Bayesian bootstrap or Student's, the wider{_bounds(found)}."
    if found.compared is None:
        return text
    number_of = len(found.compared)
    holm = f", corrected by Holm for {number_of} comparisons" if number_of > 1 else ""
    return (
        f"{text} 95 % intervals of differences from {quoted(found.control)} ({found.control_reason}): bootstrap or "
        f"permutation test, the wider{holm}."
    )


def _bounds(found: Evidence) -> str:
    """Describes the bounds within which the intervals of means were computed."""
    if found.bounds is None:
        return ""
    low, high = (f"{end:,g}".replace("-", "−") if math.isfinite(end) else "" for end in found.bounds)
    lies = f"lies between {low} and {high}" if low and high else f"is at least {low}" if low else f"is at most {high}"
    task = find_task(found.task)
    practice = " in practice" if task is not None and task.practical and found.bounds == task.bounds else ""
    return f", with the bounds of the return built in (it {lies}{practice})"
