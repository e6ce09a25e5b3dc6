"""If its environment or directory misbehaves, a run has one line, the right status, and no second writer."""

import os
import shutil
import sys
import time

import gymnasium
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from dqn_lab.build import build
from dqn_lab.cli._quiet import Quiet
from dqn_lab.interrupt import Interrupted
from dqn_lab.records import read_record
from dqn_lab.run import Run
from dqn_lab.schedule import Progress
from dqn_lab.train import Clock
from dqn_lab.types import TrainingError

SHORT = ("logger=csv", "episodes=null", "steps=300", "evaluation.interval=null",
         "evaluation.final_num_episodes=1")  # fmt: skip


class Misbehaving(CartPoleEnv):
    """CartPole that calls `act` at its 150th step."""

    act = staticmethod(lambda: None)
    steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps == 150:
            type(self).act()
        return super().step(action)


gymnasium.register("Misbehaving-v0", Misbehaving, max_episode_steps=60)


@pytest.fixture
def start(configure, tmp_path, monkeypatch):
    def begin(act):
        monkeypatch.setattr(Misbehaving, "act", staticmethod(act))
        config = configure(*SHORT)
        config["env"]["id"] = "Misbehaving-v0"
        return Run(build(config), tmp_path / "run", {})

    return begin


def test_an_environment_that_exits_fails_the_run(start, tmp_path):
    with pytest.raises(TrainingError, match=r"exit\(0\)"):
        start(lambda: sys.exit(0)).execute(Quiet())
    record = read_record(tmp_path / "run")
    assert record["status"] == "failed"
    assert "called exit(0)" in record["error"]


@pytest.mark.parametrize("end", ["return", "exit", "interrupt"])
def test_the_copy_of_a_process_that_an_environment_forks_writes_nothing(start, tmp_path, end):
    copies = []

    def fork():
        pid = os.fork()
        if pid:
            copies.append(pid)
            os.waitpid(pid, 0)  # until the copy has ended
        elif end == "exit":
            sys.exit(0)
        elif end == "interrupt":
            raise Interrupted(15, safe=True)

    record = start(fork).execute(Quiet())
    assert (record["status"], len(copies)) == ("completed", 1)
    assert read_record(tmp_path / "run") == record
    rows = (tmp_path / "run" / "episodes.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(number) for number in range(len(rows) - 1)]


def test_an_environment_that_changes_the_working_directory_changes_nothing(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start(lambda: os.chdir("/")).execute(Quiet())["status"] == "completed"


@pytest.mark.parametrize(
    "lose",
    [
        shutil.rmtree,
        lambda path: path.rename(path.with_name("elsewhere")),
        lambda path: (path.rename(path.with_name("elsewhere")), path.mkdir(), (path / ".lock").touch()),
    ],
    ids=["removed", "renamed", "replaced"],
)
def test_a_directory_that_goes_away_fails_the_run(start, tmp_path, lose):
    with pytest.raises(TrainingError, match=r"run: was removed or renamed during the run"):
        start(lambda: lose(tmp_path / "run")).execute(Quiet())
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_clock_set_back_does_not_stop_checkpoints(monkeypatch):
    clock = Clock(0.01)
    monkeypatch.setattr(time, "time", lambda: -1e9)
    time.sleep(0.02)
    assert clock.due(Progress(), Progress())
