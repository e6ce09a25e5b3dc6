"""A Parquet copy of the tables of all runs in a directory, which loads many times faster than their CSV files.

The copy is kept next to the runs, in `.analysis/`, and may be deleted at any time: if it is missing or damaged, or
cannot be written, the CSV files are read. A run's rows are taken from the copy only while the CSV file still has the
size, times and inode that it had when it was read. A file that changed less than two seconds before it was read is not
cached, because file times may be that coarse.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dqn_lab import __version__

FORMAT = f"dqn_lab {__version__} 1"
COARSE = 2_000_000_000  # nanoseconds
Fingerprint = list[int]


def fingerprint(path: Path) -> Fingerprint:
    """Returns a file's size, times and inode, which change when the file does."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def is_settled(print_: Fingerprint) -> bool:
    """Returns whether every later change to the file is certain to change its fingerprint."""
    return max(print_[1:3]) < time.time_ns() - COARSE


def read_cache(parent: Path, table: str) -> dict[str, tuple[Fingerprint, Any]]:
    """Reads the copy in `parent`: each run's fingerprint and rows; empty if there is no copy."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        whole = parquet.read_table(_path(parent, table))
        about = json.loads(whole.schema.metadata[b"dqn_lab"])
        whole = whole.replace_schema_metadata(None)
        if about.get("format") != FORMAT:
            return {}
        runs, start = {}, 0
        for name, print_, columns, rows in about["runs"]:
            part = whole.slice(start, rows).select(list(columns))
            schema = pa.schema(columns.items())
            runs[name] = (print_, part if part.schema.equals(schema) else part.cast(schema))
            start += rows
        return runs if start == whole.num_rows else {}
    except Exception:  # whatever the damage, the CSV files are still there
        return {}


def write_cache(parent: Path, table: str, runs: Mapping[str, tuple[Fingerprint, Any]]) -> None:
    """Replaces the copy; does nothing if the directory is not writable."""
    import pyarrow as pa
    from pyarrow import parquet

    about = [
        [name, print_, {field.name: str(field.type) for field in rows.schema}, rows.num_rows]
        for name, (print_, rows) in runs.items()
    ]
    whole = pa.concat_tables([rows for _, rows in runs.values()], promote_options="permissive")
    whole = whole.replace_schema_metadata({"dqn_lab": json.dumps({"format": FORMAT, "runs": about})})
    path = _path(parent, table)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        try:
            parquet.write_table(whole, part, compression="lz4", use_dictionary=False)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _path(parent: Path, table: str) -> Path:
    return parent / ".analysis" / f"{table}.parquet"
