from __future__ import annotations

import numpy as np
import pytest

from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError


def epsilons(exploration, *places):
    return [exploration.report(place)["epsilon"] for place in places]


def test_epsilon_falls_linearly_and_stays_at_its_end(make):
    """From 1 to 0.2 over 4 steps: 0.2 a step."""
    exploration = make("exploration", "linear", 2, start=1, end=0.2, duration=4)
    found = epsilons(exploration, *(Progress(step) for step in range(6)))
    assert found == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])


@pytest.mark.parametrize(
    ("unit", "place"),
    [("steps", Progress(step=5)), ("episodes", Progress(episode=5)), ("updates", Progress(updates=5))],
)
def test_epsilon_is_half_way_down_after_half_the_units(make, unit, place):
    exploration = make("exploration", "linear", 2, start=1, end=0, duration=10, unit=unit)
    assert epsilons(exploration, place) == [0.5]


def test_actions_follow_the_current_epsilon(make):
    exploration = make("exploration", "linear", 2, start=1, end=0, duration=100)
    rng = np.random.default_rng(0)

    def greedy_share(step):
        return np.mean(
            [exploration.select(lambda: np.array([0.0, 1.0]), rng.random, 0, Progress(step)) for _ in range(1000)]
        )

    assert [greedy_share(step) for step in (0, 50, 100)] == pytest.approx([0.5, 0.75, 1.0], abs=0.05)


@pytest.mark.parametrize(("key", "value"), [("duration", 0), ("start", 1.5), ("end", -0.1), ("unit", "seconds")])
def test_values_out_of_range_are_refused(make, key, value):
    with pytest.raises(ConfigError, match=rf"^exploration\.{key}="):
        make("exploration", "linear", 2, **{key: value})
