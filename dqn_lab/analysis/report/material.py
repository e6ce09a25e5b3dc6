"""What a report is made of: runs, their arms in order, the question, and what a reader must be warned of."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dqn_lab.analysis import AnalysisError, SkippedRuns, Sweep, area_under_curve, load_configs, load_runs, read_sweep
from dqn_lab.analysis.report.metrics import Metric, find_metric
from dqn_lab.analysis.report.reference import read_reference

TASKS = ("env.id", "env.name")  # the keys that say which task a run has
DECLARED = "named by the sweep beforehand"
EVALUATIONS: Final = "evaluations"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person may ask for.

    Args:
        metric: to compare; None: the sweep's own, else `final_return`.
        control: the variant that the others are compared with; None: the sweep's own, else the first.
        threshold: a run succeeds at this return or above; None: what the task counts as solved.
        compare: two variants, or directories of one variant each; the second is compared with the first.
        against: a CSV or JSON file of results per run to compare with.
    """

    metric: str | None = None
    control: str | None = None
    threshold: float | None = None
    compare: tuple[str, str] | None = None
    against: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything that is known before anything is computed.

    Args:
        name: of the sweep, or of the sweeps.
        question: in words.
        metric: the one compared.
        control: the arm that the others are compared with.
        control_reason: why that one.
        scores: a row per run, the reference's included; `task` says which environment.
        evaluations: a row per greedy evaluation, `task` and `variant` as in `scores`; None where there are none.
        swept: the keys that differ.
        sweeps: what is known of each sweep.
        skipped: the runs left out, and why.
        threshold: as asked for.
        narrowed: only two of the variants were asked for.
    """

    name: str
    question: str
    metric: Metric
    control: str | None
    control_reason: str
    scores: pd.DataFrame
    evaluations: pd.DataFrame | None
    swept: Sequence[str]
    sweeps: Sequence[Sweep]
    skipped: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    narrowed: bool = False

    @property
    def runs(self) -> pd.DataFrame:
        """The runs that lie under the paths: all but the reference's."""
        return self.scores[~self.scores["is_reference"]]

    @property
    def tasks(self) -> list[str]:
        """The environments, in order of appearance."""
        return list(dict.fromkeys(self.scores["task"]))


def gather(paths: Sequence[str | os.PathLike[str]], options: Options) -> Material:
    """Loads what the paths hold, in the arms and the order that the report shows.

    Raises:
        AnalysisError: no runs, no such metric, variant or reference.
    """
    paths = list(paths) + [arm for arm in options.compare or () if Path(arm).is_dir()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedRuns)  # the page lists them
        scores = load_configs(*paths)
        evaluations, unread = _load_evaluations(paths)
    skipped, swept = {**unread, **scores.attrs["skipped"]}, list(scores.attrs["swept"])
    sweeps = _sweeps(scores)
    scores["is_reference"] = False
    labels = _labels(scores, swept)
    order = _order(scores.assign(variant=labels), sweeps, swept)
    scores["variant"] = pd.Categorical(labels, categories=order, ordered=True)
    if evaluations is not None:
        evaluations = _like(evaluations, scores, order)
        scores = _with_area(scores, evaluations)
    metric = find_metric(options.metric or _declared(sweeps) or "final_return", scores)
    if options.against:
        scores = _with_reference(scores, read_reference(options.against, metric.name))
    if options.compare:
        scores = _only(scores, options.compare)
        kept = set(zip(scores["run"], scores["variant"], strict=True))
        if evaluations is not None:
            pairs = zip(evaluations["run"], evaluations["variant"], strict=True)
            evaluations = evaluations[[pair in kept for pair in pairs]]
    control, reason = _control(scores, sweeps, options)
    return Material(
        name=", ".join(dict.fromkeys(scores.loc[~scores["is_reference"], "sweep"])),
        question=_question(scores, sweeps, swept, options),
        metric=metric, control=control, control_reason=reason, scores=scores, evaluations=evaluations, swept=swept,
        sweeps=sweeps, skipped=skipped, threshold=options.threshold,
        narrowed=options.compare is not None,
    )  # fmt: skip


