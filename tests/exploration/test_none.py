from __future__ import annotations

import numpy as np

from dqn_lab.schedule import Progress


def test_the_greedy_action_is_always_taken(make):
    exploration, rng = make("exploration", "none", 3), np.random.default_rng(0)
    actions = {
        exploration.select(lambda: np.array([1.0, 3.0, 2.0]), rng.random, 0, Progress(step)) for step in range(200)
    }
    assert actions == {1}


def test_epsilon_is_reported_as_zero(make):
    assert make("exploration", "none", 3).report(Progress(5)) == {"epsilon": 0.0}


def test_a_draw_of_zero_is_greedy_too(make):
    """Uniform numbers are from [0, 1), 0 included."""
    assert make("exploration", "none", 3).select(lambda: np.array([1.0, 3.0, 2.0]), lambda: 0.0, 0, Progress()) == 1
