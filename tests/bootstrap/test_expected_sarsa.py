from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from dqn_lab.bootstrap.expected_sarsa import ExpectedSarsa, epsilon_greedy
from dqn_lab.bootstrap.max import Max
from dqn_lab.build import build
from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError
from dqn_lab.value.expected import q_learning_target

ROWS = st.lists(st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=4, max_size=4)
EPSILON = st.floats(0, 1)


def target(bootstrap, rows, epsilon):
    q_values = SimpleNamespace(target_next=tensor(rows), epsilon=epsilon)
    answer = bootstrap(q_values, torch.zeros(len(rows), dtype=torch.long))
    ones = torch.ones(len(rows))
    return q_learning_target(ones, ones / 2, q_values.target_next, answer)


def test_the_policy_by_hand():
    """With ε = 0.3 and three actions: 0.1 each, and 0.7 more for the greedy action."""
    torch.testing.assert_close(epsilon_greedy(tensor([[1.0, 5.0, 2.0]]), 0.3), tensor([[0.1, 0.8, 0.1]]))


def test_of_several_greedy_actions_the_first_is_taken():
    torch.testing.assert_close(epsilon_greedy(tensor([[0.0, 5.0, 5.0]]), 0.3), tensor([[0.1, 0.8, 0.1]]))


def test_the_target_by_hand():
    """With ε = 0.5 and Q = 1, 3: the value is 0.25 · 1 + 0.75 · 3 = 2.5, the target 1 + ½ · 2.5."""
    assert target(ExpectedSarsa(), [[1.0, 3.0]], 0.5).tolist() == [2.25]


def test_only_the_target_network_is_evaluated():
    """The bootstrap needs neither the online network nor Q-values of obs."""
    answer = ExpectedSarsa()(SimpleNamespace(target_next=tensor([[1.0, 2.0]]), epsilon=0.2), tensor([0]))
    assert not answer.shift.any()
    assert not answer.bonus.any()


@given(ROWS)
def test_without_exploration_it_is_max(rows):
    q_values = SimpleNamespace(target_next=tensor(rows), epsilon=0.0)
    for one, other in zip(ExpectedSarsa()(q_values, None), Max()(q_values, None), strict=True):
        assert torch.equal(one, other)


@given(ROWS)
def test_with_epsilon_one_it_is_the_mean(rows):
    torch.testing.assert_close(target(ExpectedSarsa(), rows, 1.0), 1 + tensor(rows).mean(1) / 2)


@given(ROWS, EPSILON, EPSILON)
def test_more_exploration_lowers_the_target(rows, one, other):
    low, high = (target(ExpectedSarsa(), rows, epsilon) for epsilon in (max(one, other), min(one, other)))
    assert (low <= high + 1e-5).all()


@pytest.mark.parametrize("exploration", ["ez_greedy", "boltzmann"])
def test_an_exploration_that_is_not_epsilon_greedy_is_refused(configure, exploration):
    with pytest.raises(ConfigError) as error:
        configure("bootstrap=expected_sarsa", f"exploration={exploration}")
    assert error.value.problems == (
        f"bootstrap=expected_sarsa: needs ε-greedy exploration, which exploration={exploration} is not",
    )


def test_a_noisy_network_is_refused(configure):
    config = configure("bootstrap=expected_sarsa")
    assert list(ExpectedSarsa.check(config)) == []
    config["network"]["noisy"] = True
    (line,) = ExpectedSarsa.check(config)
    assert line == "bootstrap=expected_sarsa: needs ε-greedy exploration, and network.noisy explores by itself"


@pytest.mark.parametrize("exploration", ["constant", "exponential", "linear", "piecewise", "none"])
def test_the_agents_epsilon_is_the_one_it_explores_with(configure, exploration):
    agent = build(configure("bootstrap=expected_sarsa", f"exploration={exploration}")).agent
    for progress in (Progress(), Progress(5_000, 80, 4_000), Progress(10**6, 10**4, 10**6)):
        assert agent.epsilon(progress) == agent.exploration.report(progress)["epsilon"]


def test_other_bootstraps_get_no_epsilon(configure):
    assert build(configure("bootstrap=max", "exploration=constant")).agent.epsilon is None


def test_engine_auto_chooses_fused(configure):
    assert build(configure("bootstrap=expected_sarsa", "episodes=100")).choices["engine"].name == "fused"
