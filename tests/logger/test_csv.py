from __future__ import annotations

import csv

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.logger.csv import CSVLogger
from dqn_lab.types import ConfigError


@pytest.fixture
def logger(tmp_path, columns):
    logger = CSVLogger()
    logger.open(tmp_path, {}, columns)
    yield logger
    logger.close("completed", {})


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_every_table_has_a_file_with_its_columns(logger, tmp_path, columns):
    assert {path.name: read(path) for path in tmp_path.iterdir()} == {
        f"{table}.csv": [list(names)] for table, names in columns.items()
    }


def test_a_file_holds_these_bytes(logger, tmp_path, early_row, row):
    """A row can be read as soon as it is written, before the run ends."""
    logger.write("episodes", early_row)
    logger.write("episodes", row)
    assert (tmp_path / "episodes.csv").read_bytes() == (
        b"episode,step,return,length,epsilon,updates,loss,q_value\n"
        b"0,20,20.0,20,1.0,0,,\n"
        b"1,52,32.0,32,0.995,7,0.30000000000000004,-1e-17\n"
    )


def test_cells_follow_the_order_of_the_columns(logger, tmp_path, row):
    logger.write("episodes", dict(reversed(row.items())))
    header, cells = read(tmp_path / "episodes.csv")
    assert {key: float(cell) for key, cell in zip(header, cells, strict=True)} == row


def test_a_column_that_the_row_lacks_is_empty(logger, tmp_path):
    logger.write("timing", {"step": 3})
    assert read(tmp_path / "timing.csv")[1] == ["", "3", "", ""]


def test_pandas_reads_empty_cells_as_missing_numbers(logger, tmp_path, early_row, row):
    logger.write("episodes", early_row)
    logger.write("episodes", row)
    table = pd.read_csv(tmp_path / "episodes.csv")
    assert table["loss"].isna().tolist() == [True, False]
    assert table["step"].tolist() == [20, 52]


@given(numbers=st.lists(st.floats(allow_nan=False) | st.integers(-(2**63), 2**63), min_size=1))
def test_numbers_read_back_as_the_same_numbers(tmp_path_factory, numbers):
    directory, logger = tmp_path_factory.mktemp("run"), CSVLogger()
    logger.open(directory, {}, {"episodes": ("step", "return")})
    for number in numbers:
        logger.write("episodes", {"step": 0, "return": number})
    logger.close("completed", {})
    cells = [cell for _, cell in read(directory / "episodes.csv")[1:]]
    assert [type(number)(cell) for number, cell in zip(numbers, cells, strict=True)] == numbers


def test_another_runs_files_are_not_overwritten(logger, tmp_path, row):
    logger.write("episodes", row)
    before = (tmp_path / "episodes.csv").read_bytes()
    with pytest.raises(ConfigError, match=r"episodes\.csv: exists"):
        CSVLogger().open(tmp_path, {}, {"episodes": ("step",)})
    assert (tmp_path / "episodes.csv").read_bytes() == before


@pytest.mark.parametrize("damage", ["is deleted", "is shortened"])
def test_a_resumed_run_refuses_a_file_that_has_lost_rows(logger, tmp_path, columns, row, damage):
    """Cutting it to its recorded size would fill it with zeros."""
    logger.write("episodes", row)
    resumed, path = CSVLogger(), tmp_path / "episodes.csv"
    resumed.resume(logger.position())
    path.unlink() if damage == "is deleted" else path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"episodes\.csv: has lost rows"):
        resumed.open(tmp_path, {}, columns)


def test_nothing_can_be_written_after_closing(logger, row):
    logger.close("completed", {})
    with pytest.raises(ValueError, match="closed"):
        logger.write("episodes", row)
