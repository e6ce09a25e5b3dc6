from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.exploration.piecewise import PiecewiseLinear
from dqn_lab.schedule import Linear, Progress
from dqn_lab.types import ConfigError

AT = st.lists(st.integers(1, 60), max_size=5, unique=True).map(lambda at: (0, *sorted(at)))


def epsilons(exploration, places):
    return [exploration.report(place)["epsilon"] for place in places]


def test_epsilon_is_linear_between_points(make):
    """From 1 at step 0 to 0.6 at step 4, to 0.8 at step 6, to 0.2 at step 7, where it stays."""
    exploration = make("exploration", "piecewise", 2, points=[[0, 1], [4, 0.6], [6, 0.8], [7, 0.2]])
    found = epsilons(exploration, [Progress(step) for step in range(10)])
    assert found == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.7, 0.8, 0.2, 0.2, 0.2])


def test_points_may_be_counted_in_episodes(make):
    exploration = make("exploration", "piecewise", 2, points=[[0, 1], [10, 0]], unit="episodes")
    assert epsilons(exploration, [Progress(step=99, episode=5)]) == [0.5]


def test_one_point_is_a_constant(make):
    assert epsilons(make("exploration", "piecewise", 2, points=[[0, 0.3]]), [Progress(), Progress(10**9)]) == [0.3, 0.3]


@given(at=AT, data=st.data())
def test_a_schedule_meets_its_points_exactly_and_stays_between_them(at, data):
    values = data.draw(st.lists(st.floats(0, 1), min_size=len(at), max_size=len(at)))
    schedule = PiecewiseLinear(at, values, "steps")
    assert [schedule(Progress(place)) for place in at] == values
    for (start, first), (end, last) in pairwise(zip(at, values, strict=True)):
        inside = [schedule(Progress(place)) for place in range(start, end)]
        assert inside == sorted(inside, reverse=first > last)
        assert all(min(first, last) <= value <= max(first, last) for value in inside)
    assert schedule(Progress(at[-1] + 1000)) == values[-1]


@given(start=st.floats(0, 1), end=st.floats(0, 1), duration=st.integers(1, 50), step=st.integers(0, 60))
def test_two_points_are_a_line(start, end, duration, step):
    line = Linear(start, end, duration, "steps")
    assert PiecewiseLinear((0, duration), (start, end), "steps")(Progress(step)) == line(Progress(step))


@pytest.mark.parametrize("points", [[[1, 0.5]], [[0, 1], [0, 0.5]], [[0, 1], [5, 0.5], [4, 0.1]]])
def test_points_begin_at_zero_and_rise(make, points):
    with pytest.raises(ConfigError, match=r"^exploration\.points=\[\[.*: the first must be at 0, each next one later$"):
        make("exploration", "piecewise", 2, points=points)


@pytest.mark.parametrize("points", [[], [[0, 1.5]], [[-1, 1]], [[0.5, 1]], [[0]], [[0, 1, 2]], 0.5])
def test_a_point_is_a_count_and_a_probability(make, points):
    with pytest.raises(ConfigError, match=r"^exploration\.points"):
        make("exploration", "piecewise", 2, points=points)


def test_whole_numbers_of_units_may_be_written_with_an_exponent(make):
    assert epsilons(make("exploration", "piecewise", 2, points=[[0, 1], [1e4, 0]]), [Progress(5000)]) == [0.5]


def test_points_cannot_be_counted_in_updates(make):
    with pytest.raises(ConfigError, match=r"^exploration\.unit=updates"):
        make("exploration", "piecewise", 2, unit="updates")
