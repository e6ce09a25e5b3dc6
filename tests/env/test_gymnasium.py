from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from dqn_lab.env.gymnasium import Actions, Gymnasium
from dqn_lab.types import TrainingError

SPACES = {
    "box": Box(-1, 1, (2,)),
    "states": Discrete(5),
    "actions": Discrete(2),
    "actions from 1": Discrete(2, start=1),
    "pair": Tuple([Discrete(2), Discrete(3, start=1)]),
    "mixed pair": Tuple([Discrete(2), Box(-1, 1, (2,))]),
    "named states": Dict({"b": Discrete(2), "a": Discrete(3, start=1)}),
    "mixed": Dict({"place": Dict({"at": Box(-1, 1, (2,)), "room": Discrete(3, start=1)}), "doors": MultiBinary(2)}),
    "words": Text(3),
    "words within": Dict({"word": Text(3)}),
    "image within": Dict({"seen": Box(0, 255, (8, 8, 3), np.uint8), "room": Discrete(3)}),
    "nothing": Box(0, 1, (0,)),
    "nothing within": Dict({}),
}


class Endless(gymnasium.Env):
    """Terminates only in step `terminates_at`."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, actions="actions", observations="box", terminates_at=None, render_mode=None):
        if actions == "exit":
            sys.exit(0)
        if actions == "raise":
            raise OSError("no\ntrack")
        self.action_space, self.observation_space = SPACES[actions], SPACES[observations]
        self.terminates_at, self.render_mode = terminates_at, render_mode

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.count += 1
        return np.zeros(2, np.float32), 1.0, self.count == self.terminates_at, False, {}


@pytest.fixture(autouse=True)
def endless():
    gymnasium.register("Endless-v0", Endless, max_episode_steps=6)
    gymnasium.register("Needy-v0", lambda size: Endless())
    yield
    del gymnasium.registry["Endless-v0"], gymnasium.registry["Needy-v0"]


def endings(**configuration):
    """Plays one episode and returns its length and how it ended."""
    with Gymnasium(id="Endless-v0", **configuration).make() as env:
        env.reset(seed=0)
        for length in range(1, 100):
            *_, terminated, truncated, _ = env.step(0)
            if terminated or truncated:
                return length, terminated, truncated
    raise AssertionError("never ended")


@pytest.mark.parametrize(("max_episode_steps", "length"), [(None, 6), (4, 4), (9, 9)])
def test_a_time_limit_truncates(max_episode_steps, length):
    assert endings(max_episode_steps=max_episode_steps) == (length, False, True)


def test_with_truncation_terminates_the_time_limit_counts_as_termination():
    length, terminated, _ = endings(max_episode_steps=4, truncation_terminates=True)
    assert (length, terminated) == (4, True)


@pytest.mark.parametrize("truncation_terminates", [False, True])
def test_an_end_before_the_time_limit_is_a_termination(truncation_terminates):
    found = endings(kwargs={"terminates_at": 3}, truncation_terminates=truncation_terminates)
    assert found == (3, True, False)


def test_cartpole_is_the_default_with_its_own_time_limit():
    with Gymnasium().make() as env:
        assert (env.spec.id, env.spec.max_episode_steps) == ("CartPole-v1", 500)


def test_keyword_arguments_reach_the_environment():
    """With Sutton and Barto's reward only the fall counts, −1."""
    with Gymnasium(kwargs={"sutton_barto_reward": True}).make() as env:
        env.reset(seed=0)
        assert env.step(0)[1] == 0.0


def test_a_render_mode_is_passed_on():
    with Gymnasium(id="Endless-v0").make() as plain, Gymnasium(id="Endless-v0").make("rgb_array") as drawn:
        assert (plain.unwrapped.render_mode, drawn.unwrapped.render_mode) == (None, "rgb_array")


def test_discrete_observations_are_supported():
    with Gymnasium(id="Endless-v0", kwargs={"observations": "states"}).make() as env:
        assert env.observation_space == Discrete(5)


