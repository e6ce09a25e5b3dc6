"""On a chain with known values, every value with every bootstrap converges to its own fixed point.

A table approximates nothing, so only the learning rule is tested. The fixed points are computed from the chain's model,
without any of the code under test.
"""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete

from dqn_lab import registry
from dqn_lab.build import build
from dqn_lab.train import train

STATES, GAMMA, EPSILON, SCALE, TEMPERATURE = 4, 0.8, 0.5, 0.5, 0.1
REWARD = np.array([[0.2, -0.05], [0.0, -0.05], [0.05, -0.05], [0.0, 1.0]])  # of left and right
FOLLOWING = np.array([[0, 1], [0, 2], [1, 3], [2, 3]])
OVER = np.array([[False, False], [False, False], [False, False], [False, True]])  # beyond the right end

VALUES = {  # options, and what they need on this chain
    "expected": (), "huber": (), "quantile": ("value.num_quantiles=7",),
    "categorical": ("value.v_min=-3", "value.v_max=3", "value.num_atoms=61"),
}  # fmt: skip
BOOTSTRAPS = {"munchausen": (f"bootstrap.scale={SCALE}", f"bootstrap.temperature={TEMPERATURE}")}


class Chain(gymnasium.Env):
    """Starts in a random state and moves left or right."""

    observation_space, action_space = Discrete(STATES), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = int(self.np_random.integers(STATES))
        return self.state, {}

    def step(self, action):
        where = self.state, action
        self.state = int(FOLLOWING[where])
        return self.state, float(REWARD[where]), bool(OVER[where]), False, {}


@pytest.fixture(autouse=True)
def chain():
    gymnasium.register("Links-v0", Chain, max_episode_steps=6)
    yield
    del gymnasium.registry["Links-v0"]


class Silent:
    def stride(self, stride):
        pass

    def evaluate(self, progress):
        pass


def followed(bootstrap, q):
    """Returns π(·|s), the shift of each action's value and the Munchausen bonus, [S, A] each."""
    if bootstrap == "munchausen":
        policy = np.exp((q - q.max(1, keepdims=True)) / TEMPERATURE)
        policy /= policy.sum(1, keepdims=True)
        scaled_log = TEMPERATURE * np.log(policy)
        return policy, -scaled_log, SCALE * np.clip(scaled_log, -1, 0)
    epsilon = {"max": 0, "double": 0, "expected_sarsa": EPSILON}[bootstrap]
    policy = epsilon / 2 + (1 - epsilon) * np.eye(2)[q.argmax(1)]
    return policy, np.zeros_like(q), np.zeros_like(q)


def expected_values(bootstrap):
    """Iterates the backup of expected values [S, A] to its fixed point."""
    q = np.zeros_like(REWARD)
    for _ in range(500):
        policy, shift, bonus = followed(bootstrap, q)
        value = (policy * (q + shift)).sum(1)
        q = REWARD + bonus + GAMMA * np.where(OVER, 0, value[FOLLOWING])
    return q


def regress(samples, weights, fractions):
    """Minimises the quantile Huber loss with κ = 1 by bisection: the loss is convex in θ.

    Args:
        samples: [..., M].
        weights: [..., M].
        fractions: [N].
    """
    low, high = (end(samples, -1, keepdims=True) + np.zeros(len(fractions)) for end in (np.min, np.max))  # [..., N]
    for _ in range(40):
        middle = (low + high) / 2
        error = samples[..., None, :] - middle[..., None]
        pull = (weights[..., None, :] * np.abs(fractions[:, None] - (error < 0)) * error.clip(-1, 1)).sum(-1)
        low, high = np.where(pull > 0, middle, low), np.where(pull > 0, high, middle)
    return middle


def quantile_values(bootstrap, num_quantiles=7):
    """Iterates the backup of quantiles [S, A, N]; their means have another fixed point if policies are stochastic."""
    fractions = (np.arange(num_quantiles) + 0.5) / num_quantiles
    quantiles = np.zeros((*REWARD.shape, num_quantiles))
    for _ in range(80):
        policy, shift, bonus = followed(bootstrap, quantiles.mean(-1))
        nexts = (quantiles + shift[..., None])[FOLLOWING]  # [S, A, A, N]
        samples = (REWARD + bonus)[..., None, None] + GAMMA * np.where(OVER[..., None, None], 0, nexts)
        weights = np.broadcast_to(policy[FOLLOWING][..., None] / num_quantiles, samples.shape)
        quantiles = regress(*(array.reshape(*REWARD.shape, -1) for array in (samples, weights)), fractions)
    return quantiles.mean(-1)


def fixed_point(value, bootstrap):
    return quantile_values(bootstrap) if value == "quantile" else expected_values(bootstrap)


@pytest.mark.parametrize("bootstrap", registry.names("bootstrap"))
@pytest.mark.parametrize("value", VALUES)
def test_values_converge_to_the_fixed_point_of_their_bootstrap(configure, value, bootstrap):
    """Within 0.01, although episodes are truncated after six steps."""
    config = configure(
        "env=frozen_lake", "network=table", f"value={value}", *VALUES[value], f"bootstrap={bootstrap}",
        *BOOTSTRAPS.get(bootstrap, ()), "target=polyak", "target.tau=0.3", "exploration=constant",
        f"exploration.epsilon={EPSILON}", f"discount={GAMMA}", "optimizer=adam",
        "optimizer.lr={start: 0.2, end: 0.0, duration: 500, unit: updates}", "episodes=null", "steps=500",
        "evaluation.interval=null", "logger=csv",
    )  # fmt: skip
    config["env"].update(id="Links-v0", kwargs={})
    experiment = build(config)
    train(experiment.rollout, experiment.due, Silent())
    q = experiment.agent.greedy(np.arange(STATES))
    np.testing.assert_allclose(q, fixed_point(value, bootstrap), atol=0.01)


def test_the_fixed_points_differ():
    """Otherwise the test above would prove little."""
    best, explored, soft = (expected_values(name) for name in ("max", "expected_sarsa", "munchausen"))
    assert min(np.abs(one - other).max() for one, other in ((best, explored), (best, soft), (explored, soft))) > 0.1


def test_the_greedy_fixed_point_by_hand():
    """Staying at the left end is worth 0.2 / (1 − 0.8) = 1, leaving at the right 1; the nearer end is best."""
    expected = [[1.0, -0.05 + 0.8 * 0.8], [0.8, -0.05 + 0.8 * 0.75], [0.05 + 0.8 * 0.8, 0.75], [0.8 * 0.75, 1.0]]
    np.testing.assert_allclose(expected_values("max"), expected)
