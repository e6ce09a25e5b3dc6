"""Runs as data frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from dqn_lab.analysis._errors import AnalysisError, SkippedRuns, unknown
from dqn_lab.analysis.places import Source
from dqn_lab.analysis.runs import Found, Run, find_runs
from dqn_lab.analysis.tables import read_tables
from dqn_lab.analysis.tasks import RETURN_BOUNDS
from dqn_lab.tasks import task_name
from dqn_lab.types import Table

THEN = ", then "  # between the digests of a file that changed while a run was stopped
OWN = ("run", "directory", "sweep", "variant", "task", "status", "error", "engine", "started", "command",
       "host")  # columns  # fmt: skip


def load_configs(*paths: Source) -> pd.DataFrame:
    """Loads the runs' records: one row per run (two if a run belongs to two variants).

    Args:
        paths: runs, sweeps, any directories above them, frames that this function returned, or lists of these.

    Returns:
        `run` (the directory's name), `directory`, `sweep`, `variant`, `seed`, `task` (the environment's id and the
        settings that change its returns), `status`, `error` (why the run stopped early); the scores `final_return` (the
        final policy's mean greedy return, the primary result), `best_return` (the same for the policy with the best
        evaluation, which may be the final one, from new episodes) and `last_100` (the mean of the last 100 training
        episodes), missing until they are known; `best_step`, the step of the policy with the best evaluation: if it is
        `final_step`, that policy is the final one, scored twice; `final_step` and `final_episode`, how far the run got;
        `wall_seconds`; `engine`, the one used; every key of the configuration, dotted; `versions.*`; `sources.*`,
        digests of the user's own files (several, if a file changed while the run was stopped); `git.commit`, `started`,
        `command`, `host`. `.attrs["skipped"]` maps each run that was left out to the reason; `.attrs["swept"]` lists
        the keys that differ; `.attrs["control"]` is the variant that the sweep's question compares with, None without a
        sweep or if several sweeps differ in it.

    Raises:
        AnalysisError: there is no run.

    Warns:
        SkippedRuns: some runs are left out.
    """
    return _warned(tabulate_configs(find_runs(paths)))


def tabulate_configs(found: Found) -> pd.DataFrame:
    """Makes the frame of `load_configs` from the runs found."""
    rows = [_row(run) for run in found.runs]
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    frame = pd.DataFrame({name: column(values) for name, values in columns.items()})
    frame["variant"] = _categories(columns["variant"])
    controls = {sweep.control for sweep in found.sweeps}
    control = controls.pop() if len(controls) == 1 else None
    frame.attrs = {"skipped": dict(found.skipped), "swept": list(found.swept), "control": control}
    return frame


def _row(run: Run) -> dict[str, Any]:
    record = run.record
    scores = record.get("scores") or {}
    progress = record.get("progress") or {}
    return {
        "run": run.name,
        "directory": str(run.directory),
        "sweep": run.sweep,
        "variant": run.variant,
        "seed": run.seed,
        "task": task_name(run.config),
        "status": record["status"],
        "error": record.get("error"),
        "final_return": _float((scores.get("final") or {}).get("return_mean")),
        "best_return": _float((scores.get("selected") or {}).get("return_mean")),
        "last_100": _float(scores.get("last_100")),
        "best_step": (scores.get("selected") or {}).get("step"),
        "final_step": progress.get("step"),
        "final_episode": progress.get("episode"),
        "wall_seconds": _float(record.get("wall_seconds")),
        "engine": (record.get("engine") or {}).get("name"),
        **{f"config.{key}" if key in OWN else key: value for key, value in run.config.items()},
        **({} if run.return_bounds is None else {RETURN_BOUNDS: run.return_bounds}),
        **{f"versions.{name}": version for name, version in (record.get("versions") or {}).items()},
        **_sources(record),
        "git.commit": (record.get("git") or {}).get("commit"),
        **{key: record.get(key) for key in ("started", "host")},
        "command": _commands(record),
    }


def _commands(record: Mapping[str, Any]) -> str | None:
    """Returns the command that started a run, and those that extended it."""
    resumed = record.get("resumed") or ()
    extended = [str(again.get("command")) for again in resumed if again.get("status") == "completed"]
    return " && ".join([str(record["command"]), *extended]) if record.get("command") else None


def _sources(record: Mapping[str, Any]) -> dict[str, str]:
    """Returns the digests of the user's own files; of a file that had changed when the run was resumed, all of them."""
    found: dict[str, dict[str, None]] = {}
    for attempt in (record, *(record.get("resumed") or ())):
        for name, digest in (attempt.get("sources") or {}).items():
            found.setdefault(f"sources.{name}", {})[str(digest)] = None
    return {name: THEN.join(digests) for name, digests in found.items()}


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def column(values: Sequence[Any]) -> Any:
    """Returns a column of the simplest type that can hold the values; integers stay integers if some are missing."""
    kinds = {type(value) for value in values if value is not None}
    full = None not in values
    if kinds == {bool}:
        return pd.array(values, dtype="bool" if full else "boolean")
    if kinds and kinds <= {int, float} and any(isinstance(value, int) and abs(value) >= 2**63 for value in values):
        return pd.array(values, dtype="object")  # seeds may have more than 64 bits
    if kinds == {int}:
        return pd.array(values, dtype="int64" if full else "Int64")
    if kinds and kinds <= {int, float}:
        return np.array([_float(value) for value in values])
    return pd.array([None if value is None else str(value) for value in values], dtype="str" if kinds else "object")


