"""Gathers a report's material: the runs, their variants in order, the question, and the control."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from dqn_lab._damage import MAX_STEP
from dqn_lab.analysis import AnalysisError, Sweep, area_under_curve
from dqn_lab.analysis.places import Source
from dqn_lab.analysis.report.loaded import load
from dqn_lab.analysis.report.metrics import Metric, find_metric
from dqn_lab.analysis.report.neutral import visible
from dqn_lab.analysis.report.question import (
    TASKS,
    Options,
    choose_control,
    find_variant,
    only_searches,
    planned_variants,
    write_question,
)
from dqn_lab.analysis.report.reference import read_reference
from dqn_lab.analysis.sentence import listed
from dqn_lab.records import may_matter, override_key

SEVERAL = re.compile(r"=[^\[{'\"]*[,(]")  # values of a grid


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything that a report loads, before it computes anything.

    Args:
        name: the name of the sweep or sweeps.
        question: the question in words.
        metric: the metric to compare.
        control: the variant that the others are compared with.
        control_reason: why that variant is the control.
        scores: one row per run, including the reference's; `task` names the environment.
        evaluations: one row per greedy evaluation, `task` and `variant` as in `scores`; None if there are none.
        measured: one row per training episode of runs with diagnostics, or of a single run; `task`, `variant` as in
            `scores`; None if there are none.
        swept: the keys that differ.
        sweeps: each sweep's record.
        skipped: the runs left out, and why.
        threshold: the requested threshold, if any.
        narrowed: whether only two of the variants were requested.
        telling_keys: the settings in which the runs' tasks differ.
        included: the question, if its results are those that are included with the lab.
        selected_from: if the runs were chosen by hand, the number of runs of their sweeps, else None.
    """

    name: str
    question: str
    metric: Metric
    control: str | None
    control_reason: str
    scores: pd.DataFrame
    evaluations: pd.DataFrame | None
    measured: pd.DataFrame | None
    swept: Sequence[str]
    sweeps: Sequence[Sweep]
    skipped: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    narrowed: bool = False
    telling_keys: Sequence[str] = ()
    included: str | None = None
    selected_from: int | None = None

    @property
    def runs(self) -> pd.DataFrame:
        """The runs under the paths: all except those of the reference."""
        return self.scores[~self.scores["is_reference"]]

    @property
    def tasks(self) -> list[str]:
        """The environments, in order of appearance."""
        return list(dict.fromkeys(self.scores["task"]))

    @property
    def is_search(self) -> bool:
        """Whether the variants are the trials of a search, which has no control."""
        return self.control is None and only_searches(self.sweeps)

    @property
    def planned(self) -> list[str]:
        """The variants, including those that have not begun unless only two were requested."""
        return planned_variants(self.scores, () if self.narrowed else self.sweeps)


def gather(paths: Sequence[Source], options: Options) -> Material:
    """Loads the runs under the paths, with the variants in the order that the report shows.

    Raises:
        AnalysisError: there are no runs, or there is no such metric, variant or reference.
    """
    loaded = load(paths, options)
    scores, evaluations, measured = loaded.scores, loaded.evaluations, loaded.measured
    swept, sweeps = loaded.swept, [_visible(each) for each in loaded.sweeps]
    scores["is_reference"] = False
    if scores["task"].nunique() > 1:
        sweeps = [_without_tasks(sweep) for sweep in sweeps]
    labels = [visible(label) for label in _labels(scores, swept)]
    order = _order(scores.assign(variant=labels), sweeps, swept)
    scores["variant"] = pd.Categorical(labels, categories=order, ordered=True)
    if evaluations is not None:
        evaluations = _relabelled(evaluations, scores, order)
        scores = _with_area(scores, evaluations)
    if measured is not None:
        measured = _relabelled(measured, scores, order)
    metric = find_metric(options.metric or _declared(sweeps) or "final_return", scores)
    if options.threshold is not None and not metric.is_return:
        raise AnalysisError(f"--threshold={options.threshold:g}: is a return, but the metric is {metric.name}")
    if metric.name not in scores:  # mean_return, if no run has two evaluations
        scores[metric.name] = float("nan")
    if options.against:
        scores = _with_reference(scores, read_reference(options.against, metric.name))
    if options.compare:
        scores = _select_two(scores, options.compare)
        kept = set(zip(scores["run"], scores["variant"], strict=True))
        if evaluations is not None:
            pairs = zip(evaluations["run"], evaluations["variant"], strict=True)
            evaluations = evaluations[[pair in kept for pair in pairs]]
    _refuse_repeated(scores)
    control, reason = choose_control(scores, sweeps, options)
    return Material(
        name=", ".join(dict.fromkeys(scores.loc[~scores["is_reference"], "run" if len(scores) == 1 else "sweep"])),
        question=write_question(scores, sweeps, swept, options),
        metric=metric, control=control, control_reason=reason, scores=scores, evaluations=evaluations,
        measured=measured, swept=swept, sweeps=sweeps, skipped=loaded.skipped, threshold=options.threshold,
        narrowed=options.compare is not None, telling_keys=loaded.telling_keys, selected_from=loaded.selected_from,
        included=loaded.included,
    )  # fmt: skip


