"""A run's directory: what a completed run writes, and what an incomplete one keeps."""

import csv
import errno
import json
import math

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from dqn_lab.build import build
from dqn_lab.checkpoint import load_policy
from dqn_lab.cli._quiet import Quiet
from dqn_lab.records import read_record
from dqn_lab.run import Run
from dqn_lab.types import ConfigError, TrainingError

SHORT = ("logger=csv", "episodes=8", "evaluation.interval=3", "evaluation.num_episodes=2",
         "evaluation.final_num_episodes=3")  # fmt: skip


@pytest.fixture
def start(configure, tmp_path):
    """Prepares a short run in a new directory."""

    def prepare(*overrides):
        return Run(build(configure(*SHORT, *overrides)), tmp_path / "run", {"command": "test"})

    return prepare


def table(directory, name):
    with (directory / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_completed_run_leaves_all_documented_files(start, tmp_path):
    record = start().execute(Quiet())
    directory = tmp_path / "run"
    assert {path.name for path in directory.iterdir()} == {
        "episodes.csv", "evaluations.csv", "timing.csv", "run.json", "checkpoint", ".lock",
    }  # fmt: skip
    step = f"{record['progress']['step']:012d}"
    assert {path.name for path in (directory / "checkpoint").iterdir()} == {
        "final.safetensors", "best.safetensors", f"{step}.safetensors", f"replay-{step}.safetensors",
    }  # fmt: skip
    assert record == read_record(directory)
    assert record["status"] == "completed"
    assert record["command"] == "test"
    assert record["engine"] == {
        "name": "fused", "reason": "the fastest that supports the composition",
        "rejected": {"compiled": "slower than fused", "torch": "slower than fused"},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["torch", "fused"])
def test_an_engine_chosen_by_name_is_recorded_as_asked_for(start, name):
    assert start(f"engine={name}").execute(Quiet())["engine"] == {"name": name, "reason": "asked for", "rejected": {}}


def test_episode_rows_count_from_zero_and_add_up(start, tmp_path):
    record = start().execute(Quiet())
    rows = table(tmp_path / "run", "episodes")
    assert list(rows[0]) == ["episode", "step", "return", "length", "epsilon", "updates", "loss", "q_value"]
    assert [int(row["episode"]) for row in rows] == list(range(8))
    step = 0
    for row in rows:
        step += int(row["length"])
        assert int(row["step"]) == step
        assert float(row["return"]) == int(row["length"])
        assert float(row["epsilon"]) == pytest.approx(0.995 ** int(row["episode"]))
        assert int(row["updates"]) == max(0, step - 63)
        assert (row["loss"] == "") == (row["q_value"] == "") == (int(row["updates"]) == 0)
    assert record["progress"] == {"step": step, "episode": 8, "updates": step - 63}


def test_evaluations_happen_at_their_interval_and_at_the_end(start, tmp_path):
    record = start().execute(Quiet())
    rows = table(tmp_path / "run", "evaluations")
    assert [(int(row["episode"]), int(row["episodes"])) for row in rows] == [(3, 2), (6, 2), (8, 3)]
    assert record["scores"]["final"]["return_mean"] == float(rows[-1]["return_mean"])
    best = max(reversed(rows), key=lambda row: float(row["return_mean"]))  # the final policy is a candidate
    selected = record["scores"]["selected"]
    assert (selected["step"], selected["episode"]) == (int(best["step"]), int(best["episode"]))


@pytest.mark.parametrize(("scores", "selected"), [
    ([5, 9, 7], 1), ([5, 6, 7], 2), ([5, 7, 7], 2), ([8, 7, 7.5], 0),
    ([math.nan, 7, 5], 1), ([math.nan, math.nan, math.nan], 2)])  # fmt: skip
def test_the_final_policy_is_a_candidate_for_the_selected_one(start, tmp_path, monkeypatch, scores, selected):
    """The scores are those of two interim evaluations and the final one; the final policy wins ties."""
    run, returned = start(), iter([*scores, 3])

    def evaluate(name, num_episodes):
        return {"step": run.progress.step, "return_mean": next(returned)}

    monkeypatch.setattr(run.scoring, "_evaluate", evaluate)
    monkeypatch.setattr(run.scoring, "tell", lambda row, label: None)
    steps, episodes, original = [], [], run.evaluate

    def evaluated(progress):
        steps.append(progress.step)
        episodes.append(progress.episode)
        original(progress)

    monkeypatch.setattr(run, "evaluate", evaluated)
    record = run.execute(Quiet())
    steps.append(record["progress"]["step"])
    episodes.append(record["progress"]["episode"])
    assert record["scores"]["selected"] == {"step": steps[selected], "episode": episodes[selected], "return_mean": 3}
    fresh = build(run.experiment.config).agent.engine.online
    assert load_policy(tmp_path / "run" / "checkpoint" / "best.safetensors", fresh)["step"] == steps[selected]


def test_the_saved_final_policy_is_the_one_that_was_trained(start, tmp_path, configure):
    run = start()
    run.execute(Quiet())
    fresh = build(configure("seed=5")).agent.engine.online
    about = load_policy(tmp_path / "run" / "checkpoint" / "final.safetensors", fresh)
    assert about["episode"] == 8
    for mine, theirs in zip(fresh.parameters(), run.experiment.agent.engine.online.parameters(), strict=True):
        assert mine.equal(theirs)


def test_without_evaluations_the_best_policy_is_the_final_one(start, tmp_path, configure):
    start("evaluation.interval=null").execute(Quiet())
    final, best = (build(configure(f"seed={seed}")).agent.engine.online for seed in (5, 6))
    for name, network in (("final", final), ("best", best)):
        load_policy(tmp_path / "run" / "checkpoint" / f"{name}.safetensors", network)
    assert all(one.equal(other) for one, other in zip(final.parameters(), best.parameters(), strict=True))


def test_a_directory_that_holds_a_run_is_left_alone(start, tmp_path):
    start().execute(Quiet())
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="holds a run already"):
        start()
    assert (tmp_path / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize("lr", ["1e6", "1e30"])
def test_a_loss_that_is_not_finite_fails_the_run_and_keeps_what_was_logged(start, tmp_path, lr):
    with pytest.raises(Exception, match="the loss became"):
        start("optimizer=sgd", f"optimizer.lr={lr}").execute(Quiet())
    record = read_record(tmp_path / "run")
    assert record["status"] == "failed"
    assert "optimizer.lr" in record["error"]
    assert f"episode {record['progress']['episode']}" in record["error"]
    assert len(table(tmp_path / "run", "episodes")) == record["progress"]["episode"]


class InterruptAt(Quiet):
    def __init__(self, step, error=KeyboardInterrupt):
        self.at, self.error = step, error

    def stride(self, stride):
        if stride.after.step >= self.at:
            raise self.error


def test_an_interrupted_run_keeps_its_rows_and_its_policy(start, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        start().execute(InterruptAt(100))
    record = read_record(tmp_path / "run")
    assert record["status"] == "interrupted"
    assert record["progress"]["step"] >= 100
    assert len(table(tmp_path / "run", "episodes")) == record["progress"]["episode"]
    assert (tmp_path / "run" / "checkpoint" / "final.safetensors").is_file()


def test_a_full_disk_fails_the_run_with_its_reason(start, tmp_path):
    with pytest.raises(OSError, match="No space left"):
        start().execute(InterruptAt(100, OSError(errno.ENOSPC, "No space left on device")))
    record = read_record(tmp_path / "run")
    assert record["status"] == "failed"
    assert record["error"].startswith("OSError: [Errno 28] No space left on device")


def test_an_error_keeps_its_own_cause(start):
    """An exception that is its own cause would make tools that follow the causes loop."""
    why = OSError("no network")
    error = ValueError("no server")
    error.__cause__ = why
    with pytest.raises(ValueError, match="no server") as caught:
        start().execute(InterruptAt(100, error))
    assert (caught.value, caught.value.__cause__, why.__cause__) == (error, why, None)


@pytest.mark.parametrize("code", [3, None, "bye"])
def test_code_that_exits_fails_the_run(start, tmp_path, code):
    with pytest.raises(TrainingError, match=rf"called exit\({code}\)") as caught:
        start().execute(InterruptAt(100, SystemExit(code)))
    assert isinstance(caught.value.__cause__, SystemExit)
    assert read_record(tmp_path / "run")["error"] == str(caught.value)


class Speaking:
    """A component that adds a column."""

    columns = ("fill",)

    def __init__(self, name="fill"):
        self.name = name

    def report(self, progress):
        return {self.name: progress.step / 2}


def test_a_component_may_add_columns_to_every_row(start, tmp_path):
    run = start()
    run.experiment.rollout.reporters.append(Speaking())
    run.experiment.columns["episodes"] += ("fill",)
    run.execute(Quiet())
    assert all(float(row["fill"]) == int(row["step"]) / 2 for row in table(tmp_path / "run", "episodes"))


def test_a_column_that_was_not_declared_raises(start):
    run = start()
    run.experiment.rollout.reporters.append(Speaking("full"))
    with pytest.raises(ValueError, match="no column full"):
        run.execute(Quiet())


def test_the_record_holds_no_number_that_json_does_not_have(start, tmp_path):
    run = start()
    run.record["odd"] = {"values": [math.nan, math.inf, 1.5]}
    run.execute(Quiet())
    text = (tmp_path / "run" / "run.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["odd"] == {"values": [None, None, 1.5]}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"status": "running"}'])
def test_a_damaged_record_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run\.json: (damaged|empty|not the record)"):
        read_record(tmp_path)


class Unseeded(CartPoleEnv):
    """CartPole with rewards that do not follow the seed."""

    def step(self, action):
        obs, _, terminated, truncated, info = super().step(action)
        return obs, float(np.random.default_rng().random()), terminated, truncated, info


def test_an_environment_that_cannot_be_saved_causes_warnings_only(start, tmp_path, monkeypatch, caplog):
    """Checkpoints of the first episode are written, because its seed may repeat that one."""
    monkeypatch.setitem(gymnasium.registry, "Unseeded-v0", gymnasium.envs.registration.EnvSpec("Unseeded-v0", Unseeded))
    record = start("env.id=Unseeded-v0", "checkpoint.interval=1", "checkpoint.unit=episodes").execute(Quiet())
    assert (record["status"], record["progress"]["episode"]) == ("completed", 8)
    warnings = [text for text in caplog.messages if text.startswith("no checkpoint at step")]
    assert len(warnings) == 7
    assert all(": Unseeded: cannot be saved, because its episode came out differently" in text for text in warnings)
    assert len([*(tmp_path / "run" / "checkpoint").glob("0*.safetensors")]) == 1
