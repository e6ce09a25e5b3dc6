"""The Parquet copy is used only while it is up to date."""

import os

import pytest

from dqn_lab.analysis import load_runs, tables


@pytest.fixture
def grid(make_run, tmp_path):
    for seed in range(3):
        make_run(f"grid/{seed}", seed=seed, returns=(float(seed), 500.0))
    return tmp_path / "grid"


@pytest.fixture
def read(monkeypatch):
    """Returns a list of the runs whose CSV file is read."""
    names, real = [], tables._whole_rows
    monkeypatch.setattr(
        tables, "_whole_rows", lambda path, table: (names.append(path.parent.name), real(path, table))[1]
    )
    return names


def load(grid):
    return load_runs(grid, table="evaluations").groupby("run", observed=True)["return_mean"].first().to_dict()


def test_runs_that_did_not_change_are_not_read_again(grid, read, later):
    assert load(grid) == load(grid)
    assert read == ["0", "1", "2"]


def test_files_modified_within_the_clocks_resolution_are_not_cached(grid, read, monkeypatch):
    moment = (grid / "0" / "evaluations.csv").stat().st_mtime_ns
    monkeypatch.setattr("dqn_lab.analysis.cache.time.time_ns", lambda: moment)
    load(grid)
    load(grid)
    assert read == ["0", "1", "2"] * 2
    assert not (grid / ".analysis").exists()


@pytest.mark.parametrize("hide", [False, True])
def test_a_change_is_noticed_even_with_the_same_size_and_mtime(grid, read, later, hide):
    load(grid)
    path = grid / "1" / "evaluations.csv"
    stat = path.stat()
    path.write_text(path.read_text().replace("1000,0,1.0", "1000,0,7.0"))
    if hide:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert load(grid) == {"0": 0.0, "1": 7.0, "2": 2.0}
    assert read == ["0", "1", "2", "1"]


def test_new_and_removed_runs_are_noticed(grid, read, later, make_run):
    load(grid)
    for file in (grid / "0").iterdir():
        file.unlink()
    (grid / "0").rmdir()
    make_run("grid/3", seed=3, returns=(3.0, 4.0))
    assert load(grid) == {"1": 1.0, "2": 2.0, "3": 3.0}
    assert load_runs(grid / "3", table="evaluations")["step"].tolist() == [1000, 2000]
    assert load(grid) == {"1": 1.0, "2": 2.0, "3": 3.0}
    assert read == ["0", "1", "2", "3", "3"]  # a single run bypasses the cache


def test_loading_some_runs_keeps_the_others_cached(grid, read, later):
    load(grid)
    load_runs(grid / "0", grid / "2", table="evaluations")
    load(grid)
    assert read == ["0", "1", "2"]


@pytest.mark.parametrize("damage", [b"", b"PAR1 and nothing", None])
def test_a_damaged_copy_is_rebuilt(grid, read, later, damage):
    expected = load(grid)
    path = grid / ".analysis" / "evaluations.parquet"
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert load(grid) == expected == load(grid)
    assert read == ["0", "1", "2"] * 2


def test_runs_are_read_even_if_no_cache_can_be_written(grid, read, later):
    (grid / ".analysis").write_text("in the way")
    assert load(grid) == load(grid) == {"0": 0.0, "1": 1.0, "2": 2.0}
    assert read == ["0", "1", "2"] * 2


def test_no_part_of_a_file_is_left_behind(grid, later):
    load(grid)
    assert [path.name for path in (grid / ".analysis").iterdir()] == ["evaluations.parquet"]


@pytest.mark.parametrize("odd", ["50,1\n", "\n", "x,1,500.0\n", '"5\n0",1,500.0\n'])
def test_files_are_read_together_as_each_by_itself(tmp_path, odd):
    """A torn row, an empty line or a cell that is not a number in one file does not affect the others."""
    bodies = {"a": "5,1,1.5\n10,2,\n", "b": "5,1,2.5\n" + odd, "c": "5,1,3.5\n", "d": "5,1,\n"}
    for name, body in bodies.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "evaluations.csv").write_text("step,episode,return_mean\n" + body)
    alone, reasons = {}, {}
    for name in bodies:
        try:
            alone[tmp_path / name] = tables.read_csv(tmp_path / name / "evaluations.csv", "evaluations").to_pydict()
        except tables.Unreadable as error:
            reasons[str(tmp_path / name)] = f"evaluations.csv: {error}"
    skipped = {}
    together = tables.read_tables([tmp_path / name for name in bodies], "evaluations", skipped)
    assert str({path: together[path].to_pydict() for path in alone}) == str(alone)
    assert together.keys() == alone.keys()
    assert skipped == reasons
    assert len(together) >= 3
