from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.exploration.boltzmann import softmax_weights
from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError

BELOW_ONE = float(np.nextafter(1.0, 0.0))
Q_VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6)


class Fixed:
    """Returns the same number on every draw, and counts the draws."""

    def __init__(self, number):
        self.number, self.asked = number, 0

    def __call__(self):
        self.asked += 1
        return self.number


def choose(exploration, q_values, number, progress=None):
    return exploration.select(lambda: np.array(q_values, np.float32), Fixed(number), 0, progress or Progress())


def test_actions_are_those_worked_out_by_hand(make):
    """At temperature 2, Q = 0, 2 ln 2, 2 ln 5 have weights 1, 2, 5: draws below ⅛ give action 0, below ⅜ action 1."""
    exploration, q_values = make("exploration", "boltzmann", 3, temperature=2), [0, 2 * math.log(2), 2 * math.log(5)]
    assert softmax_weights(q_values, 2.0) == pytest.approx([1 / 5, 2 / 5, 1])
    draws = [0.0, 0.124, 0.126, 0.374, 0.376, BELOW_ONE]
    assert [choose(exploration, q_values, draw) for draw in draws] == [0, 0, 1, 1, 2, 2]


def test_actions_are_as_frequent_as_their_softmax(make):
    """χ² with 2 degrees of freedom, of 8,000 actions with probabilities ⅛, ¼ and ⅝."""
    exploration, rng = make("exploration", "boltzmann", 3), np.random.default_rng(0)
    q_values = np.log([1.0, 2.0, 5.0])
    counts = np.bincount([exploration.select(lambda: q_values, rng.random, 0, Progress()) for _ in range(8000)])
    expected = np.array([1000, 2000, 5000])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # p = 0.001


def test_an_action_costs_one_uniform_number(make):
    generator = Fixed(0.5)
    make("exploration", "boltzmann", 3).select(lambda: np.zeros(3), generator, 0, Progress())
    assert generator.asked == 1


@given(q_values=Q_VALUES, shift=st.integers(-1000, 1000))
def test_only_differences_of_q_values_count(q_values, shift):
    q_values = [float(round(q_value)) for q_value in q_values]
    assert softmax_weights([q_value + shift for q_value in q_values], 3.0) == softmax_weights(q_values, 3.0)


@given(q_values=Q_VALUES, temperature=st.floats(1e-300, 1e300), draw=st.floats(0, BELOW_ONE))
def test_q_values_and_temperatures_of_any_size_work(make, q_values, temperature, draw):
    """The best action has the largest weight, 1, and no action of weight 0 is chosen."""
    weights = softmax_weights(q_values, temperature)
    assert max(weights) == weights[q_values.index(max(q_values))] == 1
    exploration = make("exploration", "boltzmann", len(q_values), temperature=temperature)
    chosen = exploration.select(lambda: np.array(q_values), Fixed(draw), 0, Progress())
    assert 0 <= chosen < len(q_values)
    assert weights[chosen] > 0


def test_a_high_temperature_is_uniform_and_a_low_one_greedy(make):
    hot, cold = (make("exploration", "boltzmann", 4, temperature=temperature) for temperature in (1e9, 1e-9))
    draws = [0.1, 0.3, 0.6, 0.9]
    assert [choose(hot, [0, 5, 1, 2], draw) for draw in draws] == [0, 1, 2, 3]
    assert [choose(cold, [0, 5, 1, 2], draw) for draw in draws] == [1, 1, 1, 1]


def test_the_temperature_may_fall_to_zero_which_is_greedy(make):
    """From 4 to 0 over 8 steps; at 0, equally good actions are equally likely."""
    ramp = {"start": 4, "end": 0, "duration": 8, "unit": "steps"}
    exploration = make("exploration", "boltzmann", 3, temperature=ramp)
    assert [exploration.report(Progress(step)) for step in (0, 2, 8)] == [{"temperature": t} for t in (4, 3, 0)]
    assert [choose(exploration, [1, 2, 2], draw, Progress(8)) for draw in (0.0, 0.49, 0.51, 0.99)] == [1, 1, 2, 2]


@pytest.mark.parametrize("temperature", [0, -1, "hot", {"start": 0, "end": 0, "duration": 1, "unit": "steps"}])
def test_a_temperature_that_is_not_positive_is_refused(make, temperature):
    with pytest.raises(ConfigError, match=r"^exploration\.temperature"):
        make("exploration", "boltzmann", 2, temperature=temperature)


@pytest.mark.parametrize("number", [0.0, 0.5, BELOW_ONE])
def test_nan_q_values_still_give_an_action(make, number):
    """The loss reports the nan."""
    assert choose(make("exploration", "boltzmann", 2), [math.nan, math.nan], number) in (0, 1)
