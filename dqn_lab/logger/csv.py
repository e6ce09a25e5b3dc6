"""CSV files, one per table; every row is flushed at once."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from dqn_lab.registry import register
from dqn_lab.types import ConfigError, Row, Table


@register("logger", "csv")
class CSVLogger:
    """Writes `episodes.csv`, `evaluations.csv` and `timing.csv`; numbers keep their full precision."""

    def __init__(self) -> None:
        self.columns: Mapping[Table, Sequence[str]] = {}
        self.files: dict[Table, IO[str]] = {}
        self.sizes: Mapping[str, int] = {}  # to which a resumed run cuts the files before it adds rows

    def open(self, directory: Path, config: Mapping[str, Any], columns: Mapping[Table, Sequence[str]]) -> None:
        """Creates the files with their headers; opens those of a resumed run, and cuts them when a row is added.

        Raises:
            ConfigError: a file exists that is not to be continued, or is shorter than it was at the checkpoint.
        """
        self.columns = columns
        for table, names in columns.items():
            path = directory / f"{table}.csv"
            if path.exists() and table not in self.sizes:
                raise ConfigError(f"{path}: exists, and no checkpoint says which of its rows to keep; move it away")
            if (path.stat().st_size if path.exists() else 0) < self.sizes.get(table, 0):
                raise ConfigError(f"{path}: has lost rows that were written before the checkpoint")
            self.files[table] = path.open("a" if table in self.sizes else "x", newline="", encoding="utf-8")
            if table not in self.sizes:
                self._put(table, names)

    def position(self) -> dict[str, Any]:
        """Returns the size of each file, after flushing its content to the disk."""
        self._cut()
        for file in self.files.values():
            os.fsync(file.fileno())
        return {table: file.tell() for table, file in self.files.items()}

    def resume(self, position: Mapping[str, Any]) -> None:
        """Sets the sizes to which the files are cut before rows are added."""
        self.sizes = position

    def write(self, table: Table, row: Row) -> None:
        """Appends a row; a column that the row lacks is left empty."""
        self._cut()
        self._put(table, ["" if row.get(name) is None else row[name] for name in self.columns[table]])

    def _cut(self) -> None:
        """Removes the rows after the checkpoint; not in `open`, because another logger may fail to open."""
        for table, file in self.files.items():
            if table in self.sizes:
                file.truncate(self.sizes[table])
                file.seek(0, os.SEEK_END)
        self.sizes = {}

    def _put(self, table: Table, cells: Sequence[Any]) -> None:
        csv.writer(self.files[table], lineterminator="\n").writerow(cells)
        self.files[table].flush()

    def close(self, status: str, summary: Row) -> None:
        """Closes the files."""
        with contextlib.ExitStack() as stack:  # closes all of them, even if one fails on a full disk
            for file in self.files.values():
                stack.callback(file.close)

    def info(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}
