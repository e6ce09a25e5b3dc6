"""Loads what a report is about: the runs under some paths, or the results of a question that are included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from dqn_lab.analysis import AnalysisError, Sweep
from dqn_lab.analysis.load import tabulate_configs, tabulate_runs
from dqn_lab.analysis.places import Source, places_of
from dqn_lab.analysis.report.question import Options
from dqn_lab.analysis.runs import Found, find_runs
from dqn_lab.analysis.shipped import load_shipped, shipped_grid, shipped_question, shipped_sweep
from dqn_lab.tasks import telling_keys
from dqn_lab.types import Table

STOPPED = "failed", "interrupted"  # runs that ended early


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Results as they were recorded; the fields mean the same as in `Material`."""

    scores: pd.DataFrame
    evaluations: pd.DataFrame | None
    measured: pd.DataFrame | None = None
    swept: Sequence[str] = ()
    sweeps: Sequence[Sweep] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    telling_keys: Sequence[str] = ()
    selected_from: int | None = None
    included: str | None = None


def load(paths: Sequence[Source], options: Options) -> Loaded:
    """Loads the runs under the paths, or the included results of the question that the only path names.

    Raises:
        AnalysisError: there are no runs.
    """
    places = places_of(paths)
    if (question := shipped_question(places)) is not None:
        return _included(question)
    found = find_runs([*places, *(name for name in options.compare or () if Path(name).is_dir())])
    scores = tabulate_configs(found)
    evaluations, no_curve = _tabulate(found, "evaluations", "learning curve")
    alone = len(found.runs) == 1  # then the report shows its training too
    chosen = replace(found, runs=[run for run in found.runs if alone or run.record["measured"]], skipped={})
    measured, no_diagnostics = _tabulate(chosen, "episodes", "diagnostic")
    stopped = set(scores.loc[scores["status"].isin(STOPPED), "directory"])  # the report says why; no need for more
    partly = {run: why for run, why in {**no_diagnostics, **no_curve}.items() if run not in stopped}
    return Loaded(
        scores=scores, evaluations=evaluations, measured=measured, swept=list(found.swept), sweeps=found.sweeps,
        skipped={**partly, **found.skipped}, telling_keys=telling_keys(run.config for run in found.runs),
        selected_from=found.selected_from,
    )  # fmt: skip


def _included(question: str) -> Loaded:
    runs, evaluations = load_shipped(question), load_shipped(question, "evaluations")
    sweep = shipped_sweep(question)
    scores = runs.assign(directory=[str(sweep.directory / run) for run in runs["run"]], sweep=question, error=None)
    grid = shipped_grid(question)
    keys = list(next(iter(grid.values()), {}))
    scores = scores.assign(**{key: [grid[label][key] for label in scores["variant"]] for key in keys})
    return Loaded(
        scores=scores, evaluations=evaluations.assign(sweep=question), swept=keys, sweeps=[sweep],
        included=question,
    )  # fmt: skip


def _tabulate(found: Found, table: Table, what: str) -> tuple[pd.DataFrame | None, dict[str, str]]:
    """Loads a table of the runs that have it; runs without one still have results in their records.

    Returns:
        the rows, and for each run whose table cannot be read, the reason.
    """
    none = f"has no {table}.csv"
    try:
        rows = tabulate_runs(found, table) if found.runs else None
    except AnalysisError as error:
        return None, {} if none in str(error) else {f"{what}s": str(error)}
    unread = {} if rows is None else {run: why for run, why in rows.attrs["skipped"].items() if why != none}
    return rows, {run: f"its {what} only: {why}" for run, why in unread.items()}
