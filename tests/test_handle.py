"""`Run`: equal if the directories are, and shown whatever becomes of its files."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import dqn_lab

QUICK = {"logger": "csv", "display": "none", "episodes": 2, "evaluation.final_num_episodes": 1}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return dqn_lab.train(**QUICK, directory="run")


def test_two_runs_are_equal_if_their_directories_are(run):
    assert run == dqn_lab.load("run")
    assert len({run, dqn_lab.load(run)}) == 1
    assert run != "run"


def test_a_run_that_was_turned_into_text_is_named(run):
    with pytest.raises(dqn_lab.ConfigError, match=r"^directory: is a run that was turned into text; .*run\.directory$"):
        dqn_lab.load(str(run))


@pytest.mark.parametrize("damage", [shutil.rmtree, lambda path: (path / "run.json").write_text("{}")])
def test_a_run_that_cannot_be_read_is_shown_and_its_properties_say_why(run, damage):
    damage(Path("run"))
    assert repr(run) == "Run('run': cannot be read)"
    assert run._repr_html_().startswith("<div><code>Run(")
    for name in ("record", "status", "scores", "config"):
        with pytest.raises(dqn_lab.ConfigError, match="run"):
            getattr(run, name)


def test_a_policy_is_chosen_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = dqn_lab.train(**{**QUICK, "episodes": 12, "evaluation.keep_policies": True, "evaluation.interval": 6})
    kept = next(path.stem for path in (run.directory / "checkpoint").glob("step_*.safetensors"))
    values = {name: run.q_values([0.0] * 4, policy=name) for name in ("final", kept)}
    assert not np.array_equal(*values.values())
    assert all(run.policy([0.0] * 4, name) == values[name].argmax() for name in values)
    np.testing.assert_array_equal(run.q_values([0.0] * 4), values["final"])
    with pytest.raises(dqn_lab.ConfigError, match=r"^policy=step_7: .* has no such policy; .*choices: "):
        run.policy([0.0] * 4, "step_7")


def test_a_resumed_runs_new_policy_plays_through_an_old_handle(run):
    before = run.q_values([0.0] * 4)
    resumed = dqn_lab.resume(run, steps=400, episodes=None)
    assert not np.array_equal(run.q_values([0.0] * 4), before)
    np.testing.assert_array_equal(run.q_values([0.0] * 4), resumed.q_values([0.0] * 4))


def test_threads_share_a_policy(run):
    states = np.random.default_rng(0).normal(size=(400, 4))
    expected = [run.q_values(state) for state in states]
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(run.q_values, states)), expected)


def test_training_leaves_pytorchs_threads_and_the_module_path_as_they_were(run):
    before, path = torch.get_num_threads(), list(sys.path)
    torch.set_num_threads(2)
    try:
        dqn_lab.evaluate(dqn_lab.train(**QUICK, num_threads=1), episodes=1, trust=True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert sys.path == path


@pytest.mark.parametrize("name", ["my--out", "runs--quick-test", "--outer"])
def test_a_name_that_contains_a_flag_is_quoted_as_it_is(name):
    with pytest.raises(dqn_lab.ConfigError, match=f"^{name}: no such directory"):
        dqn_lab.load(name)


def test_what_reset_returns_is_not_an_observation(run):
    with pytest.raises(dqn_lab.ConfigError, match=r"is not an observation \(`reset` returns obs and info; pass obs\)$"):
        run.policy((np.zeros(4, np.float32), {}))
