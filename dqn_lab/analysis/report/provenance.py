"""Where a report's numbers come from: progress, commands, versions, and the shared configuration."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from dqn_lab.analysis.report.loaded import STOPPED
from dqn_lab.analysis.report.material import Material
from dqn_lab.records import value_text

UNSHARED = ("versions.", "sources.", "logger.")
BOOKKEEPING = ("run", "directory", "sweep", "variant", "seed", "status", "error", "final_return", "best_return",
               "last_100", "mean_return", "best_step", "final_step", "final_episode", "wall_seconds", "engine",
               "started", "command", "host", "task", "is_reference", "git.commit", "display")  # fmt: skip


def progress(material: Material) -> tuple[str, bool]:
    """Returns how many planned runs are completed and the state of the others, and whether any is missing.

    If the runs were chosen by hand, only these are expected.
    """
    if material.included is not None:
        own = Path("outputs", "sweeps", material.included)
        yours = f"; yours are in {own}" if own.is_dir() else ""
        return f"{len(material.runs):,} runs, included with dqn_lab{yours}", False
    runs = material.runs.drop_duplicates("directory")
    counts = runs["status"].value_counts()
    whole = material.selected_from
    planned = len(runs) if whole else max(_planned(material), len(runs))
    done = int(counts.get("completed", 0))
    others = [f"{counts[status]} {status}" for status in ("failed", "interrupted", "running") if status in counts]
    if absent := planned - len(runs):
        others.append(f"{absent} not begun")
    if whole:
        states = ", ".join([f"{done:,} completed", *others]) if others else "all completed"
        return f"{planned:,} of the {whole:,} runs (a selection): {states}", done < planned
    if planned == done == 1:
        return "1 run, completed", False
    line = f"{done:,} of {planned:,} runs" + (f"; {', '.join(others)}" if others else " completed")
    return line, done < planned


def stopped(material: Material) -> dict[str, str]:
    """Returns why runs stopped before their end, by task if there are several, variant and seed."""
    early = material.runs.drop_duplicates("directory")
    early = early[early["status"].isin(STOPPED)]
    found = {}
    for row in early.to_dict("records"):
        task = f"{row['task']}: " if len(material.tasks) > 1 else ""
        reason = "" if pd.isna(row["error"]) else f": {row['error']}"
        found[f"{task}{row['variant']}, seed {row['seed']}"] = f"{row['status']}{reason}"
    return found


def _planned(material: Material) -> int:
    """Counts the jobs of the sweeps (only of the compared variants, with --compare) and all runs outside sweeps."""
    variants = {str(name).rpartition(": ")[2] for name in material.scores["variant"].unique()}
    jobs = {
        (sweep.directory, job["directory"])
        for sweep in material.sweeps
        for job in sweep.jobs
        if job["variant"] in variants or not material.narrowed
    }
    listed = {sweep.directory for sweep in material.sweeps}
    plain = material.runs[~_is_in(material.runs, listed)].drop_duplicates("directory")
    return len(jobs) + len(plain)


def _is_in(runs: pd.DataFrame, sweeps: Collection[Path]) -> pd.Series[bool]:
    """Returns which runs lie in the sweeps' directories."""
    return runs["directory"].map(lambda directory: Path(directory).parent in sweeps)


def commands(material: Material) -> list[str]:
    """Lists the commands that made the runs, a sweep's own before those of its jobs.

    Runs that were chosen by hand have none, because a sweep's command makes others too.
    """
    if material.selected_from:
        return []
    sweeps = [sweep.command for sweep in material.sweeps if sweep.command]
    listed = {sweep.directory for sweep in material.sweeps if sweep.command}
    runs = material.runs
    plain = list(runs.loc[~_is_in(runs, listed), "command"]) if "command" in runs else []
    return list(dict.fromkeys([*sweeps, *(command for command in plain if isinstance(command, str))]))


def variants(material: Material) -> dict[str, str]:
    """Returns each variant's overrides if a sweep lists them, else the keys that distinguish it."""
    there = {str(name) for name in material.scores["variant"].unique()}
    listed = {label for sweep in material.sweeps for label in sweep.variants}
    firsts = material.runs.drop_duplicates("variant")
    keys = [key for key in material.swept if key in firsts]
    found = {
        str(row["variant"]): ", ".join(f"{key}={value_text(row[key])}" for key in keys if not _is_missing(row[key]))
        for row in firsts.to_dict("records")
        if str(row["variant"]) not in listed
    }
    return {label: text for label, text in found.items() if text and text != label} | {
        label: " ".join(overrides) or "(no overrides)"
        for sweep in material.sweeps
        for label, overrides in sweep.variants.items()
        if label in there
    }


def _is_missing(value: Any) -> bool:
    return value is None or (not isinstance(value, str) and pd.isna(value))


def versions(material: Material) -> dict[str, str]:
    """Returns the versions, hosts and times of the runs; if they differ, with the number of runs for each."""
    runs = material.runs.drop_duplicates("directory")
    columns = [str(column) for column in runs if str(column).startswith("versions.")]
    found = {column.removeprefix("versions."): _values_text(runs[column]) for column in columns}
    sources = [str(column) for column in runs if str(column).startswith("sources.")]
    found |= {f"code of {column.removeprefix('sources.')}": _values_text(runs[column]) for column in sources}
    for column, name in (("git.commit", "git commit"), ("engine", "engine"), ("host", "host")):
        if column in runs and runs[column].notna().any():
            found[name] = _values_text(runs[column])
    started = runs["started"].dropna().astype(str) if "started" in runs else pd.Series(dtype=str)
    if len(started):
        first, last = (
            each[:16].replace("T", " ") + " UTC" * each.endswith("+00:00") for each in (started.min(), started.max())
        )
        found["started"] = first if first == last else f"{first} to {last}"
    if "wall_seconds" in runs and (seconds := runs["wall_seconds"].sum()) > 0:
        found["total time of the runs"] = _duration(seconds)
    return found


def _duration(seconds: float) -> str:
    sizes = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
    size, unit = next((each for each in sizes if seconds >= 2 * each[0]), sizes[-1])
    return f"{seconds / size:,.1f} {unit}"


def _values_text(values: pd.Series[Any]) -> str:
    counts = values.dropna().astype(str).value_counts(sort=False)
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{value} ({count} runs)" for value, count in sorted(counts.items()))


def shared(material: Material) -> dict[str, str]:
    """Returns the configuration keys that have the same value in all runs."""
    runs = material.runs
    keys = [key for key in map(str, runs) if key not in BOOKKEEPING and not key.startswith(UNSHARED)]
    return {key: _plain(runs[key]) for key in keys if runs[key].astype(str).nunique(dropna=False) == 1}


def _plain(values: pd.Series[Any]) -> str:
    value = values.iloc[0]
    if not isinstance(value, str) and pd.isna(value):
        return "null"
    return str(value).lower() if str(value) in ("True", "False") else str(value)
