"""Custom environments on the command line: supported observations, and the errors for invalid steps."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import gymnasium
import pytest

MODULE = '''
"""Environments of every kind: action 1 earns 1, an episode has ten steps."""
import os
import sys

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple


class Base(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (2,)), Discrete(2)

    def observe(self):
        return self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        return self.observe(), float(action), self.steps == 10, False, {}


class States(Base):
    observation_space = Discrete(9, start=1)

class Vector(Base):
    observation_space = MultiDiscrete([3, 4])

class Bits(Base):
    observation_space = MultiBinary(5)

class Named(Base):
    observation_space = Dict({"place": Box(-1, 1, (2,)), "room": Discrete(3)})

class Pair(Base):
    observation_space = Tuple([Discrete(3), Box(-1, 1, (2,))])

class Image(Base):
    observation_space = Box(0, 255, (12, 12, 3), np.uint8)

class Nan(Base):
    def observe(self):
        return np.full(2, np.nan if self.steps == 7 else 0.0, np.float32)

class Nothing(Base):
    def step(self, action):
        return self.observe(), None, False, False, {}

class Bare(Base):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32)

class Wide(Base):
    def observe(self):
        return np.zeros(2 + (self.steps > 2), np.float32)

class Endless(Base):
    def step(self, action):
        return self.observe(), 1.0, False, False, {}

class Exits(Base):
    def __init__(self):
        sys.exit(0)

class ExitsLater(Base):
    def step(self, action):
        sys.exit(0)

class Wanders(Base):
    def reset(self, **kwargs):
        os.chdir("/")
        return super().reset(**kwargs)

class WandersAtOnce(Base):
    def __init__(self):
        os.chdir("/")

class Noisy(Base):
    def step(self, action):
        print("a step")
        return super().step(action)


for name, kind in list(globals().items()):
    if isinstance(kind, type) and issubclass(kind, gymnasium.Env):
        gymnasium.register(f"{name}-v0", kind)
'''


@pytest.fixture
def train(cli, quick, tmp_path):
    """Trains on one of the environments above; returns the outcome."""
    (tmp_path / "my_envs_for_tests.py").write_text(MODULE, encoding="utf-8")
    before = set(gymnasium.registry)
    yield lambda kind, *words: cli(
        "train", "--config-dir", ".", f"env.id=my_envs_for_tests:{kind}-v0", *quick, "hydra.run.dir=run", *words
    )
    for name in set(gymnasium.registry) - before:
        del gymnasium.registry[name]
    sys.modules.pop("my_envs_for_tests", None)  # so that the next import registers them again


def record(root: Path):
    return json.loads((root / "run" / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("words", [
    ("States",), ("Vector",), ("Bits",), ("Named",), ("Pair",), ("Noisy",), ("States", "network=table"),
    ("Vector", "network=table"), ("Bits", "network=table"), ("Image", "network=minatar_cnn"),
], ids=" ".join)  # fmt: skip
def test_every_supported_observation_can_be_trained_on(train, tmp_path, words):
    outcome = train(*words, "train.learning_starts=16", "train.batch_size=16")
    assert outcome.code == 0, outcome.err
    found = record(tmp_path)
    assert (found["status"], found["progress"]["updates"] > 0) == ("completed", True)
    assert found["engine"]["name"] == ("fused" if words == (words[0],) else "torch")


@pytest.mark.parametrize(("kind", "message"), [
    ("Exits", "env.id=my_envs_for_tests:Exits-v0: making the environment called exit(0)"),
    ("Image", "network=mlp: observations are images, Box(0, 255, (12, 12, 3), uint8); network=nature_cnn and "),
])  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_before_a_run_begins(train, tmp_path, kind, message):
    outcome = train(kind)
    (line,) = outcome.err.splitlines()
    assert (outcome.code, line.startswith(f"error: {message}")) == (2, True), line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("kind", "message"), [
    ("Nan", "the environment returned the observation [nan nan] in step 7 of an episode; must be finite (episode 0, "),
    ("Nothing", "the environment returned the reward None in step 1 of an episode; must be a number (episode 0, "),
    ("Bare", "the environment returned info=np.float32(0.0) in reset; must return (obs, info)"),
    ("Wide", "the environment returned the observation [0. 0. 0.] in step 3 of an episode; its shape is (3,), must be"),
    ("ExitsLater", "the environment raised in step 1 of an episode: called exit(0) (raised in "),
])  # fmt: skip
def test_an_invalid_step_ends_the_run_with_a_line_that_says_why(train, tmp_path, kind, message):
    outcome = train(kind)
    (line,) = outcome.err.splitlines()
    assert (outcome.code, line.startswith(f"error: {message}")) == (1, True), line
    assert record(tmp_path)["status"] == "failed"
    assert record(tmp_path)["error"].startswith(message)


@pytest.mark.parametrize("kind", ["Wanders", "WandersAtOnce"])
def test_an_environment_may_change_the_working_directory(train, tmp_path, kind):
    assert train(kind).code == 0
    assert record(tmp_path)["status"] == "completed"
    assert Path.cwd() == tmp_path
    assert {"episodes", "evaluations", "final", "best"} <= {path.stem for path in (tmp_path / "run").rglob("*")}


def test_an_evaluation_that_does_not_end_is_cut_off(train, tmp_path):
    outcome = train(
        "Endless", "steps=200", "evaluation.interval=100", "evaluation.unit=steps", "evaluation.max_steps=50"
    )
    assert outcome.code == 0
    with (tmp_path / "run" / "evaluations.csv").open(newline="") as file:
        assert {row["return_max"] for row in csv.DictReader(file)} == {"50.0"}
    told = [line for line in outcome.err.splitlines() if "evaluation.max_steps" in line]
    assert len(told) == 1
    assert "after 50 steps an evaluation episode was cut off" in told[0]
