"""What every network must do, on observations that it accepts."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from dqn_lab import registry
from dqn_lab.hooks import noise_source
from dqn_lab.seeding import torch_generator
from dqn_lab.types import ConfigError, NetworkNoise

SPACES = [Box(-1, 1, (4,)), Box(0, 255, (4, 84, 84), np.uint8), Box(0, 1, (10, 10, 4)), Discrete(6)]
FLAGS = ("dueling", "noisy")


def variants():
    """Yields every network without flags, with each of its flags, and with all of them."""
    for name in registry.names("network"):
        flags = [flag for flag in FLAGS if flag in registry.schema(registry.lookup("network", name)).model_fields]
        for chosen in [(), *((flag,) for flag in flags), *([tuple(flags)] if len(flags) > 1 else [])]:
            yield pytest.param((name, dict.fromkeys(chosen, True)), id="-".join((name, *chosen)))


pytestmark = pytest.mark.parametrize("variant", list(variants()))


@pytest.fixture
def space(make, variant):
    name, flags = variant
    for candidate in SPACES:
        try:
            make("network", name, candidate, 2, 1, torch_generator(0, "network"), **flags)
        except ConfigError:
            continue
        return candidate
    raise AssertionError(f"{name} takes none of {SPACES}")


@pytest.fixture
def build(make, variant, space):
    name, flags = variant

    def network(num_actions=3, num_outputs=2, seed=0):
        return make("network", name, space, num_actions, num_outputs, torch_generator(seed, "network"), **flags)

    return network


def observe(space, num_obs, seed=0):
    space.seed(seed)
    return torch.from_numpy(np.stack([space.sample() for _ in range(num_obs)]))


def noisily(network, obs, seed=0):
    source = noise_source(network)
    if source is None:
        return network(obs)
    noise = source.draw_noise(np.random.default_rng(seed), len(obs), "online")
    assert all(part is None or isinstance(part, np.ndarray) for part in noise)
    assert noise.rows is None or len(noise.rows) == len(obs)
    return network(obs, NetworkNoise(*(None if part is None else torch.from_numpy(part) for part in noise)))


@pytest.mark.parametrize(("batch", "num_actions", "num_outputs"), [(1, 2, 1), (7, 3, 1), (2, 4, 51)])
def test_outputs_have_a_row_per_observation_and_a_cell_per_action(build, space, batch, num_actions, num_outputs):
    outputs = build(num_actions, num_outputs)(observe(space, batch))
    assert outputs.shape == (batch, num_actions, num_outputs)
    assert outputs.dtype == torch.float32
    assert outputs.isfinite().all()


def test_an_observations_outputs_do_not_depend_on_the_others(build, space):
    network, obs = build(), observe(space, 5)
    torch.testing.assert_close(network(obs)[2:3], network(obs[2:3]))


def test_the_same_generator_gives_the_same_weights(build):
    for one, other in zip(build().parameters(), build().parameters(), strict=True):
        assert torch.equal(one, other)


def test_every_parameter_gets_a_gradient(build, space):
    network = build()
    noisily(network, observe(space, 3)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_loading_a_state_makes_the_same_function(build, space):
    network, other, obs = build(seed=1), build(seed=2), observe(space, 4)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(obs), network(obs))


def test_a_deep_copy_is_the_same_function_with_its_own_parameters(build, space):
    network, obs = build(), observe(space, 4)
    clone, before = copy.deepcopy(network), network(obs).detach()
    assert torch.equal(clone(obs), before)
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.add_(1)
    assert torch.equal(network(obs), before)


def test_double_precision_goes_all_the_way_through(build, space):
    network, obs = build(), observe(space, 4)
    outputs = copy.deepcopy(network).double()(obs)
    assert outputs.dtype == torch.float64
    torch.testing.assert_close(outputs.float(), network(obs), rtol=1e-4, atol=1e-6)


def test_no_global_randomness_is_used(build, space, check_global_randomness):
    with check_global_randomness():
        noisily(build(), observe(space, 2))


def test_outputs_depend_on_the_drawn_noise_and_nothing_else_is_random(build, space):
    network, obs = build(), observe(space, 3)
    assert torch.equal(network(obs), network(obs))
    assert torch.equal(noisily(network, obs), noisily(network, obs))
    random = noise_source(network) is not None
    assert random is not torch.equal(noisily(network, obs), network(obs))
    assert random is not torch.equal(noisily(network, obs), noisily(network, obs, seed=1))