def _visible(sweep: Sweep) -> Sweep:
    """Escapes a sweep's labels as the report does."""
    return replace(
        sweep,
        control=None if sweep.control is None else visible(sweep.control),
        earlier=_with_controls(sweep.earlier, visible),
        variants={visible(label): overrides for label, overrides in sweep.variants.items()},
        jobs=[{**job, "variant": visible(job["variant"])} for job in sweep.jobs],
    )


def _with_controls(earlier: Sequence[Mapping[str, Any]], rename: Callable[[str], str]) -> list[dict[str, Any]]:
    """Renames the controls of former declarations, as the sweep's own."""
    return [{**each, "control": each["control"] and rename(each["control"])} for each in earlier]


def _without_tasks(sweep: Sweep) -> Sweep:
    """Removes the task from a sweep's labels, as the sections of a report on several tasks do."""
    return replace(
        sweep,
        control=None if sweep.control is None else _without_task(sweep.control),
        earlier=_with_controls(sweep.earlier, _without_task),
        variants={
            _without_task(label): [text for text in overrides if override_key(text) not in TASKS] or overrides
            for label, overrides in sweep.variants.items()
        },
        jobs=[{**job, "variant": _without_task(job["variant"])} for job in sweep.jobs],
    )


def _declared(sweeps: Sequence[Sweep]) -> str | None:
    metrics = {sweep.metric for sweep in sweeps}
    return metrics.pop() if len(metrics) == 1 else None


