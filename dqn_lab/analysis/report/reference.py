"""Stored results to compare with: files with one row per run."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from dqn_lab._damage import read_regular
from dqn_lab.analysis._errors import AnalysisError
from dqn_lab.analysis.report.neutral import unquoted, visible


def read_reference(path: Path, metric: str) -> pd.DataFrame:
    """Reads results per run from a CSV file, such as a report's own `tables/runs.csv`, or from JSON of the same rows.

    Args:
        path: the file.
        metric: a required column, like `seed`; `variant`, `environment` and `status` are optional.

    Returns:
        the rows as runs, with `variant` marking them as the reference.

    Raises:
        AnalysisError: there is no such file, it cannot be read, or a column is missing.
    """
    if path.is_dir():
        raise AnalysisError(f"--against {path}: is a directory; name a file, such as a report's tables/runs.csv")
    try:
        text = io.BytesIO(read_regular(path))
        frame = pd.read_json(text) if path.suffix == ".json" else pd.read_csv(text)
    except OSError as error:
        raise AnalysisError(f"--against {path}: {error.strerror or 'no such file'}") from error
    except ValueError as error:
        raise AnalysisError(f"--against {path}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    missing = [name for name in ("seed", metric) if name not in frame]
    if missing:
        there = ", ".join(map(str, frame.columns))
        raise AnalysisError(f"--against {path}: lacks {' and '.join(missing)}; it has: {there}")
    try:
        frame[metric], frame["seed"] = frame[metric].astype(float), frame["seed"].astype("int64")
    except (ValueError, TypeError, OverflowError) as error:
        raise AnalysisError(f"--against {path}: {' '.join(str(error).split())}") from error
    if frame.empty:
        raise AnalysisError(f"--against {path}: has no rows")
    if "variant" in frame and frame["variant"].isna().any():
        raise AnalysisError(f"--against {path}: row {int(frame['variant'].isna().argmax()) + 1} names no variant")
    variants = frame["variant"].astype(str) if "variant" in frame else pd.Series(path.stem, frame.index)
    frame["variant"] = [f"{visible(unquoted(label))} (reference)" for label in variants]
    frame = frame.rename(columns={"environment": "task"})
    if "status" not in frame:
        frame["status"] = "completed"
    kept = [name for name in ("variant", "seed", "task", "status", "final_step", metric) if name in frame]
    return frame[list(dict.fromkeys(kept))].assign(
        is_reference=True, sweep="reference", run=[f"reference {i}" for i in range(len(frame))]
    )