def test_a_tuple_of_states_is_observed_as_a_vector():
    with Gymnasium(id="Blackjack-v1").make() as env, gymnasium.make("Blackjack-v1") as plain:
        assert env.observation_space == MultiDiscrete([32, 11, 2])
        (obs, _), (expected, _) = env.reset(seed=1), plain.reset(seed=1)
        assert (obs.tolist(), obs.dtype) == (list(expected), np.int64)
        assert obs in env.observation_space
    with Gymnasium(id="Endless-v0", kwargs={"observations": "pair"}).make() as env:
        assert env.observation_space == MultiDiscrete([2, 3], start=[0, 1])


def wrapped(observations):
    """Returns an environment with these observations, and its outermost wrapper's `observation`."""
    env = Gymnasium(id="Endless-v0", kwargs={"observations": observations}).make()
    return env, env.observation


def test_a_dict_of_states_is_observed_as_a_vector_in_the_order_of_its_space():
    env, observation = wrapped("named states")
    assert env.observation_space == MultiDiscrete([3, 2], start=[1, 0])
    obs = observation({"b": np.int64(1), "a": 3})
    assert (obs.tolist(), obs.dtype) == ([3, 1], np.int64)


@pytest.mark.parametrize(("observations", "given", "flat"), [
    ("mixed pair", (1, np.array([0.5, -0.5])), [0, 1, 0.5, -0.5]),
    ("mixed", {"doors": [1, 0], "place": {"room": 2, "at": [0.5, 1]}}, [1, 0, 0.5, 1, 0, 1, 0]),
])  # fmt: skip
def test_mixed_observations_are_flattened(observations, given, flat):
    env, observation = wrapped(observations)
    obs = observation(given)
    assert (obs.tolist(), obs.dtype) == (flat, np.float32)
    assert obs in env.observation_space


@pytest.mark.parametrize(("observations", "given", "missing"), [
    ("named states", {"b": 1}, "a"), ("mixed", {"doors": [1, 0]}, "place"),
])  # fmt: skip
def test_a_missing_part_of_an_observation_is_named(observations, given, missing):
    _, observation = wrapped(observations)
    with pytest.raises(TrainingError, match=rf"^the environment returned the observation .*; it lacks '{missing}'$"):
        observation(given)


@pytest.mark.parametrize(("id", "extra"), [("MinAtar/Breakout-v1", "minatar"), ("ALE/Breakout-v5", "atari")])
def test_a_missing_extra_is_reported_with_its_install_command(monkeypatch, id, extra):
    for name in ("minatar.gym", "ale_py"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    for name in [name for name in gymnasium.registry if name.startswith(("MinAtar/", "ALE/"))]:
        monkeypatch.delitem(gymnasium.registry, name)
    with pytest.raises(ValueError, match=rf'^id={id}: needs an extra: pip install "dqn-lab\[{extra}\]"') as caught:
        Gymnasium(id=id).make()
    assert "\n" not in str(caught.value)


def test_minatar_is_registered_if_it_is_installed():
    pytest.importorskip("minatar")
    with Gymnasium(id="MinAtar/Breakout-v1", max_episode_steps=9).make() as env:
        obs, _ = env.reset(seed=0)
        assert (obs.shape, obs.dtype, env.action_space) == ((10, 10, 4), bool, Discrete(3))


def test_pictures_are_drawn_whatever_render_mode_the_run_had():
    with Gymnasium(kwargs={"render_mode": "human"}, implementation="gymnasium").make("rgb_array") as env:
        assert env.render_mode == "rgb_array"


def endless_with(**kwargs):
    return {"id": "Endless-v0", "kwargs": kwargs}


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"id": "CartPol-v1"}, r"^id=CartPol-v1: no such Gymnasium environment; did you mean CartPole-v1\?"),
        ({"id": "Needy-v0"}, r"^id=Needy-v0: needs an argument; set env\.kwargs\.size=…$"),
        ({"id": "CartPole-v77"}, r"^id=CartPole-v77: "),
        ({"id": "no_such_module_:Thing-v0"}, r"^id=no_such_module_:Thing-v0: .*no_such_module_"),
        ({"id": "not a name"}, r"^id=not a name: "),
        (endless_with(colour="red"), r"^kwargs=.*colour"),
        (endless_with(actions="box"), r"^id=Endless-v0: actions are Box\(.*; supported: Discrete, from 0$"),
        (
            endless_with(actions="actions from 1"),
            r"^id=Endless-v0: actions are Discrete\(.*; supported: Discrete, from 0$",
        ),
        (endless_with(observations="words"), r"^id=Endless-v0: observations are Text\(.*; supported: Box, Discrete,"),
        (endless_with(observations="words within"), r"^id=Endless-v0: observations are Dict\(.*; supported: Box,"),
        (endless_with(observations="image within"), r"^id=Endless-v0: .*; an image cannot be combined with others$"),
        (endless_with(observations="nothing"), r"^id=Endless-v0: .*; they contain no number$"),
        (endless_with(observations="nothing within"), r"^id=Endless-v0: .*; they contain no number$"),
        (endless_with(actions="exit"), r"^id=Endless-v0: making the environment called exit\(0\) \(raised in"),
        (
            endless_with(actions="raise"),
            r"^kwargs={'actions': 'raise'}: making the environment raised OSError: no track \(raised in test_gymnasium",
        ),
    ],
)
def test_an_unsupported_environment_is_refused_in_one_line(configuration, message):
    with pytest.raises(ValueError, match=message) as caught:
        Gymnasium(**configuration).make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("configuration", [{}, {"truncation_terminates": True}, {"max_episode_steps": 3}])
