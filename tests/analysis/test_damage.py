"""Damaged records and tables are left out with one line: no traceback, no hang."""

import json
import os
import warnings

import pytest

from dqn_lab.analysis import SkippedRuns, load_configs, load_runs, read_sweep
from dqn_lab.analysis._errors import AnalysisError

DEEP = 100_000


def change(directory, **parts):
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps(record | parts))


def config(directory, **parts):
    record = json.loads((directory / "run.json").read_text())
    record["config"] |= parts
    (directory / "run.json").write_text(json.dumps(record))


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def replace(path, make):
    path.unlink()
    make(path)


RECORDS = {
    "not UTF-8": lambda run: (run / "run.json").write_bytes(b'{"status": "\xff\xfe"}'),
    "half of a surrogate pair": lambda run: change(run, command="\ud800"),
    "zeros": lambda run: (run / "run.json").write_bytes(b"\0" * 500),
    "deep beyond the parser": lambda run: (run / "run.json").write_text('{"a":' * DEEP + "1" + "}" * DEEP),
    "deep": lambda run: config(run, env=nested(200)),
    "a pipe": lambda run: replace(run / "run.json", os.mkfifo),
    "without an end": lambda run: replace(run / "run.json", lambda path: path.symlink_to("/dev/zero")),
    "a status that is a list": lambda run: change(run, status=["completed"]),
    "a commit that is a list": lambda run: change(run, git={"commit": ["a"]}),
    "a step that is text": lambda run: change(run, progress={"step": "many"}),
    "a step beyond 64 bits": lambda run: change(run, progress={"step": 10**30}),
    "a return beyond a float": lambda run: change(run, scores={"final": {"return_mean": 10**400}}),
    "a seed that is true": lambda run: config(run, seed=True),
    "a negative seed": lambda run: config(run, seed=-1),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_a_damaged_record_is_left_out(make_run, tmp_path, damage):
    make_run("grid/good")
    RECORDS[damage](make_run("grid/bad", seed=1))
    with pytest.warns(SkippedRuns, match=r"left out a run: .*bad: run\.json is "):
        assert load_configs(tmp_path)["run"].tolist() == ["good"]


@pytest.mark.parametrize("parts", [
    {"discount": 10**400}, {"discount": float("inf")}, {"discount": float("nan")}, {"discount": "\x00\x1b[31m"},
    {"env": None}, {"env": []}, {"env": "CartPole"}, {"env": {"id": "CartPole-v1", "return_bounds": "wide"}},
    {"target": 10**30}, {"variant": "x", "run": "y", "status": 3}, {"seed": 2**70},
])  # fmt: skip
def test_a_configuration_may_hold_anything(make_run, tmp_path, parts):
    make_run("grid/good")
    config(make_run("grid/odd", seed=1), **parts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_configs(tmp_path)["run"].tolist() == ["good", "odd"]
        assert set(load_runs(tmp_path, table="evaluations")["run"]) == {"good", "odd"}


SWEEP = {"variants": {"a": ["x=1"]}, "seeds": [0], "jobs": [{"variant": "a", "directory": "r", "seed": 0, "hash": "0"}]}


@pytest.mark.parametrize("part", [
    {"variants": {"a": None}}, {"variants": {"a": [1]}}, {"variants": ["a"]}, {"seeds": 3}, {"seeds": ["x"]},
    {"jobs": {}}, {"jobs": [None]}, {"jobs": [{"variant": [], "directory": "r"}]}, {"name": 1}, {"question": ["?"]},
    {"control": 1}, {"metric": []}, {"command": {}},
])  # fmt: skip
def test_a_sweep_of_another_shape_is_damaged(make_run, tmp_path, part):
    make_run("sweep/r")
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(SWEEP | part))
    with pytest.raises(AnalysisError, match=r"sweep\.json: damaged: "):
        read_sweep(tmp_path / "sweep")
    with pytest.warns(SkippedRuns, match="its runs are read without it"):
        assert load_configs(tmp_path)["run"].tolist() == ["r"]


def write(text):
    return lambda path: path.write_bytes(text)


TABLES = {
    "has the column step twice": write(b"step,episode,return_mean,step\n1,0,2,3\n"),
    "is not UTF-8": write(b"step,episode,return_mean,\xff\n1,0,2,3\n"),
    "is not a regular file": lambda path: replace(path, os.mkfifo),
    "the column step contains something other than a number of steps": write(b"step,episode,return_mean\ninf,0,2\n"),
    "the column return_mean contains something other than numbers": write(b"step,episode,return_mean\n1,0,x\n"),
    "a row is malformed": write(b"step,episode,return_mean\n1,0\n"),
}


@pytest.mark.parametrize("reason", TABLES)
def test_a_damaged_table_is_left_out(make_run, tmp_path, reason):
    make_run("grid/good")
    TABLES[reason](make_run("grid/bad", seed=1) / "evaluations.csv")
    with pytest.warns(SkippedRuns, match=rf"bad: evaluations\.csv: {reason}"):
        assert set(load_runs(tmp_path, table="evaluations")["run"]) == {"good"}


def test_numbers_beyond_64_bits_in_a_table_are_numbers(make_run, tmp_path):
    path = make_run("grid/a") / "evaluations.csv"
    path.write_text(f"step,episode,return_mean\n1,0,{10**30}\n2,1,nan\n")
    assert load_runs(tmp_path, table="evaluations")["return_mean"].tolist()[0] == pytest.approx(1e30)
