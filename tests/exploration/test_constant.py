from __future__ import annotations

import numpy as np
import pytest

from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError

Q_VALUES = np.array([0.0, 1.0, 5.0, 2.0])


def forbidden():
    raise AssertionError("a random action needs no Q-values")


def test_epsilon_never_changes(make):
    exploration = make("exploration", "constant", 4, epsilon=0.3)
    assert [exploration.report(Progress(n, n, n)) for n in (0, 1, 10**7)] == [{"epsilon": 0.3}] * 3


def test_a_random_action_is_uniform_over_all_of_them(make):
    """With ε = 0.4 the greedy action has probability 0.6 + 0.4 / 4 = 0.7, the others 0.1; χ², 3 degrees of freedom."""
    exploration, rng = make("exploration", "constant", 4, epsilon=0.4), np.random.default_rng(0)
    counts = np.bincount(
        [exploration.select(lambda: Q_VALUES, rng.random, 0, Progress()) for _ in range(4000)], minlength=4
    )
    expected = np.array([400, 400, 2800, 400])
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # p = 0.001


def test_epsilon_of_one_never_asks_for_q_values(make):
    exploration, rng = make("exploration", "constant", 4, epsilon=1), np.random.default_rng(0)
    assert {exploration.select(forbidden, rng.random, 0, Progress()) for _ in range(100)} == {0, 1, 2, 3}


def test_epsilon_of_zero_is_greedy(make):
    exploration, rng = make("exploration", "constant", 4, epsilon=0), np.random.default_rng(0)
    assert {exploration.select(lambda: Q_VALUES, rng.random, 0, Progress()) for _ in range(200)} == {2}


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, True, "0.1"])
def test_an_epsilon_that_is_not_a_probability_is_refused(make, epsilon):
    with pytest.raises(ConfigError, match=r"^exploration\.epsilon="):
        make("exploration", "constant", 4, epsilon=epsilon)
