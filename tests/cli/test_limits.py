"""Impossible values are refused in one line, before anything is allocated or written."""

from __future__ import annotations

import pytest

RAMP = "optimizer.lr={start:1e-3,ende:0,duration:100,unit:steps}"


@pytest.mark.parametrize(("word", "message"), [
    ("train.num_updates=1e18", "train.num_updates=1e+18: must be less than or equal to 100000"),
    ("train.batch_size=1e12", "train.batch_size=1000000000000.0: must be less than or equal to 100000"),
    ("evaluation.num_episodes=1e15", "evaluation.num_episodes=1000000000000000.0: must be less than "),
    ("evaluation.final_num_episodes=1e15", "evaluation.final_num_episodes=1000000000000000.0: must be less"),
    ("optimizer.eps=0", "optimizer.eps=0: must be greater than 0"),
    ("network.hidden=[1e9,1e9]", "network.hidden=[1000000000, 1000000000]: training 1,000,000,006,000,000"),
    ("buffer.capacity=1e12", "buffer.capacity=1000000000000: needs 48,000.0 GB, this machine has "),
    (RAMP, "optimizer.lr.ende=0: no such key; did you mean end? choices: start, end, duration, unit"),
])  # fmt: skip
def test_impossible_values_are_refused_in_one_line(cli, tmp_path, word, message):
    outcome = cli("train", "logger=csv", word)
    assert outcome.code == 2
    assert any(line.startswith(f"error: {message}") for line in outcome.err.splitlines()), outcome.err
    assert not (tmp_path / "outputs").exists()


def test_the_workers_of_a_multirun_share_the_memory(cli, monkeypatch):
    monkeypatch.setattr("dqn_lab._memory.available", lambda: 60 * 10**6)
    words = ("train", "-m", "logger=csv", "buffer.capacity=1e6", "seed=0,1,2", "hydra/launcher=joblib")
    outcome = cli(*words, "hydra.launcher.n_jobs=2")
    assert outcome.code == 2
    assert "needs 0.0 GB per run, 0.1 GB for 2 at a time, this machine has 0.1 GB" in outcome.err
    assert "for 3 at a time" in cli(*words, "hydra.launcher.n_jobs=8").err
