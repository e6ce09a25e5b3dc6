"""What every environment option must build."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dqn_lab import registry

pytestmark = pytest.mark.parametrize("name", registry.names("env"))


@pytest.fixture(autouse=True)
def extras(name):
    for package in {"atari": ["ale_py", "cv2"]}.get(name, []):
        pytest.importorskip(package)


def play(env, seed, num_steps=50):
    """Plays random actions and returns everything that the environment returned."""
    rng, found = np.random.default_rng(seed), [env.reset(seed=seed)[0]]
    for _ in range(num_steps):
        obs, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        found += [np.array(obs), reward, terminated, truncated]
        if terminated or truncated:
            found.append(env.reset()[0])
    return found


def test_actions_are_counted_from_zero_and_observations_are_arrays_or_states(make, name):
    with make("env", name).make() as env:
        assert isinstance(env, gymnasium.Env)
        assert isinstance(env.action_space, Discrete)
        assert env.action_space.start == 0
        assert isinstance(env.observation_space, (Box, Discrete))


def test_steps_stay_within_the_spaces(make, name):
    with make("env", name).make() as env:
        obs, _ = env.reset(seed=0)
        assert obs in env.observation_space
        obs, reward, terminated, truncated, _ = env.step(0)
        assert obs in env.observation_space
        assert np.isfinite(float(reward))
        assert {type(terminated), type(truncated)} <= {bool, np.bool_}


def test_a_seed_repeats_everything(make, name):
    factory = make("env", name)
    with factory.make() as one, factory.make() as other:
        np.testing.assert_equal(play(one, seed=3), play(other, seed=3))


def test_environments_of_one_factory_do_not_touch_each_other(make, name):
    factory = make("env", name)
    with factory.make() as alone:
        expected = play(alone, seed=4)
    with factory.make() as one, factory.make() as other:
        play(one, seed=5)
        started, _ = one.reset(seed=4)
        play(other, seed=6)
        np.testing.assert_equal([started, *play(one, seed=4)[1:]], expected)


def test_no_global_randomness_is_used(make, name, check_global_randomness):
    with check_global_randomness(), make("env", name).make() as env:
        play(env, seed=0)
