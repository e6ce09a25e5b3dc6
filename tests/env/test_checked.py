"""Environments that break their contract are stopped at that step, in one line that says what and where."""

from __future__ import annotations

import logging
import math
import sqlite3
import time

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from dqn_lab.build import build
from dqn_lab.env import checked
from dqn_lab.env.checked import Checked, Limit, make_checked
from dqn_lab.schedule import NEVER
from dqn_lab.types import TrainingError

NOTHING = type("Nothing", (), {"__repr__": lambda self: "nothing"})()
VECTOR = Box(-np.inf, np.inf, (2,))


class Scripted(gymnasium.Env):
    """Returns the given obs and reward in step `at`, and valid ones in all other steps."""

    action_space = Discrete(2)

    def __init__(self, space=VECTOR, obs=None, reward=1.0, first=None, at=4):
        self.observation_space, self.obs, self.reward, self.first, self.at = space, obs, reward, first, at
        self.good = space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return (self.good if self.first is None else self.first), {}

    def step(self, action):
        self.steps += 1
        bad = self.steps == self.at
        obs = self.obs if bad and self.obs is not None else self.good
        return None if obs is NOTHING else obs, self.reward if bad else 1.0, False, False, {}


class Hanging(Scripted):
    """Takes a minute to close."""

    def close(self):
        time.sleep(60)


def play(env, num_steps=10):
    env.reset(seed=0)
    return [env.step(0) for _ in range(num_steps)]


@pytest.mark.parametrize(
    "reward", [math.nan, math.inf, -math.inf, None, "much", "1", b"1", 1e39, [1.0, 2.0], np.float64("nan")]
)
def test_a_reward_that_is_not_a_finite_number_is_refused_at_its_step(reward):
    with pytest.raises(TrainingError, match=r"^the environment returned the reward .* in step 4 of an episode; must"):
        play(Checked(Scripted(reward=reward)))


@pytest.mark.parametrize(("reward", "must_be"), [
    (np.array([1.0, 2.0]), "a number"), ([1.0], "a number"), (None, "a number"), ("1", "a number"),
    (math.nan, "finite"), (np.float32("inf"), "finite"),
])  # fmt: skip
def test_the_error_about_a_reward_says_what_it_must_be(reward, must_be):
    with pytest.raises(TrainingError, match=f"; must be {must_be}$"):
        play(Checked(Scripted(reward=reward)))


@pytest.mark.parametrize(("space", "obs", "why"), [
    (VECTOR, np.array([0, np.nan], np.float32), "must be finite"),
    (VECTOR, np.array([-np.inf, 0], np.float32), "must be finite"),
    (Box(0, 1, (2, 2)), np.full((2, 2), np.nan), "must be finite"),
    (Box(0, 1, (100,)), np.array([*range(99), np.inf], np.float32), "must be finite"),
    (VECTOR, np.array([-np.inf, np.inf], np.float32), "must be finite"),
    (VECTOR, NOTHING, "must be numbers"),
    (VECTOR, [0.0, None], "must be numbers"),
    (VECTOR, "ab", "must be numbers"),
    (VECTOR, [[1.0], [1.0, 2.0]], "inhomogeneous"),
    (VECTOR, np.zeros(2, complex), "must be numbers"),
    (VECTOR, np.zeros(3, np.float32), r"its shape is \(3,\), must be \(2,\)"),
    (VECTOR, np.zeros((1, 2), np.float32), r"its shape is \(1, 2\), must be \(2,\)"),
    (VECTOR, 0.5, r"its shape is \(\), must be \(2,\)"),
    (Box(0, 255, (2,), np.uint8), np.array([0.5, 1.0]), "its type is float64, must be uint8"),
    (Box(0, 255, (2,), np.uint8), np.array([0, 256]), "its type is int64, must be uint8"),
    (Discrete(5), 5, r"must be in Discrete\(5\)"), (Discrete(5, start=2), 1, r"must be in Discrete\(5, start=2\)"),
    (Discrete(5), 1.5, "its type is float64, must be int64"), (Discrete(5), np.array([1]), r"its shape is \(1,\)"),
    (MultiDiscrete([2, 3]), np.array([1, 3]), r"must be in MultiDiscrete"),
    (MultiBinary(2), np.array([True, False, True]), r"its shape is \(3,\)"),
], ids=str)  # fmt: skip
def test_an_observation_outside_its_space_is_refused_at_its_step(space, obs, why):
    begin = "^the environment returned the observation .* in step 4 of an episode; .*"
    with pytest.raises(TrainingError, match=begin + why) as caught:
        play(Checked(Scripted(space, obs)))
    assert "\n" not in str(caught.value)


