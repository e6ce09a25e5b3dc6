"""Observations typed by a user, encoded as the agent receives them."""

import gymnasium
import numpy as np
import pytest

from dqn_lab.env.encode import encode
from dqn_lab.env.gymnasium import Flattened, Gymnasium


class Joint(gymnasium.Env):
    """Observes a number and a side."""

    observation_space = gymnasium.spaces.Dict(at=gymnasium.spaces.Box(0, 1, (1,)), side=gymnasium.spaces.Discrete(2))
    action_space = gymnasium.spaces.Discrete(2)


def test_a_list_has_the_type_of_the_environments_observations():
    with gymnasium.make("CartPole-v1") as env:
        obs = encode(env, [0.0, 0.5, 0.0, -0.5])
    assert (obs.dtype, obs.tolist()) == (np.float32, [0.0, 0.5, 0.0, -0.5])


@pytest.mark.parametrize("obs", [[0.0], "four", [[0.0] * 4], None])
def test_a_value_that_is_not_an_observation_is_refused(obs):
    with gymnasium.make("CartPole-v1") as env, pytest.raises(ValueError, match=r"^obs="):
        encode(env, obs)


@pytest.mark.parametrize(
    ("id", "obs", "why"),
    [
        ("CartPole-v1", [0.0, np.nan, 0.0, 0.0], "must be finite"),
        ("CartPole-v1", np.zeros((3, 4)), r"not \(3, 4\); ask for one observation at a time"),
        ("FrozenLake-v1", 16, r"must be in Discrete\(16\)"),
        ("FrozenLake-v1", -3, r"must be in Discrete\(16\)"),
        ("FrozenLake-v1", 3.5, r"must be in Discrete\(16\)"),
        ("Blackjack-v1", (4, 1, 2), r"must be in Discrete\(2\)"),
        ("Blackjack-v1", [4, 1, 2], r"must be in MultiDiscrete\("),
    ],
)
def test_an_observation_that_cannot_occur_is_refused(id, obs, why):
    with Gymnasium(id=id).make() as env, pytest.raises(ValueError, match=rf"^obs=.*{why}"):
        encode(env, obs)


def test_a_part_of_an_observation_is_checked_before_it_is_flattened():
    """Gymnasium's one-hot encoding would index −1 from the end."""
    env = Flattened(Joint())
    assert encode(env, {"at": [0.5], "side": 1}).tolist() == [0.5, 0.0, 1.0]
    with pytest.raises(ValueError, match=r"must be in Discrete\(2\)"):
        encode(env, {"at": [0.5], "side": -1})


def test_an_image_of_a_wrong_shape_is_not_printed_whole():
    with Gymnasium(id="CartPole-v1").make() as env, pytest.raises(ValueError, match="must be numbers") as error:
        encode(env, np.zeros((84, 84, 4)))
    assert len(str(error.value)) < 250