def _categories(values: Iterable[Any]) -> Any:
    """Makes a categorical column, its categories in order of appearance."""
    values = [None if pd.isna(value) else value for value in values]
    return pd.Categorical(values, categories=[value for value in dict.fromkeys(values) if value is not None])


def load_runs(*paths: Source, table: Table = "episodes") -> pd.DataFrame:
    """Loads a table of many runs: one row per training episode, or per evaluation.

    Loading the same runs again takes a fraction of the time (see `dqn_lab/analysis/cache.py`).

    Args:
        paths: runs, sweeps, any directories above them, frames of `load_configs`, or lists of these. The runs may be
            finished, interrupted or still running.
        table: `episodes`, `evaluations` or `timing`.

    Returns:
        `run` (the directory's name), `sweep`, `variant`, `seed`, `task`, the configuration keys that differ between
        the runs (such as `target.interval`; prefixed with `config.` if the table has a column of that name), then the
        columns of the CSV file; text is categorical, in order of appearance. `.attrs["skipped"]` maps each run that was
        left out to the reason; `.attrs["swept"]` lists the keys that differ.

    Raises:
        AnalysisError: there is no run, or no run has such a table.

    Warns:
        SkippedRuns: some runs are left out.
    """
    if table not in get_args(Table):
        raise unknown("table", table, get_args(Table), "table")
    return _warned(tabulate_runs(find_runs(paths), table))


def tabulate_runs(found: Found, table: Table) -> pd.DataFrame:
    """Makes the frame of `load_runs` from the runs found."""
    skipped = dict(found.skipped)
    tables = read_tables(dict.fromkeys(run.directory for run in found.runs), table, skipped)
    runs = [run for run in found.runs if run.directory in tables]
    if not runs:
        directory, reason = next(iter(skipped.items()))
        raise AnalysisError(f"no run has {table} to load; {directory}: {reason}")
    rows = _concatenate([tables[run.directory] for run in runs])
    about = pd.DataFrame(_identity(runs, found.swept, rows.columns))
    counts = [tables[run.directory].num_rows for run in runs]
    repeated = about.take(np.repeat(np.arange(len(runs)), counts)).reset_index(drop=True)
    frame = pd.concat([repeated, rows], axis=1)
    frame.attrs = {"skipped": skipped, "swept": list(found.swept)}
    return frame


def _concatenate(tables: Sequence[Any]) -> pd.DataFrame:
    import pyarrow as pa

    whole = pa.concat_tables(tables, promote_options="permissive")
    frame: pd.DataFrame = whole.to_pandas(split_blocks=True)
    for field in whole.schema:
        if pa.types.is_integer(field.type) and whole[field.name].null_count:
            frame[field.name] = whole[field.name].to_pandas(types_mapper=lambda _: pd.Int64Dtype())
    return frame


def _identity(runs: Sequence[Run], swept: Sequence[str], taken: Iterable[Any]) -> dict[str, Any]:
    """Returns the columns that identify runs, with one value per run."""
    columns: dict[str, list[Any]] = {
        "run": [run.name for run in runs],
        "sweep": [run.sweep for run in runs],
        "variant": [run.variant for run in runs],
        "seed": [run.seed for run in runs],
        "task": [task_name(run.config) for run in runs],
    }
    if any(run.return_bounds for run in runs):
        columns[RETURN_BOUNDS] = [run.return_bounds for run in runs]
    taken = {*taken, *columns}
    columns |= {f"config.{key}" if key in taken else key: [run.config.get(key) for run in runs] for key in swept}
    made = {name: column(values) for name, values in columns.items()}
    return {name: _categories(made[name]) if _is_text(made[name]) else made[name] for name in made}


def _is_text(values: Any) -> bool:
    return not pd.api.types.is_numeric_dtype(values.dtype)


def _warned(frame: pd.DataFrame) -> pd.DataFrame:
    """Warns about the runs that were left out."""
    if skipped := frame.attrs["skipped"]:
        shown = "; ".join(f"{directory}: {reason}" for directory, reason in list(skipped.items())[:3])
        more = f"; … ({len(skipped)} in all, in .attrs['skipped'])" if len(skipped) > 3 else ""
        runs = "a run" if len(skipped) == 1 else f"{len(skipped)} runs"
        warnings.warn(f"left out {runs}: {shown}{more}", SkippedRuns, stacklevel=3)
    return frame
