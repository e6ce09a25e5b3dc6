from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from dqn_lab.network._linear import NoisyLinear, factorised_noise, linear, number_noise, run
from dqn_lab.seeding import torch_generator
from dqn_lab.types import ConfigError, NetworkNoise


def noisy(fan_in, fan_out, sigma=0.5, seed=0):
    return linear(fan_in, fan_out, torch_generator(seed, "network"), noisy_sigma=sigma)


def test_a_noisy_layer_by_hand():
    """Weights 1 + 10 · 2 · 5 = 101 and 2 + 20 · 3 · 5 = 302, bias 3 + 100 · 5 = 503: at (1, 2) it is 1208."""
    layer = noisy(2, 1)
    for parameter, numbers in zip(layer.parameters(), ([[1, 2]], [3], [[10, 20]], [100]), strict=True):
        parameter.data = tensor(numbers, dtype=torch.float32)
    assert layer(tensor([[1.0, 2.0]]), tensor([2.0, 3.0, 5.0])).tolist() == [[1208.0]]
    assert layer(tensor([[1.0, 2.0]])).tolist() == [[8.0]]


def test_sigma_starts_at_noisy_sigma_over_the_root_of_fan_in():
    layer = noisy(25, 3, sigma=0.5)
    for parameter in (layer.weight_sigma, layer.bias_sigma):
        assert torch.equal(parameter, torch.full_like(parameter, 0.1))


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5))
def test_without_sigma_a_noisy_layer_is_the_plain_one(seed, fan_in, fan_out):
    plain = linear(fan_in, fan_out, torch_generator(seed, "network"))
    layer, inputs = noisy(fan_in, fan_out, 0.0, seed), torch.rand(3, fan_in, generator=torch_generator(seed, "inputs"))
    noise = torch.from_numpy(factorised_noise(np.random.default_rng(seed), fan_in + fan_out))
    assert torch.equal(layer(inputs, noise), plain(inputs))


def test_noise_is_the_signed_root_of_a_standard_normal_number():
    """Its mean is 0, and the mean of its square is that of |x|, √(2/π)."""
    noise = factorised_noise(np.random.default_rng(0), 100_000)
    normal = np.random.default_rng(0).standard_normal(100_000, dtype=np.float32)
    np.testing.assert_allclose(noise * np.abs(noise), normal, rtol=1e-6)
    assert abs(noise.mean()) < 0.01
    assert np.square(noise).mean() == pytest.approx(math.sqrt(2 / math.pi), abs=0.01)


def test_each_layer_has_its_own_part_of_the_noise():
    """The first layer's part is 0, so its outputs are those without noise."""
    layers = torch.nn.Sequential(noisy(2, 3), torch.nn.ReLU(), noisy(3, 4, seed=1))
    assert number_noise(layers) == (2 + 3) + (3 + 4)
    noise, inputs = torch.cat([torch.zeros(5), torch.ones(7)]), torch.ones(1, 2)
    assert torch.equal(run(layers, inputs, noise), layers[2](layers[1](layers[0](inputs)), noise))
    assert torch.equal(run(layers[:1], inputs, noise), layers[0](inputs))
    assert torch.equal(run(layers, inputs, None), layers(inputs))


def test_every_layer_of_a_noisy_mlp_is_noisy_and_starts_as_the_plain_one(make):
    space, configuration = Box(-1, 1, (4,)), {"hidden": [8, 6], "dueling": True}
    plain, other = (
        make("network", "mlp", space, 2, 3, torch_generator(0, "network"), noisy=flag, **configuration)
        for flag in (False, True)
    )
    assert (plain.is_noisy, other.is_noisy) == (False, True)
    linears = [layer for layer in other.layers if isinstance(layer, torch.nn.Linear)]
    assert len(linears) == 4
    assert all(isinstance(layer, NoisyLinear) for layer in linears)
    obs = torch.rand(5, 4, generator=torch_generator(1, "obs"))
    assert torch.equal(plain(obs), other(obs))
    drawn = other.draw_noise(np.random.default_rng(0), 5, "online")
    assert drawn.rows is None
    assert drawn.shared.shape == ((4 + 8) + (8 + 6) + (6 + 3) + (6 + 6),)


@pytest.mark.parametrize("dueling", [False, True])
def test_noise_may_be_in_the_head_alone(make, dueling):
    network = make(
        "network", "mlp", Box(-1, 1, (4,)), 2, 3, torch_generator(0, "network"), hidden=[8, 6], dueling=dueling,
        noisy=True, noisy_layers="head",
    )  # fmt: skip
    linears = [layer for layer in network.layers if isinstance(layer, torch.nn.Linear)]
    assert [isinstance(layer, NoisyLinear) for layer in linears] == [False, False, *[True] * (1 + dueling)]
    obs, noise = torch.ones(1, 4), network.draw_noise(np.random.default_rng(0), 1, "acting")
    assert noise.shared.shape == ((6 + 6) + dueling * (6 + 3),)
    assert torch.equal(network.features(obs, torch.from_numpy(noise.shared)), network.features(obs))
    assert not torch.equal(network(obs, NetworkNoise(torch.from_numpy(noise.shared))), network(obs))


def test_the_gradient_is_that_of_finite_differences(make):
    network = make(
        "network", "mlp", Box(-1, 1, (3,)), 2, 2, torch_generator(0, "network"), hidden=[4], activation="tanh",
        dueling=True, noisy=True,
    ).double()  # fmt: skip
    names, weights = zip(*network.named_parameters(), strict=True)
    obs = torch.rand(2, 3, generator=torch_generator(1, "obs"), dtype=torch.float64)
    noise = NetworkNoise(torch.from_numpy(network.draw_noise(np.random.default_rng(0), 2, "online").shared))

    def outputs(*weights):
        return torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (obs, noise))

    assert torch.autograd.gradcheck(outputs, weights)


@pytest.mark.parametrize("sigma", [-0.1, "much"])
def test_a_negative_sigma_is_refused(make, sigma):
    with pytest.raises(ConfigError, match=r"^network\.noisy_sigma="):
        make("network", "mlp", Box(-1, 1, (3,)), 2, 2, torch_generator(0, "network"), noisy_sigma=sigma)
