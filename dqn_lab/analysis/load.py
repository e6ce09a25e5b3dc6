"""Runs as data frames."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from dqn_lab.analysis.records import Run, find_runs, warn_skipped
from dqn_lab.types import Table


def load_configs(*paths: str | os.PathLike[str]) -> pd.DataFrame:
    """Loads what the records say: one row per run (two where a run belongs to two variants).

    Args:
        paths: runs, sweeps, or any directories above them.

    Returns:
        `run` (the directory's name), `directory`, `sweep`, `variant`, `seed`, `status`; the scores `final_return` (the
        final policy's greedy mean, the primary result), `best_return` (that of the policy selected on the way,
        evaluated afresh) and `last_100` (of the last 100 training episodes), empty where a run has none yet;
        `final_step` and `final_episode`, how far it came; `wall_seconds`; `engine`, the one that ran; every key of the
        configuration, dotted; `versions.*`, `git.commit`, `started`, `command`, `host`. `.attrs["skipped"]` maps each
        run that was left out to the reason, `.attrs["swept"]` lists the keys that differ.

    Raises:
        AnalysisError: there is no run.

    Warns:
        SkippedRuns: some are left out.
    """
    found = find_runs(paths)
    warn_skipped(found.skipped)
    frame = pd.DataFrame([_row(run) for run in found.runs])
    frame["variant"] = _categories([run.variant for run in found.runs])
    frame["seed"] = frame["seed"].astype("int64")
    frame.attrs = {"skipped": dict(found.skipped), "swept": list(found.swept)}
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
        "seed": record["config"]["seed"],
        "status": record["status"],
        "final_return": (scores.get("final") or {}).get("return_mean"),
        "best_return": (scores.get("selected") or {}).get("return_mean"),
        "last_100": scores.get("last_100"),
        "final_step": progress.get("step"),
        "final_episode": progress.get("episode"),
        "wall_seconds": record.get("wall_seconds"),
        "engine": (record.get("engine") or {}).get("name"),
        **{key: value for key, value in run.config.items() if key != "seed"},
        **{f"versions.{name}": version for name, version in (record.get("versions") or {}).items()},
        "git.commit": (record.get("git") or {}).get("commit"),
        **{key: record.get(key) for key in ("started", "command", "host")},
    }


def _categories(values: list[str]) -> pd.Categorical:
    """Makes a column whose groups come in the order in which they first appear."""
    return pd.Categorical(values, categories=list(dict.fromkeys(values)))


def load_runs(*paths: str | os.PathLike[str], table: Table = "episodes") -> pd.DataFrame:
    """Loads a table of many runs: one row per training episode, or per evaluation.

    Args:
        paths: runs, sweeps, or any directories above them; finished, interrupted or still running.
        table: `episodes`, `evaluations` or `timing`.

    Returns:
        `run` (the directory's name), `sweep` (where there are several), `variant`, `seed`, the configuration keys that
        differ among the runs (`target.interval`; one that is also a column of the table has `config.` before it), then the columns of the CSV file. `.attrs["skipped"]` maps each run
        that was left out to the reason, `.attrs["swept"]` lists the keys that differ.

    Raises:
        AnalysisError: there is no run, or none with such a table.

    Warns:
        SkippedRuns: some are left out.
    """
    found = find_runs(paths)
    frames = []
    for run in found.runs:
        frame = pd.read_csv(run.directory / f"{table}.csv", float_precision="round_trip")
        identity = {"run": run.name, "variant": run.variant, "seed": run.record["config"]["seed"]}
        if len({other.sweep for other in found.runs}) > 1:
            identity["sweep"] = run.sweep
        identity.update({f"config.{key}" if key in frame else key: run.config.get(key) for key in found.swept})
        for position, (key, value) in enumerate(identity.items()):
            frame.insert(position, key, value)
        frames.append(frame)
    warn_skipped(found.skipped)
    whole = pd.concat(frames, ignore_index=True)
    whole["variant"] = pd.Categorical(whole["variant"], categories=list(whole["variant"].unique()))
    whole.attrs = {"skipped": dict(found.skipped), "swept": list(found.swept)}
    return whole
