"""What writers and readers of the files on disk share."""

import json
import math
import os

import pytest

from dqn_lab import records


@pytest.mark.parametrize(("value", "text"), [
    (None, "null"), (True, "true"), (False, "false"), (3, "3"), (1e-3, "0.001"), ("relu", "relu"),
    ([24, 24], "[24, 24]"), ({"start": 1, "unit": "steps"}, '{"start": 1, "unit": "steps"}'), ((1, None), "[1, null]"),
])  # fmt: skip
def test_a_value_is_written_as_a_person_types_it(value, text):
    assert records.value_text(value) == text


def test_components_columns_stand_between_the_tables_own():
    columns = records.table_columns(["epsilon"], ["grad_norm"])
    assert columns["episodes"] == (
        "episode", "step", "return", "length", "epsilon", "updates", "loss", "q_value", "grad_norm",
    )  # fmt: skip
    for table, required in records.REQUIRED_COLUMNS.items():
        assert set(required) <= set(records.table_columns()[table])


def test_a_jobs_identity_does_not_depend_on_what_changes_no_result():
    config = {"seed": 1, "display": "bar", "rollout": {"name": "auto"}, "env": {"id": "a", "return_bounds": [0, 1]}}
    assert records.identity(config) == records.identity({"env": {"id": "a"}, "seed": 1})
    assert records.identity(config) != records.identity({**config, "seed": 2})


@pytest.mark.parametrize(("overrides", "name"), [
    ([], "default-12ab"), (["a.b=1", "+c='x y'"], "a.b=1,c=x-y-12ab"), (["길=1"], "=1-12ab"),
    (["x=" + "y" * 200], "x=" + "y" * 78 + "-12ab"), (["hidden=[64, 64]"], "hidden=64,64-12ab"),
    (["x=" + "y" * 60, "long=" + "z" * 60, "seed=3"], "x=" + "y" * 60 + ",seed=3-12ab"),
    (["steps=1_000", "evaluation.interval=500", "evaluation.unit=steps", "evaluation.num_episodes=5", "network=mine"],
     "network=mine,steps=1_000,evaluation.interval=500,evaluation.unit=steps-12ab"),
    (["display=none", "logger=[csv,sqlite]", "checkpoint.keep=1", "hydra/launcher=basic"], "default-12ab"),
])  # fmt: skip
def test_a_directorys_name_is_its_overrides_made_safe(overrides, name):
    assert records.slug(overrides, "12ab") == name


@pytest.mark.parametrize(("score", "status", "result"), [
    (3, "completed", 3.0), (None, "completed", math.nan), (math.inf, "completed", math.nan),
    (math.nan, "completed", math.nan), (3, "failed", math.nan),
])  # fmt: skip
def test_a_final_return_is_finite_or_nothing(score, status, result):
    found = records.final_return({"status": status, "scores": {"final": {"return_mean": score}}})
    assert found == pytest.approx(result, nan_ok=True)


GOOD = {"status": "completed", "config": {"seed": 0}, "scores": {"final": {"return_mean": 3}}}


@pytest.mark.parametrize("change", [
    {"config": {}}, {"config": 1}, {"scores": [1]}, {"scores": {"final": 3}},
    {"scores": {"final": {"return_mean": "3"}}}, {"progress": [1]}, {"wall_seconds": "long"}, {"git": "main"},
])  # fmt: skip
def test_a_record_whose_values_have_other_types_is_refused(change):
    assert records.parse_record(json.dumps(GOOD).encode()) == GOOD
    with pytest.raises(ValueError, match="not the record of a dqn_lab run"):
        records.parse_record(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize("text", [
    "[]", "{", '{"variants": [], "seeds": []}', '{"variants": {}, "seeds": [], "jobs": [{}]}',
    '{"variants": {}, "seeds": [], "jobs": [{"variant": 1, "directory": "a"}]}', "[" * 100_000,
])  # fmt: skip
def test_a_damaged_sweep_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=r"sweep\.json: damaged") as caught:
        records.read_sweep(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_directory_without_a_sweep_has_none(tmp_path):
    assert records.read_sweep(tmp_path) is None
    records.write_sweep(tmp_path, {"variants": {"a": []}, "seeds": [0], "jobs": []})
    assert records.read_sweep(tmp_path)["variants"] == {"a": []}


def test_the_primary_result_is_that_of_a_completed_run():
    assert records.final_return(GOOD) == 3.0
    assert records.final_return({**GOOD, "status": "failed"}) != records.final_return({**GOOD, "status": "failed"})


def test_a_record_is_unchanged_if_the_disk_is_full(tmp_path, monkeypatch):
    """Overwriting in place, the fallback on a full disk, fails too: the old content is restored."""
    records.write_record(tmp_path, {"status": "running"})
    before, write = (tmp_path / "run.json").read_bytes(), os.write

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dqn_lab.records.write_atomically", full)
    monkeypatch.setattr(os, "write", lambda number, text: write(number, text[:9]))
    with pytest.raises(OSError, match="No space left"):
        records.write_record(tmp_path, {"status": "completed", "more": list(range(100))})
    assert (tmp_path / "run.json").read_bytes() == before
    monkeypatch.undo()
    monkeypatch.setattr("dqn_lab.records.write_atomically", full)
    records.write_record(tmp_path, {"a": 1})
    assert json.loads((tmp_path / "run.json").read_bytes()) == {"a": 1}


def test_a_first_record_on_a_full_disk_raises_and_leaves_no_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dqn_lab._atomic._flush", full)
    with pytest.raises(OSError, match="No space left"):
        records.write_record(tmp_path, {"status": "running"})
    assert list(tmp_path.iterdir()) == []