def test_the_first_observation_of_an_episode_is_checked_too():
    with pytest.raises(TrainingError, match=r"^the environment returned the observation .* in reset; must be finite"):
        play(Checked(Scripted(first=np.array([np.nan, 0], np.float32))))


class Ending(Scripted):
    """Ends its first step with these flags."""

    def __init__(self, *flags):
        super().__init__()
        self.flags = flags

    def step(self, action):
        return self.good, 1.0, *self.flags, {}


@pytest.mark.parametrize(
    "flags", [(None, False), (False, None), ("False", False), (2, False), (False, [True]), ({}, 0)]
)
def test_a_flag_that_is_neither_true_nor_false_is_refused(flags):
    name = r"terminated|truncated"
    said = rf"^the environment returned ({name})=.* in step 1 of an episode; must be True or False$"
    with pytest.raises(TrainingError, match=said):
        play(Checked(Ending(*flags)))


@pytest.mark.parametrize("true", [True, np.True_, 1, np.int64(1), 1.0, np.array(True)])
def test_a_flag_may_be_any_true_or_false_number(true):
    ((_, _, terminated, truncated, _),) = play(Checked(Ending(true, np.False_)), 1)
    assert (terminated, truncated) == (True, False)


@pytest.mark.parametrize(("space", "obs"), [
    (VECTOR, np.array([3e38, 3e38], np.float32)), (Box(-np.inf, np.inf, (2,), np.float64), [1.7e308, 1.7e308]),
    (VECTOR, [1, 2]), (VECTOR, np.array([1.0, 2.0])), (VECTOR, np.array([True, False])), (VECTOR, (0.5, np.float64(2))),
    (Box(0, 255, (2,), np.uint8), [3, 255]), (Box(0, 255, (2,), np.uint8), np.array([3.0, 255.0])),
    (Discrete(5, start=2), 6), (Discrete(5), np.int32(4)), (Discrete(5), np.array(4)), (Discrete(5), 4.0),
    (MultiDiscrete([2, 3], start=[0, 5]), [1, 7]), (MultiBinary(2), [True, False]), (Box(0, 1, ()), 0.5),
], ids=str)  # fmt: skip
def test_values_that_convert_to_the_space_are_accepted(space, obs):
    *_, (seen, reward, terminated, truncated, _) = play(Checked(Scripted(space, obs)), 4)
    np.testing.assert_array_equal(seen, np.array(obs).astype(space.dtype))
    assert seen.dtype == space.dtype  # a network that sees pixels as uint8 divides them by 255
    assert (seen.shape, reward, terminated, truncated) == (space.shape or (), 1.0, False, False)


def test_returned_values_have_plain_types_and_are_copies():
    env = Checked(Scripted(reward=np.array(2)))
    rows = play(env)
    assert {tuple(map(type, row[1:4])) for row in rows} == {(float, bool, bool)}
    rows[0][0][:] = 77
    assert not (rows[1][0] == 77).any()
    assert not (env.unwrapped.good == 77).any()


class Raising(Scripted):
    """Raises the given error in the given method."""

    def __init__(self, where, error):
        super().__init__()
        self.where, self.error = where, error
        self.raise_in("constructor")

    def raise_in(self, where):
        if where == self.where:
            raise self.error

    def reset(self, **_):
        self.raise_in("reset")
        return super().reset()

    def step(self, action):
        self.raise_in("step")
        return super().step(action)

    def close(self):
        self.raise_in("close")


@pytest.mark.parametrize(("error", "text"), [
    (RuntimeError("out\nof track"), "RuntimeError: out of track"), (SystemExit(0), r"called exit\(0\)"),
    (AssertionError(), "AssertionError"),
], ids=repr)  # fmt: skip
@pytest.mark.parametrize(("where", "said"), [
    ("constructor", "its constructor"), ("reset", "reset"), ("step", "step 1 of an episode"),
])  # fmt: skip
def test_an_environment_that_raises_or_exits_is_named(where, said, error, text):
    place = r" \(raised in test_checked.py, line \d+\)"
    with pytest.raises(TrainingError, match=rf"^the environment raised in {said}: {text}{place}"):
        play(make_checked(lambda: Raising(where, error)))


class Short(Scripted):
    """Returns the shorter tuples of older Gym versions."""

    def reset(self, **_):
        return super().reset()[0]

    def step(self, action):
        return super().step(action)[:4]


