"""CSV files, one a table, a row flushed as it comes."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from dqn_lab.registry import register
from dqn_lab.types import Row, StateError, Table


@register("logger", "csv")
class CSVLogger:
    """Writes `episodes.csv`, `evaluations.csv` and `timing.csv`; numbers read back as the same numbers."""

    def __init__(self) -> None:
        self.columns: Mapping[Table, Sequence[str]] = {}
        self.files: dict[Table, IO[str]] = {}

    def open(self, directory: Path, config: Mapping[str, Any], columns: Mapping[Table, Sequence[str]]) -> None:
        """Makes the files with their headers; fails where they exist already."""
        self.columns = columns
        for table, names in columns.items():
            self.files[table] = (directory / f"{table}.csv").open("x", newline="", encoding="utf-8")
            self._put(table, names)

    def position(self) -> dict[str, Any]:
        """Returns the size of each file, once its content is on the disk."""
        for file in self.files.values():
            os.fsync(file.fileno())
        return {table: file.tell() for table, file in self.files.items()}

    def resume(
        self,
        directory: Path,
        config: Mapping[str, Any],
        columns: Mapping[Table, Sequence[str]],
        position: Mapping[str, Any],
    ) -> None:
        """Cuts the files to the size that they had.

        Raises:
            StateError: a file is shorter than that.
        """
        self.columns = columns
        for table in columns:
            path = directory / f"{table}.csv"
            if path.stat().st_size < position[table]:
                raise StateError(f"{path}: has lost rows that its checkpoint counts on")
            os.truncate(path, position[table])
            self.files[table] = path.open("a", newline="", encoding="utf-8")

    def write(self, table: Table, row: Row) -> None:
        """Appends a row; a column that the row lacks is left empty."""
        self._put(table, ["" if row.get(name) is None else row[name] for name in self.columns[table]])

    def _put(self, table: Table, cells: Sequence[Any]) -> None:
        csv.writer(self.files[table], lineterminator="\n").writerow(cells)
        self.files[table].flush()

    def close(self, status: str, summary: Row) -> None:
        """Closes the files."""
        with contextlib.ExitStack() as stack:  # each of them, though one may have no room for its last row
            for file in self.files.values():
                stack.callback(file.close)

    def info(self) -> dict[str, Any]:
        """Has nothing to tell."""
        return {}
