"""The names of observed numbers and of actions."""

import gymnasium
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple, flatten

from dqn_lab.env.compiled import CLASSES
from dqn_lab.env.gymnasium import Gymnasium
from dqn_lab.env.names import find_names


class Named(gymnasium.Env):
    """Observes a Dict of numbers, some of them in a Tuple."""

    observation_space = Dict(
        wind=Box(-1, 1, (2,)), light=Box(0, 1, (1,)), room=Discrete(3), pair=Tuple((Discrete(2), Box(0, 1, (1,))))
    )
    action_space = Discrete(2)


gymnasium.register("NamedNumbers-v0", Named)


def test_flattened_numbers_keep_the_keys_of_a_dict():
    """Names are in the order in which Gymnasium flattens, so each belongs to its value."""
    env = Gymnasium(id="NamedNumbers-v0", truncation_terminates=True).make()
    names = find_names(env).dimensions
    obs = {"wind": [0.1, 0.2], "light": [0.3], "room": 1, "pair": (1, [0.4])}
    values = dict(zip(names, flatten(Named.observation_space, obs).round(1).tolist(), strict=True))
    assert values == {
        "pair.obs_0[0]": 0, "pair.obs_0[1]": 1, "pair.obs_1": 0.4, "light": 0.3, "room[0]": 0, "room[1]": 1,
        "room[2]": 0, "wind[0]": 0.1, "wind[1]": 0.2,
    }  # fmt: skip


@pytest.mark.parametrize("id", CLASSES)
def test_a_compiled_version_has_the_names_of_the_original(id):
    own, other = (find_names(Gymnasium(id=id, implementation=which).make()) for which in ("compiled", "gymnasium"))
    assert own == other
    assert own.actions[0] != "action 0"


def test_a_vector_has_its_environments_names_or_numbers():
    assert find_names(gymnasium.make("CartPole-v1")).dimensions[2] == "pole_angle"
    named = gymnasium.spaces.Box(0, 1, (2,))
    env = gymnasium.wrappers.TransformObservation(gymnasium.make("CartPole-v1"), lambda obs: obs[:2], named)
    assert find_names(env).dimensions == ("obs_0", "obs_1")
