"""A report's section on one environment: the answer, its figures and its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dqn_lab.analysis.report import pictures, tables
from dqn_lab.analysis.report.answers import answer_of
from dqn_lab.analysis.report.cautions import of_curves, of_experience, of_reach, of_section
from dqn_lab.analysis.report.clips import Clip, Shoot, make_clips
from dqn_lab.analysis.report.evidence import Evidence, examine
from dqn_lab.analysis.report.material import Material
from dqn_lab.analysis.report.metrics import seeds_between
from dqn_lab.analysis.report.plan import Picture
from dqn_lab.analysis.report.tables import Table
from dqn_lab.analysis.sentence import quoted
from dqn_lab.tasks import find_task


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: one environment's answer and the evidence for it."""

    task: str
    answer: str
    about: str
    cautions: Sequence[str]
    pictures: Sequence[Picture]
    tables: Sequence[Table]
    clips: Sequence[Clip] = ()
    note: str = ""  # what must be printed with the answer

    @property
    def tables_after(self) -> str:
        """The picture that the tables follow: the differences, else the first."""
        names = [picture.name for picture in self.pictures]
        return "differences" if "differences" in names else names[0] if names else ""


def make_section(material: Material, task: str, shoot: Shoot | None = None) -> Section:
    """Computes and draws one environment's section, and records its variants if `shoot` is given."""
    found = examine(material, task)
    shown = pictures.draw_all(found)
    made = []
    if not found.summary.empty:
        made.append(tables.results(found.summary, material.metric, found.threshold))
    if found.compared is not None and found.control is not None:
        made.append(tables.comparison(found.compared, material.metric, found.control))
    return Section(
        task=task, answer=answer_of(found), about=_about(found), cautions=list(of_section(found)), pictures=shown,
        tables=[*made, tables.runs(found.scores, material.metric, material.swept)],
        clips=list(make_clips(material, task, shoot)) if shoot else [],
        note=" ".join([*of_curves(found), *of_experience(found), *of_reach(found)]),
    )  # fmt: skip


def _about(found: Evidence) -> str:
    """Describes how to read the answer: metric, seeds, intervals, control."""
    metric, counts = found.material.metric, list(found.summary["seeds"]) if len(found.summary) else [0]
    few, many = min(counts), max(counts)
    seeds = seeds_between(few, many) + (" per variant" if len(found.looks) > 1 else "")
    text = f"{found.task}; {metric.title}: {metric.meaning}; {seeds}."
    if many > 1:
        text += f" 95 % intervals of means: the wider of a Bayesian bootstrap's and Student's{_bounds(found)}."
    if found.compared is None:
        return text
    number_of = len(found.compared)
    holm = f", at Holm's levels for {number_of} comparisons" if number_of > 1 else ", at 95 %"
    return (
        f"{text} Intervals of differences from {quoted(found.control)} ({found.control_reason}): the wider of a "
        f"bootstrap's and a permutation test's{holm}."
    )


def _bounds(found: Evidence) -> str:
    """Describes the bounds within which the intervals of means were computed."""
    if found.bounds is None or not found.material.metric.is_return:
        return ""
    low, high = (f"{end:,g}".replace("-", "−") if math.isfinite(end) else "" for end in found.bounds)
    lies = f"lies between {low} and {high}" if low and high else f"is at least {low}" if low else f"is at most {high}"
    task = find_task(found.task)
    practice = " in practice" if task is not None and task.practical and found.bounds == task.bounds else ""
    return f", allowing for rare failures within the bounds of the return (it {lies}{practice})"