def _labels(scores: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Labels variants without their task, which has its own section, and with their sweep if two would clash."""
    labels = scores["variant"].astype(str)
    if set(labels) == set(scores["sweep"].astype(str)) and len(set(labels)) == 1:  # named after its directory
        return [_typed_overrides(scores) or label for label in labels]
    if scores["task"].nunique() > 1:
        labels = labels.map(lambda label: _without_task(str(label)))
    seen = pd.DataFrame({"label": labels, "task": scores["task"], "sweep": scores["sweep"]}).drop_duplicates()
    if seen.duplicated(["label", "task"]).any():
        labels = scores["sweep"].astype(str) + ": " + labels
    return list(labels)


def _typed_overrides(scores: pd.DataFrame) -> str | None:
    """Returns the overrides that the only variant's runs were started with; None if they are unknown or differ."""
    commands = set(scores["command"]) if "command" in scores else set()
    if len(commands) != 1 or not isinstance(command := commands.pop(), str):
        return None
    try:
        words = [word for word in shlex.split(command) if "=" in word and may_matter(word)]
    except ValueError:  # not a shell command
        return None
    last = {override_key(word): word for word in words}  # a command may extend the run of the first
    shown = [word for key, word in last.items() if not key.startswith("hydra")]
    if any(SEVERAL.search(word) for word in shown):
        return None
    return ", ".join(shown) or "default"


def _without_task(label: str) -> str:
    parts = [part for part in label.split(", ") if part.partition("=")[0] not in TASKS]
    return ", ".join(parts) or label


def _order(scores: pd.DataFrame, sweeps: Sequence[Sweep], swept: Sequence[str]) -> list[str]:
    """Orders variants as their sweep does, or without a sweep by the values of the swept keys, numbers by size."""
    firsts = scores.drop_duplicates("variant")
    declared = [label for sweep in sweeps for label in sweep.variants]
    places = {label: place for place, label in reversed(list(enumerate(declared)))}
    keys = [key for key in swept if key in firsts] if firsts["sweep"].nunique() == 1 else []

    def place(row: Mapping[Any, Any]) -> tuple[Any, ...]:
        return places.get(row["variant"], len(places)), *(_sortable(row[key]) for key in keys)

    return [row["variant"] for row in sorted(firsts.to_dict("records"), key=place)]


def _sortable(value: Any) -> tuple[int, float, str]:
    if isinstance(value, (int, float)) and not pd.isna(value) and abs(value) < MAX_STEP:
        return 0, float(value), ""
    return 1, 0.0, str(value)


def _relabelled(evaluations: pd.DataFrame, scores: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Relabels evaluations as the scores are labelled; both list a run's variants in the same order."""
    shown = scores[["run", "variant"]].astype(str)
    shown["place"] = shown.groupby("run").cumcount()
    found = evaluations.astype({"run": str, "task": str})
    firsts = found.drop_duplicates(["run", "variant"])
    loaded = firsts.assign(place=firsts.groupby("run").cumcount())[["run", "variant", "place"]]
    labels = loaded.merge(shown, on=["run", "place"], suffixes=("_loaded", ""))
    found = found.merge(labels.drop(columns="place"), left_on=["run", "variant"], right_on=["run", "variant_loaded"],
                        suffixes=("_old", "")).drop(columns=["variant_loaded", "variant_old"])  # fmt: skip
    found.insert(1, "variant", found.pop("variant"))
    found["variant"] = pd.Categorical(found["variant"], categories=list(order), ordered=True)
    return found


def _refuse_repeated(scores: pd.DataFrame) -> None:
    """Refuses a seed that a variant has twice, as after a commit, because its runs would count twice.

    Raises:
        AnalysisError: there is one.
    """
    for _, same in scores[~scores["is_reference"]].groupby(["task", "variant", "seed"], observed=True, sort=False):
        if len(same) > 1:
            found = [f"{row['directory']} (commit {str(row['git.commit'])[:7]})" for _, row in same.iterrows()]
            what = "are the same variant with the same seed, run by different code: name the runs to compare"
            raise AnalysisError(f"{found[0]} and {found[1]} {what}")


def _with_area(scores: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """Adds the mean return over the steps that a task's runs share."""
    areas = []
    finished = evaluations[evaluations["run"].isin(scores.loc[scores["status"] == "completed", "run"])]
    for _, part in finished.groupby("task", sort=False):
        with contextlib.suppress(AnalysisError):  # runs with a single evaluation span no steps
            areas.append(area_under_curve(part)[["run", "mean_value"]].drop_duplicates("run"))
    if not areas:
        return scores
    return scores.merge(pd.concat(areas).rename(columns={"mean_value": "mean_return"}), on="run", how="left")


def _with_reference(scores: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    if "task" not in reference:
        if scores["task"].nunique() > 1:
            raise AnalysisError("--against: the reference must name each run's environment, in a column `environment`")
        reference = reference.assign(task=scores["task"].iloc[0])
    if not {*reference["task"]} & {*scores["task"]}:
        theirs, ours = (listed(sorted({*map(str, frame["task"])})) for frame in (reference, scores))
        raise AnalysisError(f"--against: its runs are of {theirs}, but these are of {ours}")
    names = [*scores["variant"].cat.categories, *dict.fromkeys(reference["variant"])]
    both = pd.concat([scores.astype({"variant": str}), reference], ignore_index=True)
    both["variant"] = pd.Categorical(both["variant"], categories=names, ordered=True)
    return both


def _select_two(scores: pd.DataFrame, wanted: tuple[str, str]) -> pd.DataFrame:
    names = [find_variant(scores, word) for word in wanted]
    if names[0] == names[1]:
        raise AnalysisError(f"--compare {wanted[0]} {wanted[1]}: the same variant twice")
    kept = scores[scores["variant"].isin(names)].copy()
    kept["variant"] = pd.Categorical(kept["variant"].astype(str), categories=names, ordered=True)
    return kept
