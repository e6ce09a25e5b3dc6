"""Grids: where `train -m` runs its jobs, what it runs, and how `resume` goes on."""

import json
import os
import shutil
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from dqn_lab import interrupt
from dqn_lab.cli import _regrid
from dqn_lab.cli.sweep import launch

NOISY = "network.noisy=true, exploration=exponential: both explore; exploration=none leaves it to the noise"


@pytest.fixture
def stop(monkeypatch):
    """Returns a function that interrupts commands as their job of this number begins, counted over all of them."""
    job, begun, last = launch.job, [], []

    def stopped(config, num_jobs):
        begun.append(config)
        if len(begun) in last:
            raise interrupt.Interrupted(2)
        return job(config, num_jobs)

    monkeypatch.setattr(launch, "job", stopped)
    return last.append


@pytest.fixture
def option(tmp_path):
    """Returns the file of an option in a user's directory."""
    path = tmp_path / "lab" / "network" / "small.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("defaults: [mlp24]\nhidden: [4]\n")
    return path


def rows(name):
    return {path.parent.name: path.read_bytes() for path in Path(name).glob("*/episodes.csv")}


def test_a_grid_runs_what_was_checked_even_if_an_options_file_changes_meanwhile(cli, quick, option, monkeypatch):
    def edited(config, num_jobs):
        option.write_text("defaults: [mlp24]\nhidden: [8]\n")
        return job(config, num_jobs)

    job = launch.job
    monkeypatch.setattr(launch, "job", edited)
    words = ("--config-dir", "lab", "network=small", "target.interval=1,10", "seed=0,1", "hydra.sweep.dir=grid")
    assert cli("train", "-m", *words, *quick).code == 0
    listed = {row["directory"] for row in json.loads(Path("grid/sweep.json").read_text())["jobs"]}
    records = {path.parent.name: json.loads(path.read_text()) for path in Path("grid").glob("*/run.json")}
    assert records.keys() == listed
    assert [record["config"]["network"]["hidden"] for record in records.values()] == [[4]] * 4


@pytest.mark.parametrize(("directory", "made"), [("grid/${env.id}", "Acrobot-v1"), ("grid/${seed}", "3")])
def test_a_grids_directory_may_follow_its_first_jobs_values(cli, quick, directory, made):
    words = ("env=acrobot", "env.max_episode_steps=20", "seed=3,4", f"hydra.sweep.dir={directory}")
    outcome = cli("train", "-m", *words, *quick)
    assert outcome.code == 0
    assert f"\nfiles     grid/{made}\n" in outcome.out
    assert [path.name for path in Path("grid").iterdir()] == [made]
    assert len(list(Path("grid", made).glob("*/run.json"))) == 2
    assert f"/grid/{made}\n" in Path("grid", made, "multirun.yaml").read_text()


def test_two_grids_started_in_the_same_second_get_their_own_directories(cli, quick, monkeypatch):
    monkeypatch.setattr("hydra.core.utils.datetime", SimpleNamespace(now=lambda: datetime(2030, 1, 2, 3, 4, 5)))
    for value in ("0.9", "0.9", "0.8"):
        outcome = cli("train", "-m", "seed=0,1", f"discount={value}", *quick)
        assert outcome.code == 0
    grids = {path.name: len(list(path.glob("*/run.json"))) for path in Path("outputs/sweeps").iterdir()}
    assert grids == {f"2030-01-02_03-04-05{number}": 2 for number in ("", "_2", "_3")}
    assert outcome.out.endswith("python -m dqn_lab report outputs/sweeps/2030-01-02_03-04-05_3\n")


def test_a_grid_may_be_interrupted_again_and_again(cli, quick, stop):
    words = ("train", "-m", "target.interval=1,10", "seed=0,1", *quick)
    cli(*words, "hydra.sweep.dir=whole")
    stop(4 + 2)
    assert cli(*words, "hydra.sweep.dir=grid").code == 130
    stop(4 + 2 + 2)
    again = cli("resume", "grid")
    assert again.code == 130
    assert "; 2 of 4 jobs never began: target.interval=10 seed=0, target.interval=10 seed=1\n" in again.err
    assert again.err.endswith("next      python -m dqn_lab resume grid\n")
    assert cli("resume", "grid").out.startswith("2 of 4 jobs to run, 2 completed already\n")
    assert rows("grid") == rows("whole")


