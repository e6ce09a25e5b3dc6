"""Tabular Q-learning is a composition: it computes the same as a loop of ten lines, and finds Q*."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from dqn_lab.build import build
from dqn_lab.cli._quiet import Quiet
from dqn_lab.run import Run
from dqn_lab.train import train

Q_LEARNING = ("experiment=q_learning", "env=frozen_lake", "env.kwargs.is_slippery=false", "logger=csv")
LITTLE_LAKE = "++env.kwargs.desc=[SFF,FHF,FFG]"


class Silent:
    def stride(self, stride):
        pass

    def evaluate(self, progress):
        pass


@pytest.fixture
def learn(configure):
    """Trains with the real loop; returns the agent's table [S, A] and every step it observed."""

    def run(*overrides):
        experiment = build(configure("evaluation.interval=null", *overrides))
        agent, seen = experiment.agent, []
        remember = agent.observe
        agent.observe = lambda *step: (seen.append(step), remember(*step))
        train(experiment.rollout, experiment.due, Silent())
        return agent.engine.online.weight.detach().numpy(), seen

    return run


def q_learning(steps, q, alpha, discount):
    """Applies Watkins' rule, in single precision like the networks."""
    alpha, discount = np.float32(alpha), np.float32(discount)
    for obs, action, reward, next_obs, terminated, _ in steps:
        following = np.float32(0) if terminated else discount * q[next_obs].max()
        q[obs, action] += alpha * (np.float32(reward) + following - q[obs, action])
    return q


@pytest.mark.parametrize("env", ["frozen_lake", "cliff_walking", "taxi"])
def test_the_real_loop_computes_watkins_rule_bit_for_bit(learn, env):
    """Q ← Q + α (r + γ max Q − Q), with α = ½ a power of two, so that every order of operations rounds the same."""
    overrides = (f"env={env}", "discount=0.9", "network.initial=1", "episodes=null", "steps=300")
    table, seen = learn("experiment=q_learning", *overrides)
    assert len(seen) == 300
    np.testing.assert_array_equal(table, q_learning(seen, np.ones_like(table), 0.5, 0.9))
    assert np.ptp(table) > 0.5


def test_the_learning_rate_is_twice_the_optimizers(learn):
    table, seen = learn(*Q_LEARNING, "optimizer.lr=0.05", "discount=0.95", "network.initial=0.7", "episodes=60")
    expected = q_learning(seen, np.full_like(table, 0.7), 0.1, 0.95)
    np.testing.assert_allclose(table, expected, rtol=1e-5)
    assert np.ptp(table) > 0.1


def test_a_time_limit_is_not_a_termination(learn):
    """Truncated after three steps, no episode terminates, and every target bootstraps."""
    overrides = ("env=cliff_walking", "env.max_episode_steps=3", "discount=0.5", "episodes=null", "steps=400")
    table, seen = learn("experiment=q_learning", *overrides)
    assert sum(truncated for *_, truncated in seen) > 100
    assert not any(terminated for *_, terminated, _ in seen)
    np.testing.assert_array_equal(table, q_learning(seen, np.zeros_like(table), 0.5, 0.5))
    assert table.min() < -1.5


def value_iteration(env, discount):
    """Computes Q* [S, A] of a toy text environment's model."""
    model = env.unwrapped.P
    q = np.zeros((len(model), env.action_space.n))
    for _ in range(1000):
        value = q.max(1)
        for s, a in np.ndindex(*q.shape):
            q[s, a] = sum(p * (r + discount * value[t] * (not over)) for p, t, r, over in model[s][a])
    return q


def test_q_learning_finds_the_q_values_of_value_iteration(learn):
    """With α = 1 in a deterministic environment where every action is tried; holes and the goal are worth 0."""
    overrides = ("optimizer.lr=0.5", "exploration.epsilon=1", "discount=0.9", "episodes=null", "steps=1500")
    table, _ = learn(*Q_LEARNING, LITTLE_LAKE, *overrides)
    with gymnasium.make("FrozenLake-v1", desc=["SFF", "FHF", "FFG"], is_slippery=False) as env:
        np.testing.assert_allclose(table, value_iteration(env, 0.9), atol=1e-6)


@pytest.mark.slow
def test_the_recipe_takes_the_shortest_path_along_the_cliff(configure, tmp_path):
    """Thirteen steps, and a reward of −1 for each."""
    overrides = ("logger=csv", "episodes=120", "evaluation.interval=null", "evaluation.final_num_episodes=1")
    record = Run(build(configure("experiment=q_learning", *overrides)), tmp_path / "run", {}).execute(Quiet())
    assert record["scores"]["final"]["return_mean"] == -13
