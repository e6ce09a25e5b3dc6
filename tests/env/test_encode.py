"""Observations that a person types, as the agent receives them."""

import gymnasium
import numpy as np
import pytest

from dqn_lab.env.encode import encode


def test_a_list_has_the_type_of_the_environments_observations():
    with gymnasium.make("CartPole-v1") as env:
        obs = encode(env, [0.0, 0.5, 0.0, -0.5])
    assert (obs.dtype, obs.tolist()) == (np.float32, [0.0, 0.5, 0.0, -0.5])


@pytest.mark.parametrize("obs", [[0.0], "four", [[0.0] * 4], None])
def test_what_is_no_observation_is_refused(obs):
    with gymnasium.make("CartPole-v1") as env, pytest.raises(ValueError, match=r"^obs="):
        encode(env, obs)