def test_a_run_that_was_interrupted_continues_and_one_that_failed_starts_over(cli, quick, monkeypatch):
    words = ("train", "-m", "target.interval=1,10", "seed=0,1", *quick)
    cli(*words, "hydra.sweep.dir=whole")
    cli(*words, "hydra.sweep.dir=grid")
    one, two, *_ = sorted(Path("grid").glob("*/run.json"))
    record = json.loads(one.read_text())
    one.write_text(json.dumps({**record, "status": "interrupted"}))
    two.write_text(json.dumps({**json.loads(two.read_text()), "status": "failed"}))
    outcome = cli("resume", "grid")
    said = "2 of 4 jobs to run, 2 completed already, 1 resumed, 1 again; their earlier attempts are kept as *.attempt1"
    assert outcome.out.startswith(said)
    assert outcome.code == 0
    assert {path.name for path in Path("grid").glob("*.attempt1")} == {f"{two.parent.name}.attempt1"}
    assert "resumed" in json.loads(one.read_text())
    shutil.rmtree(Path("grid", f"{two.parent.name}.attempt1"))
    assert rows("grid") == rows("whole")


def test_a_grid_whose_options_have_changed_is_not_resumed(cli, quick, stop, option):
    stop(2)
    words = ("network=small", "target.interval=1,10", "seed=0,1", "hydra.sweep.dir=grid")
    cli("train", "-m", "--config-dir", "lab", *words, *quick)
    option.write_text("defaults: [mlp24]\nhidden: [8]\n")
    before = set(Path("grid").rglob("*"))
    outcome = cli("resume", "grid", "--trust")
    why = "its options have changed since the grid began; change them back, or start a new grid"
    assert (outcome.code, outcome.problems) == (2, [f"error: every job: {why}"])
    assert set(Path("grid").rglob("*")) == before
    option.write_text("defaults: [mlp24]\nhidden: [4]\n")
    assert cli("resume", "grid", "--trust").code == 0
    configs = [json.loads(path.read_text())["config"] for path in Path("grid").glob("*/run.json")]
    assert [config["network"]["hidden"] for config in configs] == [[4]] * 4


def test_a_resumed_grid_prints_a_warning_once_and_adds_its_directory_once(cli, quick, stop, option, monkeypatch):
    job, paths = launch.job, []

    def followed(config, num_jobs):
        paths.append(os.environ["PYTHONPATH"])
        return job(config, num_jobs)

    stop(1)
    option.write_text("defaults: [mlp24]\nnoisy: true\n")
    words = ("network=small", "target.interval=1,10", "seed=0,1", "hydra.sweep.dir=grid")
    cli("train", "-m", "--config-dir", "lab", *words, *quick)
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setattr(launch, "job", followed)
    outcome = cli("resume", "grid", "--trust")
    assert (outcome.code, outcome.err) == (0, f"warning: {NOISY}\n")
    assert paths == [str(option.parents[1])] * 4


def test_a_resumed_grid_uses_its_launcher(cli, quick, monkeypatch):
    cli("train", "-m", "target.interval=1,10", "seed=0", "hydra.sweep.dir=grid", *quick)
    before, used = rows("grid"), []
    shutil.rmtree(Path("grid", next(iter(before))))
    content = json.loads(Path("grid/sweep.json").read_text())
    content["base"] += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    Path("grid/sweep.json").write_text(json.dumps(content))
    begin = _regrid._worker.begin_workers
    monkeypatch.setattr(_regrid._worker, "begin_workers", lambda name: used.append(name) or begin(name))
    assert cli("resume", "grid").code == 0
    assert [name.rpartition(".")[2] for name in used] == ["JoblibLauncher"]
    assert rows("grid") == before


def test_a_recorded_setting_of_a_launcher_that_may_run_code_needs_trust(cli, quick):
    cli("train", "-m", "target.interval=1,10", "seed=0", "hydra.sweep.dir=grid", *quick)
    content = json.loads(Path("grid/sweep.json").read_text())
    content["base"] += ["hydra/launcher=slurm", "hydra.launcher.setup=[id]"]
    Path("grid/sweep.json").write_text(json.dumps(content))
    words = "hydra/launcher=slurm hydra.launcher.setup=[id]"
    said = f"{words}: may run code from outside dqn_lab; if you trust it, add --trust"
    assert cli("resume", "grid").problems == [f"error: {said}"]


def test_a_grid_of_seeds_is_resumed_as_a_whole(cli, quick):
    cli("train", "-m", "seed=0,1", *quick, "hydra.sweep.dir=grid")
    shutil.rmtree(next(Path("grid").glob("seed=1*")))
    outcome = cli("resume", "grid")
    assert outcome.code == 0, outcome.err
    assert "1 of 2 jobs to run, 1 completed already" in outcome.out
    assert "2 of 2 jobs completed" in outcome.out


def test_a_run_does_not_take_the_place_of_a_grid(cli, quick):
    cli("train", "-m", "seed=0,1", *quick, "hydra.sweep.dir=grid")
    before = sorted(Path("grid").rglob("*"))
    outcome = cli("train", *quick, "hydra.run.dir=grid")
    assert outcome.code == 2
    assert outcome.err.startswith("error: grid: holds other runs, such as seed=")
    assert sorted(Path("grid").rglob("*")) == before
