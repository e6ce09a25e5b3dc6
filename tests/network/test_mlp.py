from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Text

from dqn_lab.seeding import torch_generator
from dqn_lab.types import ConfigError

OBS = Box(-9, 9, (2,))


@pytest.fixture
def mlp(make):
    def build(space=OBS, num_actions=2, num_outputs=1, **configuration):
        return make("network", "mlp", space, num_actions, num_outputs, torch_generator(0, "network"), **configuration)

    return build


def set_weights(network):
    """Sets the weights so that the hidden layer computes x − y, 2x + 1 and the last a + b + ½, 2b − a."""
    first, *_, last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, -1.0], [2.0, 0.0]]))
        first.bias.copy_(torch.tensor([0.0, 1.0]))
        last.weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, 2.0]]))
        last.bias.copy_(torch.tensor([0.5, 0.0]))
    return network


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", lambda x: max(x, 0.0)),
        ("tanh", math.tanh),
        ("silu", lambda x: x / (1 + math.exp(-x))),
        ("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    ],
)
def test_two_layers_by_hand(mlp, activation, function):
    """At (1, 2) the hidden layer gets 1 − 2 = −1 and 2 · 1 + 1 = 3."""
    a, b = function(-1.0), function(3.0)
    network = set_weights(mlp(hidden=[2], activation=activation))
    assert network(torch.tensor([[1.0, 2.0]])).flatten().tolist() == pytest.approx([a + b + 0.5, 2 * b - a], rel=1e-5)


def test_layer_norm_comes_before_the_activation(mlp):
    """−1 and 3 have mean 1 and deviation 2: normalized they are −1 and 1, after relu 0 and 1."""
    network = set_weights(mlp(hidden=[2], layer_norm=True))
    assert network(torch.tensor([[1.0, 2.0]])).flatten().tolist() == pytest.approx([1.5, 2.0], rel=1e-4)


def test_layers_have_the_configured_widths(mlp):
    shapes = [tuple(parameter.shape) for parameter in mlp(hidden=[3, 5], num_actions=2, num_outputs=4).parameters()]
    assert shapes == [(3, 2), (3,), (5, 3), (5,), (8, 5), (8,)]


@pytest.mark.parametrize("shape", [(), (1,), (3, 4)])
def test_a_vector_or_a_matrix_is_flattened(mlp, shape):
    obs = torch.rand((6, *shape), generator=torch.Generator().manual_seed(0))
    outputs = mlp(Box(0, 1, shape))(obs)
    assert outputs.shape == (6, 2, 1)
    assert torch.equal(mlp(Box(0, 1, (math.prod(shape),)))(obs.reshape(6, -1)), outputs)


def test_whole_numbers_can_be_observed(mlp):
    network = set_weights(mlp(Box(0, 255, (2,), np.uint8), hidden=[2]))
    assert network(torch.tensor([[1, 2]], dtype=torch.uint8)).flatten().tolist() == [3.5, 6.0]


@pytest.mark.parametrize(
    ("init", "first", "last", "biased"),
    [
        ("fan_in_uniform", 1 / math.sqrt(25), 1 / math.sqrt(400), True),
        ("glorot_uniform", math.sqrt(6 / (25 + 400)), math.sqrt(6 / (400 + 8)), False),
    ],
)
def test_initial_weights_fill_the_range_of_their_rule(mlp, init, first, last, biased):
    weight, bias, top, top_bias = mlp(Box(0, 1, (25,)), 8, hidden=[400], init=init).parameters()
    for parameter, bound in [(weight, first), (top, last), *([(bias, first)] if biased else [])]:
        assert 0.95 * bound < parameter.max() <= bound
        assert -bound <= parameter.min() < -0.95 * bound
        assert abs(parameter.mean()) < 0.1 * bound
    assert bool(bias.any()) is bool(top_bias.any()) is biased


@pytest.mark.parametrize("init", ["fan_in_uniform", "glorot_uniform"])
def test_initial_weights_are_drawn_from_the_generator(make, init, check_global_randomness):
    with check_global_randomness():
        one, same, other = (
            make("network", "mlp", OBS, 2, 1, torch_generator(seed, "network"), init=init) for seed in (0, 0, 1)
        )
    for weight, again, another in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(weight, again)
        assert weight.ndim == 1 or not torch.equal(weight, another)


@pytest.mark.parametrize(("space", "obs", "inputs"), [
    (Discrete(3), [0, 2], [[1, 0, 0], [0, 0, 1]]),
    (Discrete(3, start=-1), [0, -1], [[0, 1, 0], [1, 0, 0]]),
    (MultiDiscrete([2, 3], start=[0, 5]), [[1, 5], [0, 7]], [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]),
    (MultiDiscrete([[2], [2]]), [[[0], [1]]], [[1, 0, 0, 1]]),
    (MultiBinary(3), [[1, 0, 1]], [[1, 0, 1]]),
], ids=str)  # fmt: skip
def test_states_are_read_as_one_hot_and_bits_as_they_are(mlp, space, obs, inputs):
    network = mlp(space)
    prepared = network.prepare(torch.from_numpy(np.array(obs, space.dtype)))
    assert (prepared.tolist(), prepared.dtype) == (inputs, torch.float32)
    assert next(network.parameters()).shape == (24, len(inputs[0]))


def test_a_network_on_states_has_the_same_parameter_names(mlp):
    """A saved policy does not store the meaning of its inputs."""
    assert mlp(Discrete(2)).state_dict().keys() == mlp().state_dict().keys()


@pytest.mark.parametrize("space", [
    Box(0, 255, (96, 96, 3), np.uint8), Box(0, 1, (4, 84, 84)), Box(0, 1, (10, 10, 4), bool),
], ids=str)  # fmt: skip
def test_images_are_refused_in_one_line_that_names_the_networks_for_them(mlp, space):
    with pytest.raises(ConfigError, match=r"^network=mlp: observations are images, .*network=nature_cnn") as caught:
        mlp(space)
    assert "\n" not in str(caught.value)


def test_another_space_is_refused(mlp):
    with pytest.raises(ConfigError, match=r"^network=mlp: observations are Text\(.*; supported: Box, MultiBinary"):
        mlp(Text(3))


@pytest.mark.parametrize("hidden", [[], [0], [24, -1], [1.5], 24])
def test_hidden_widths_are_a_list_of_positive_whole_numbers(mlp, hidden):
    with pytest.raises(ConfigError, match=r"^network\.hidden"):
        mlp(hidden=hidden)