def _load_evaluations(paths: Sequence[str | os.PathLike[str]]) -> tuple[pd.DataFrame | None, dict[str, str]]:
    """Loads the learning curves there are; runs that keep none have their results in their records.

    Returns:
        the rows, and why those of a run that has some are not among them.
    """
    none = f"has no {EVALUATIONS}.csv"
    try:
        evaluations = load_runs(*paths, table=EVALUATIONS)
    except AnalysisError as error:
        return None, {} if none in str(error) else {"learning curves": str(error)}
    unread = {run: why for run, why in evaluations.attrs["skipped"].items() if why != none}
    return evaluations, {run: f"its learning curve only: {why}" for run, why in unread.items()}


def _sweeps(scores: pd.DataFrame) -> list[Sweep]:
    parents = dict.fromkeys(Path(directory).parent for directory in scores["directory"])
    return [sweep for parent in parents if (sweep := read_sweep(parent)) is not None]


def _declared(sweeps: Sequence[Sweep]) -> str | None:
    metrics = {sweep.metric for sweep in sweeps}
    return metrics.pop() if len(metrics) == 1 else None


def _labels(scores: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Names arms without their task, which has a section of its own, and with their sweep where two would clash."""
    labels = scores["variant"].astype(str)
    if scores["task"].nunique() > 1:
        labels = labels.map(lambda label: _without_task(str(label)))
    seen = pd.DataFrame({"label": labels, "task": scores["task"], "sweep": scores["sweep"]}).drop_duplicates()
    if seen.duplicated(["label", "task"]).any():
        labels = scores["sweep"].astype(str) + ": " + labels
    return list(labels)


def _without_task(label: str) -> str:
    parts = [part for part in label.split(", ") if part.partition("=")[0] not in TASKS]
    return ", ".join(parts) or label


def _order(scores: pd.DataFrame, sweeps: Sequence[Sweep], swept: Sequence[str]) -> list[str]:
    """Orders arms as their sweep does; those of no sweep by the values of the swept keys, numbers by their size."""
    arms = scores.drop_duplicates("variant")
    declared = [label for sweep in sweeps for label in sweep.variants]
    places = {label: place for place, label in reversed(list(enumerate(declared)))}
    keys = [key for key in swept if key in arms] if arms["sweep"].nunique() == 1 else []

    def place(row: Mapping[Any, Any]) -> tuple[Any, ...]:
        return places.get(row["variant"], len(places)), *(_sortable(row[key]) for key in keys)

    return [row["variant"] for row in sorted(arms.to_dict("records"), key=place)]


def _sortable(value: Any) -> tuple[int, float, str]:
    if isinstance(value, (int, float)) and not pd.isna(value):
        return 0, float(value), ""
    return 1, 0.0, str(value)


def _like(evaluations: pd.DataFrame, scores: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Labels evaluations as the scores are; both list a run's variants in the same order."""
    arms = scores[["run", "variant"]].astype(str)
    arms["arm"] = arms.groupby("run").cumcount()
    found = evaluations.astype({"run": str, "task": str})
    firsts = found.drop_duplicates(["run", "variant"])
    places = firsts.assign(arm=firsts.groupby("run").cumcount())[["run", "variant", "arm"]]
    labels = places.merge(arms, on=["run", "arm"], suffixes=("_loaded", ""))
    found = found.merge(labels.drop(columns="arm"), left_on=["run", "variant"], right_on=["run", "variant_loaded"],
                        suffixes=("_old", "")).drop(columns=["variant_loaded", "variant_old"])  # fmt: skip
    found.insert(1, "variant", found.pop("variant"))
    found["variant"] = pd.Categorical(found["variant"], categories=list(order), ordered=True)
    return found


def _with_area(scores: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """Adds the mean return over the steps that a task's runs share."""
    areas = []
    finished = evaluations[evaluations["run"].isin(scores.loc[scores["status"] == "completed", "run"])]
    for _, part in finished.groupby("task", sort=False):
        with contextlib.suppress(AnalysisError):  # runs of a single evaluation span no steps
            areas.append(area_under_curve(part)[["run", "mean_value"]].drop_duplicates("run"))
    if not areas:
        return scores
    return scores.merge(pd.concat(areas).rename(columns={"mean_value": "mean_return"}), on="run", how="left")


def _with_reference(scores: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    if "task" not in reference:
        if scores["task"].nunique() > 1:
            raise AnalysisError(
                "--against: the reference must say which environment it is of, in a column `environment`"
            )
        reference = reference.assign(task=scores["task"].iloc[0])
    names = [*scores["variant"].cat.categories, *dict.fromkeys(reference["variant"])]
    both = pd.concat([scores.astype({"variant": str}), reference], ignore_index=True)
    both["variant"] = pd.Categorical(both["variant"], categories=names, ordered=True)
    return both


def _only(scores: pd.DataFrame, wanted: tuple[str, str]) -> pd.DataFrame:
    names = [_arm(scores, word) for word in wanted]
    if names[0] == names[1]:
        raise AnalysisError(f"--compare {wanted[0]} {wanted[1]}: the same variant twice")
    kept = scores[scores["variant"].isin(names)].copy()
    kept["variant"] = pd.Categorical(kept["variant"].astype(str), categories=names, ordered=True)
    return kept


def _arm(scores: pd.DataFrame, word: str) -> str:
    """Finds the variant that a word means: its own name, or a sweep of one variant by its name or directory."""
    variants = [str(name) for name in scores["variant"].cat.categories]
    if word in variants:
        return word
    parents = scores["directory"].map(lambda path: Path(path).resolve().parent, na_action="ignore")
    inside = scores[(scores["sweep"] == word) | (parents == Path(word).resolve())]
    arms = list(dict.fromkeys(inside["variant"].astype(str)))
    if len(arms) == 1:
        return arms[0]
    if arms:
        raise AnalysisError(f"{word}: has {len(arms)} variants; name one of them: {', '.join(arms)}")
    raise AnalysisError(f"{word}: no such variant; choices: {', '.join(variants)}")


def declared_here(sweeps: Sequence[Sweep], variants: Sequence[str]) -> str | None:
    """Returns the first of some variants that a sweep named as its control beforehand."""
    declared = {sweep.control for sweep in sweeps if sweep.control is not None}
    return next((name for name in variants if name in declared or name.partition(": ")[2] in declared), None)


def _control(scores: pd.DataFrame, sweeps: Sequence[Sweep], options: Options) -> tuple[str | None, str]:
    """Says what the others are compared with, and why."""
    variants = [str(name) for name in scores["variant"].cat.categories]
    if options.control is not None:
        return _arm(scores, options.control), "as asked for"
    if options.compare:
        return variants[0], "the first of the two"
    declared = {sweep.control for sweep in sweeps if sweep.control is not None}
    own = declared_here(sweeps, variants)
    references = list(dict.fromkeys(scores.loc[scores["is_reference"], "variant"].astype(str)))
    if references:
        return next(
            (name for name in references if name == f"{own} (reference)"), references[0]
        ), "the stored reference"
    if own is None and len(sweeps) == 1 and declared:
        own = declared.pop()  # it has no runs yet, which is for the report to say
    if own is not None:
        return own, DECLARED
    return (variants[0], "the first; --control names another") if len(variants) > 1 else (None, "")


def _question(scores: pd.DataFrame, sweeps: Sequence[Sweep], swept: Sequence[str], options: Options) -> str:
    """Takes the sweep's own question, or makes one from what differs."""
    variants = [str(name) for name in scores["variant"].cat.categories]
    if options.compare:
        return f"Does {variants[1]} differ from {variants[0]}?"
    if options.against:
        return f"Do these runs differ from the reference {options.against.stem}?"
    asked = list(dict.fromkeys(sweep.question for sweep in sweeps if sweep.question))
    if len(asked) == 1:
        return asked[0]
    if len(variants) == 1:
        return f"How well does {variants[0]} do?"
    keys = [key for key in swept if key not in TASKS]
    if scores["sweep"].nunique() == 1 and len(keys) == 1:
        return f"What does {keys[0]} change?"
    if scores["sweep"].nunique() == 1 and len(keys) == 2:
        return f"What do {keys[0]} and {keys[1]} change, alone and together?"
    return f"How do {', '.join(variants[:-1])} and {variants[-1]} compare?" if len(variants) <= 4 else (
        f"How do these {len(variants)} variants compare?")  # fmt: skip