def test_a_result_with_too_few_parts_is_refused_with_the_expected_tuple():
    env = make_checked(lambda: Short(Box(-1, 1, (3,))))
    with pytest.raises(TrainingError, match=r"in reset: .*; must return obs, info$"):
        env.reset()
    with pytest.raises(TrainingError, match=r"in step 1 .*; must return obs, reward, terminated, truncated, info$"):
        env.step(0)


def test_a_keyboard_interrupt_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        play(make_checked(lambda: Raising("step", KeyboardInterrupt())))


@pytest.mark.parametrize("error", [RuntimeError("busy"), SystemExit(0)], ids=repr)
def test_a_failure_to_close_is_a_warning(error, caplog):
    make_checked(lambda: Raising("close", error)).close()
    (record,) = caplog.records
    assert record.getMessage().startswith("the environment raised in close: ")


class Connected(Scripted):
    """Has a connection that only its own thread can close."""

    def __init__(self):
        super().__init__()
        self.connection = sqlite3.connect(":memory:")

    def close(self):
        self.connection.close()


def test_an_environment_is_closed_in_its_own_thread_if_it_has_to_be(caplog):
    env = Connected()
    Checked(env).close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        env.connection.execute("select 1")
    assert not caplog.records


def test_closing_does_not_wait_for_ever(monkeypatch, caplog):
    monkeypatch.setattr(checked, "PATIENCE", 0.05)
    for _ in range(3):
        Checked(Hanging()).close()
    (record,) = caplog.records
    assert "close did not return" in record.getMessage()


@pytest.mark.parametrize(("first", "count"), [(0.5, 0), (1 + 1e-6, 0), (5.0, 1)])
def test_a_first_observation_outside_its_bounds_is_one_warning(caplog, monkeypatch, first, count):
    """Rounding, as by the wrapper that rescales, is allowed."""
    monkeypatch.setattr(checked, "_outside", set())
    for _ in range(2):
        env = Checked(Scripted(Box(-1, 1, (2,)), first=np.array([0, first], np.float32)))
        env.reset()
        env.reset()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == count
    assert all("[0. 5.] in reset, which is outside its observation space, Box(-1.0" in each for each in said)


@pytest.mark.parametrize("modes", [(), ("rgb_array",)])
def test_a_render_mode_is_passed_on_if_there_is_one(modes):
    asked = []
    make_checked(lambda *given: asked.append(given) or Scripted(), None, *modes)
    assert asked == [modes]


def test_an_endless_evaluation_episode_is_truncated_with_one_warning(caplog):
    limit = Limit(7)
    for _ in range(3):
        rows = play(Checked(Scripted(), limit), 7)
        assert [row[3] for row in rows] == [False] * 6 + [True]
    assert [record.getMessage() for record in caplog.records] == [
        "after 7 steps an evaluation episode was cut off and its return so far counts; evaluation.max_steps=7"
    ]


def test_a_long_evaluation_episode_is_reported_while_it_runs(caplog, monkeypatch):
    monkeypatch.setattr(checked, "LONG", 3)
    play(Checked(Scripted(), Limit(None)), 20)
    (record,) = caplog.records
    assert record.getMessage() == "after 3 steps an evaluation episode is still running; evaluation.max_steps=null"
    assert record.levelno == logging.WARNING


@pytest.fixture
def experiment(configure):
    """Builds an experiment on a scripted environment."""
    gymnasium.register("Scripted-v0", Scripted, max_episode_steps=50)

    def make(*overrides, **kwargs):
        config = configure("logger=csv", "evaluation.num_episodes=2", *overrides)
        config["env"] |= {"id": "Scripted-v0", "kwargs": kwargs}
        return build(config)

    yield make
    del gymnasium.registry["Scripted-v0"]


def test_in_training_the_error_says_which_step_of_the_run_it_was(experiment):
    rollout = experiment(reward=math.nan, at=40).rollout
    with pytest.raises(
        TrainingError, match=r"^the environment returned the reward nan in step 40 .*\(episode 0, step 40 "
    ):
        rollout.advance(NEVER)


def test_an_invalid_observation_is_not_stored(experiment):
    rollout = experiment(obs=np.array([np.nan, 0], np.float32), at=40).rollout
    with pytest.raises(TrainingError, match=r"must be finite \(episode 0, step 40 of the run\)"):
        rollout.advance(NEVER)
    assert len(rollout.agent.buffer) == 39


def test_evaluation_is_checked_and_limited_too(experiment):
    made = experiment("evaluation.max_steps=9", reward=math.nan, at=7).make_env()
    with pytest.raises(TrainingError, match=r"the reward nan in step 7 of an episode"):
        play(made)
    *_, last = play(experiment("evaluation.max_steps=9").make_env(), 9)
    assert last[3] is True
