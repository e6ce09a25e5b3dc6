from __future__ import annotations

import pytest

from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError


def epsilons(exploration, num_episodes):
    return [exploration.report(Progress(episode=n))["epsilon"] for n in range(num_episodes)]


def test_epsilon_is_halved_down_to_its_end(make):
    exploration = make("exploration", "exponential", 2, decay=0.5, end=0.2)
    assert epsilons(exploration, 5) == [1.0, 0.5, 0.25, 0.2, 0.2]


def test_without_clamping_epsilon_may_fall_below_its_end(make):
    exploration = make("exploration", "exponential", 2, decay=0.5, end=0.2, clamp=False)
    assert epsilons(exploration, 5) == [1.0, 0.5, 0.25, 0.125, 0.125]


def test_the_notebooks_epsilon_stops_after_919_episodes(make):
    """0.995⁹¹⁸ > 0.01 ≥ 0.995⁹¹⁹."""
    found = epsilons(make("exploration", "exponential", 2, clamp=False), 1000)
    assert found[918] == pytest.approx(0.995**918)
    assert found[919:] == pytest.approx([0.995**919] * 81)
    assert found[919] < 0.01 < found[918]


def test_epsilon_may_fall_with_every_step(make):
    exploration = make("exploration", "exponential", 2, decay=0.5, unit="steps")
    assert exploration.report(Progress(step=3, episode=1)) == {"epsilon": 0.125}


@pytest.mark.parametrize(("key", "value"), [("decay", 0), ("decay", 1.01), ("start", -1), ("end", 2), ("clamp", 1)])
def test_values_out_of_range_are_refused(make, key, value):
    with pytest.raises(ConfigError, match=rf"^exploration\.{key}="):
        make("exploration", "exponential", 2, **{key: value})


def test_epsilon_may_end_at_its_start_but_not_above(make):
    assert epsilons(make("exploration", "exponential", 2, start=0.5, end=0.5), 3) == [0.5] * 3
    with pytest.raises(ConfigError, match=r"^exploration\.end=0\.6: must be at most start=0\.5$"):
        make("exploration", "exponential", 2, start=0.5, end=0.6)
