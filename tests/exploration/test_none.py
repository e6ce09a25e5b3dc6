from __future__ import annotations

import numpy as np

from dqn_lab.schedule import Progress


def test_the_greedy_action_is_always_taken(make):
    exploration, rng = make("exploration", "none", 3), np.random.default_rng(0)
    actions = {exploration.select(lambda: np.array([1.0, 3.0, 2.0]), rng, Progress(step)) for step in range(200)}
    assert actions == {1}


def test_epsilon_is_reported_as_nothing(make):
    assert make("exploration", "none", 3).report(Progress(5)) == {"epsilon": 0.0}
