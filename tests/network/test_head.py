from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, tensor

from dqn_lab.network._head import Head, dueling_outputs
from dqn_lab.network._linear import linear
from dqn_lab.seeding import torch_generator

DOUBLE = {"dtype": torch.float64}


def head(hidden=None, dueling=True, num_actions=3, num_outputs=2):
    """Returns a head on four features, in float64."""
    generator = torch_generator(0, "network")

    def make(fan_in, fan_out):
        return linear(fan_in, fan_out, generator)

    return Head(4, num_actions, num_outputs, make, hidden=hidden, dueling=dueling).double()


def test_values_and_advantages_by_hand():
    """Advantages 1, 2, 6 have mean 3, and 0, 0, 3 mean 1: 10 + (−2, −1, 3) and 20 + (−1, −1, 2)."""
    outputs = dueling_outputs(tensor([10.0, 20.0]), tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]]))
    assert outputs.tolist() == [[8.0, 19.0], [9.0, 19.0], [13.0, 22.0]]


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 5))
def test_the_mean_over_actions_is_the_value_and_a_common_advantage_changes_nothing(seed, num_actions, num_outputs):
    generator = torch.Generator().manual_seed(seed)
    value, advantage = (torch.randn(shape, generator=generator, **DOUBLE)
                        for shape in ((2, num_outputs), (2, num_actions, num_outputs)))  # fmt: skip
    outputs = dueling_outputs(value, advantage)
    torch.testing.assert_close(outputs.mean(-2), value)
    torch.testing.assert_close(dueling_outputs(value, advantage + 7), outputs)


@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("dueling", [False, True])
def test_features_may_have_any_number_of_axes_before_the_last(hidden, dueling):
    network, features = (
        head(hidden, dueling),
        torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), **DOUBLE),
    )
    outputs = network(features)
    assert outputs.shape == (2, 3, 3, 2)
    torch.testing.assert_close(outputs[1, 2], network(features[1, 2]))


@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("dueling", [False, True])
def test_the_gradient_is_that_of_finite_differences(hidden, dueling):
    network = head(hidden, dueling)
    names, weights = zip(*network.named_parameters(), strict=True)
    features = torch.randn(2, 4, generator=torch.Generator().manual_seed(0), **DOUBLE)

    def outputs(*weights):
        return torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (features,))

    assert torch.autograd.gradcheck(outputs, weights)


def test_streams_have_their_own_hidden_layer_if_asked_for():
    shapes = [tuple(weight.shape) for weight in head(hidden=5).parameters()]
    assert shapes == [(5, 4), (5,), (2, 5), (2,), (5, 4), (5,), (6, 5), (6,)]


def test_dueling_parameters_are_ordered_as_trunk_value_advantage(make):
    network = make(
        "network", "mlp", Box(-1, 1, (2,)), 3, 4, torch_generator(0, "network"), hidden=[5, 7], dueling=True,
    )  # fmt: skip
    shapes = [tuple(weight.shape) for weight in network.parameters()]
    assert shapes == [(5, 2), (5,), (7, 5), (7,), (4, 7), (4,), (12, 7), (12,)]
    inside = [weight for layer in network.layers for weight in layer.parameters()]
    assert all(one is other for one, other in zip(inside, network.parameters(), strict=True))


def test_a_dueling_mlp_by_hand(make):
    """At x = 3 the feature is 3; the value 2 · 3, the advantages 1 · 3 and 5 · 3 less their mean of 9."""
    network = make("network", "mlp", Box(-9, 9, (1,)), 2, 1, torch_generator(0, "network"), hidden=[1], dueling=True)
    for weight, numbers in zip(network.parameters(), ([[1]], [0], [[2]], [0], [[1], [5]], [0, 0]), strict=True):
        nn.init.zeros_(weight).data += torch.tensor(numbers, dtype=torch.float32)
    assert network(torch.tensor(np.array([[3.0]]))).flatten().tolist() == [0.0, 12.0]


def test_plain_weights_are_drawn_layer_by_layer(make):
    """From one generator: weights, then biases of each layer, within ±1/√fan_in."""
    network = make("network", "mlp", Box(-1, 1, (4,)), 2, 3, torch_generator(5, "network"), hidden=[8, 16])
    generator = torch_generator(5, "network")
    for weight, fan_in in zip(network.parameters(), [4, 4, 8, 8, 16, 16], strict=True):
        expected = torch.empty(weight.shape).uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
        assert torch.equal(weight, expected)
