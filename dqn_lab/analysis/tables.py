"""Reads runs' CSV files: the numbers as written, whole rows only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dqn_lab._damage import MAX_STEP, read_regular
from dqn_lab.analysis.cache import Fingerprint, fingerprint, is_settled, read_cache, write_cache
from dqn_lab.records import REQUIRED_COLUMNS
from dqn_lab.types import Table

TOGETHER = 256  # files parsed in one call


class Unreadable(Exception):  # noqa: N818  it never leaves the package
    """Explains why a run's table cannot be used."""


class NoRow(Unreadable):
    """The table has its header, but no row yet.

    Args:
        columns: the header.
    """

    def __init__(self, columns: list[str]) -> None:
        super().__init__("has no row yet")
        self.columns = columns


def read_tables(directories: Iterable[Path], table: Table, skipped: dict[str, str]) -> dict[Path, Any]:
    """Reads one table of many runs, from their Parquet copy if it is up to date.

    Args:
        directories: the runs' directories.
        table: which CSV file.
        skipped: receives the runs that cannot be read, with the reason.

    Returns:
        each run's rows, as a `pyarrow.Table`.
    """
    parents: dict[Path, list[Path]] = {}
    for directory in directories:
        parents.setdefault(directory.parent, []).append(directory)
    tables: dict[Path, Any] = {}
    for parent, here in parents.items():
        cached = read_cache(parent, table) if len(here) > 1 else {}
        changed: dict[Path, Fingerprint] = {}
        for directory in here:
            try:
                print_ = fingerprint(directory / f"{table}.csv")
            except OSError as error:
                skipped[str(directory)] = _reason(table, error)
                continue
            kept = cached.get(directory.name)
            if kept is not None and kept[0] == print_:
                tables[directory] = kept[1]
            else:
                changed[directory] = print_
        read = _read_files(changed, table, skipped)
        tables |= read
        fresh = {each.name: (changed[each], rows) for each, rows in read.items() if is_settled(changed[each])}
        if fresh and len(here) > 1:
            others = {name: kept for name, kept in cached.items() if (parent / name).is_dir()}
            write_cache(parent, table, {**others, **fresh})
    return tables


def _read_files(directories: Iterable[Path], table: Table, skipped: dict[str, str]) -> dict[Path, Any]:
    """Reads the CSV files of runs, many with the same columns in one call, because a call costs more than a file."""
    texts: dict[bytes, dict[Path, bytes]] = {}
    for directory in directories:
        try:
            header, rows = _whole_rows(directory / f"{table}.csv", table)
            texts.setdefault(header, {})[directory] = rows
        except (OSError, Unreadable) as error:
            skipped[str(directory)] = _reason(table, error)
    tables: dict[Path, Any] = {}
    for header, bodies in texts.items():
        for start in range(0, len(bodies), TOGETHER):
            some = dict(islice(bodies.items(), start, start + TOGETHER))
            try:
                tables |= _parse_together(header, some)
            except Unreadable:
                for directory, rows in some.items():
                    try:
                        tables[directory] = _parse(header + rows)
                    except Unreadable as error:
                        skipped[str(directory)] = _reason(table, error)
    return tables


def read_csv(path: Path, table: Table) -> Any:
    """Reads a CSV file, without its last line if that is incomplete.

    Returns:
        a `pyarrow.Table` of integers and floats.

    Raises:
        Unreadable: it is not a regular file, a column is missing or occurs twice, a row has too few or too many cells,
            a cell is not a number, or, as `NoRow`, there is no row yet.
    """
    return _parse(b"".join(_whole_rows(path, table)))


def _reason(table: Table, error: Exception) -> str:
    return f"has no {table}.csv" if isinstance(error, FileNotFoundError) else f"{table}.csv: {error}"


def _whole_rows(path: Path, table: Table) -> tuple[bytes, bytes]:
    """Reads a CSV file's header and its rows as text, without the last line if that is incomplete.

    Raises:
        Unreadable: it is not a regular file, a column is missing or occurs twice, or, as `NoRow`, there is no row yet.
    """
    try:
        text = read_regular(path)
        line, end, rows = text[: text.rfind(b"\n") + 1].partition(b"\n")
        header = line.decode("utf-8-sig").strip().replace('"', "").split(",")
    except ValueError as error:
        raise Unreadable("is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"is {error}") from error
    missing = [name for name in REQUIRED_COLUMNS[table] if name not in header]
    if not end or missing:
        raise Unreadable(f"lacks the column {missing[0]}" if end else "is still empty")
    if len(set(header)) < len(header):
        raise Unreadable(f"has the column {next(name for name in header if header.count(name) > 1)} twice")
    if not rows:
        raise NoRow(header)
    return line + end, rows


def _parse_together(header: bytes, bodies: Mapping[Path, bytes]) -> dict[Path, Any]:
    """Parses rows of several files with the same columns.

    Raises:
        Unreadable: a row cannot be read, or there are empty lines.
    """
    rows, start = _parse(header + b"".join(bodies.values())), 0
    counts = {path: body.count(b"\n") for path, body in bodies.items()}
    if rows.num_rows != sum(counts.values()):
        raise Unreadable("there are empty lines")
    tables = {}
    for path, count in counts.items():
        tables[path] = rows.slice(start, count)
        start += count
    return tables


def _parse(text: bytes) -> Any:
    """Parses CSV.

    Returns:
        a `pyarrow.Table` of integers and floats.

    Raises:
        Unreadable: a row has too few or too many cells, a cell is not a number, or there is no row.
    """
    import pyarrow as pa
    from pyarrow import csv

    options = csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    reading = csv.ReadOptions(use_threads=False, block_size=max(len(text), 1024))
    try:
        rows = csv.read_csv(pa.BufferReader(text), read_options=reading, convert_options=options)
    except (pa.ArrowException, ValueError) as error:
        raise Unreadable(f"a row is malformed: {' '.join(str(error).split())[:200]}") from error
    if not rows.num_rows:
        raise Unreadable("has no row yet")
    rows = _numbers(rows)
    steps = rows["step"].to_numpy()
    if not (np.isfinite(steps) & (steps >= 0) & (steps <= MAX_STEP)).all():
        raise Unreadable("the column step contains something other than a number of steps")
    return rows


def _numbers(rows: Any) -> Any:
    """Checks that every column contains numbers; an empty column becomes floats."""
    import pyarrow as pa

    for position, field in enumerate(rows.schema):
        if pa.types.is_null(field.type):
            empty = pa.array([math.nan] * rows.num_rows, pa.float64(), from_pandas=True)
            rows = rows.set_column(position, field.name, empty)
        elif not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
            raise Unreadable(f"the column {field.name} contains something other than numbers")
    return rows