def test_gymnasiums_checking_wrappers_are_left_out(configuration):
    env = Gymnasium(id="CartPole-v1", **configuration).make()
    names = []
    while isinstance(env, gymnasium.Wrapper):
        names.append(type(env).__name__)
        env = env.env
    assert names == ["TruncationTerminates"] * configuration.get("truncation_terminates", False) + ["TimeLimit"]


def test_observations_may_be_rescaled_to_minus_one_and_one():
    """MountainCar's position is in [−1.2, 0.6] and its velocity in [−0.07, 0.07]."""
    with Gymnasium(id="MountainCar-v0").make() as plain, Gymnasium(id="MountainCar-v0", rescale=True).make() as env:
        assert env.observation_space == Box(-1, 1, (2,))
        position, velocity = plain.reset(seed=3)[0]
        assert env.reset(seed=3)[0] == pytest.approx([(position + 0.3) / 0.9, velocity / 0.07])
        (position, velocity), reward, *_ = plain.step(2)
        obs, same, *_ = env.step(2)
        assert (obs.dtype, same) == (np.float32, reward)
        assert obs == pytest.approx([(position + 0.3) / 0.9, velocity / 0.07])


@pytest.mark.parametrize("id", ["CartPole-v1", "FrozenLake-v1"])
def test_rescaling_without_finite_bounds_is_refused(id):
    with pytest.raises(
        ValueError, match=r"rescale=true: needs a Box of floating-point numbers with finite bounds, got"
    ):
        Gymnasium(id=id, rescale=True).make()


def test_the_faster_action_space_equals_gymnasiums():
    with Gymnasium().make() as env, gymnasium.make("CartPole-v1") as plain:
        assert type(env.unwrapped.action_space) is Actions
        assert (env.action_space, repr(env.action_space)) == (plain.action_space, repr(plain.action_space))
        for action in (-1, 0, 1, 2, np.int64(1), np.int64(2), np.array(1), 1.0, True, "1", None):
            assert env.action_space.contains(action) == plain.action_space.contains(action), action
        env.reset(seed=0)
        with pytest.raises(AssertionError, match="invalid"):
            env.step(2)


@pytest.mark.parametrize("bounds", [[1.0, 1.0], [500.0, 0.0]])
def test_return_bounds_out_of_order_are_refused(bounds):
    with pytest.raises(ValueError, match=r"return_bounds=.*: must be \[low, high\], low less than high"):
        Gymnasium(return_bounds=bounds)
    assert Gymnasium(return_bounds=[0.0, 1.0]).return_bounds == [0.0, 1.0]
