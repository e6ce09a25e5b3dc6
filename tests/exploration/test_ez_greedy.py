from __future__ import annotations

import copy
from itertools import groupby

import numpy as np
import pytest

from dqn_lab.exploration.ez_greedy import zeta_distribution
from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError


class Fixed:
    """Returns the given numbers, one per draw."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def __call__(self):
        return self.numbers.pop(0)


def greedy():
    return np.array([0.0, 0.0, 1.0, 0.0])


def forbidden():
    raise AssertionError("a repeated action needs no Q-values")


def always_random(make, num_actions=4, **configuration):
    return make("exploration", "ez_greedy", num_actions, start=1, end=1, **configuration)


def test_the_distribution_of_durations_by_hand():
    """1, ¼ and 1/9 sum to 49/36: P(1) = 36/49, P(2) = 9/49, P(3) = 4/49."""
    assert zeta_distribution(2.0, 3) == pytest.approx([36 / 49, 45 / 49, 1])


@pytest.mark.parametrize(("draw", "duration"), [(0.0, 1), (0.73, 1), (0.74, 2), (0.91, 2), (0.92, 3), (0.999, 3)])
def test_a_random_action_is_repeated_for_the_drawn_duration(make, draw, duration):
    """Cumulative probabilities are 0.735, 0.918 and 1; of four actions 0.3 draws action 1; then ε is drawn again."""
    exploration = make("exploration", "ez_greedy", 4, start=0.5, end=0.5, max_duration=3)
    generator = Fixed(0.49, 0.3, draw, 0.51)
    assert [exploration.select(forbidden, generator, 0, Progress(step)) for step in range(duration)] == [1] * duration
    assert generator.numbers == [0.51]
    assert exploration.select(greedy, generator, 0, Progress(duration)) == 2


def test_a_repetition_ends_with_its_episode(make):
    exploration = always_random(make, max_duration=10)
    begun = Fixed(0.0, 0.3, 0.999)
    assert [exploration.select(forbidden, begun, 0, Progress(step)) for step in range(3)] == [1, 1, 1]
    assert exploration.repeated[0][1] > 0
    exploration.end_episode(0)
    assert exploration.select(forbidden, Fixed(0.0, 0.9, 0.0), 0, Progress(3, episode=1)) == 3


def test_each_environment_has_its_own_repetition(make):
    exploration = always_random(make, max_duration=10)
    assert exploration.select(forbidden, Fixed(0.0, 0.3, 0.999), 0, Progress()) == 1
    assert exploration.select(forbidden, Fixed(0.0, 0.9, 0.999), 1, Progress()) == 3
    exploration.end_episode(1)
    assert exploration.select(forbidden, Fixed(), 0, Progress(1)) == 1
    assert exploration.select(forbidden, Fixed(0.0, 0.6, 0.0), 1, Progress(1, episode=1)) == 2


def test_a_repetition_cut_short_is_not_resumed(make):
    """Both steps of the next episode are greedy, although the repetition had steps left."""
    exploration = make("exploration", "ez_greedy", 4, start=0.5, end=0.5)
    exploration.select(forbidden, Fixed(0.0, 0.3, 0.999), 0, Progress())
    exploration.end_episode(0)
    for step in (1, 2):
        assert exploration.select(greedy, Fixed(0.6), 0, Progress(step, episode=1)) == 2


def test_durations_follow_the_zeta_distribution(make):
    """χ² with 4 degrees of freedom, of 5,000 repetitions of up to 5 steps, told apart by their actions."""
    exploration, rng, counts = always_random(make, 10**6, max_duration=5), np.random.default_rng(0), np.zeros(6)
    actions = [exploration.select(forbidden, rng.random, 0, Progress(step)) for step in range(12_000)]
    lengths = [len(list(run)) for _, run in groupby(actions)][:5000]
    counts = np.bincount(lengths, minlength=6)[1:]
    expected = 5000 * np.diff(zeta_distribution(2.0, 5), prepend=0)
    assert len(lengths) == 5000
    assert ((counts - expected) ** 2 / expected).sum() < 18.5  # p = 0.001


def test_repeated_actions_are_uniform(make):
    """χ² with 3 degrees of freedom, of 4,000 actions of one step each."""
    exploration, rng = always_random(make, max_duration=1), np.random.default_rng(0)
    counts = np.bincount([exploration.select(forbidden, rng.random, 0, Progress(step)) for step in range(4000)])
    assert ((counts - 1000) ** 2 / 1000).sum() < 16.3  # p = 0.001


def test_with_durations_of_one_step_it_is_epsilon_greedy(make):
    """ε = 0.4: the greedy one of four actions has probability 0.7; χ² with 3 degrees of freedom."""
    exploration = make("exploration", "ez_greedy", 4, start=0.4, end=0.4, max_duration=1)
    rng, expected = np.random.default_rng(0), np.array([400, 400, 2800, 400])
    counts = np.bincount(
        [exploration.select(greedy, rng.random, 0, Progress(step)) for step in range(4000)], minlength=4
    )
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # p = 0.001


def test_a_repetition_under_way_is_saved(make):
    exploration, other = always_random(make), always_random(make)
    exploration.select(forbidden, Fixed(0.0, 0.3, 0.999), 0, Progress(7, 2))
    other.load_state_dict(copy.deepcopy(exploration.state_dict()))
    assert other.select(forbidden, Fixed(), 0, Progress(8, 2)) == 1
    assert other.repeated[0][1] == exploration.repeated[0][1] - 1


def test_epsilon_falls_linearly(make):
    exploration = make("exploration", "ez_greedy", 4, start=1, end=0, duration=4, unit="episodes")
    assert [exploration.report(Progress(episode=n))["epsilon"] for n in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]


def test_epsilon_of_zero_is_greedy(make):
    exploration, rng = make("exploration", "ez_greedy", 4, start=0, end=0), np.random.default_rng(0)
    assert {exploration.select(greedy, rng.random, 0, Progress(step)) for step in range(200)} == {2}
    assert exploration.select(greedy, Fixed(0.0), 0, Progress()) == 2


def test_a_draw_at_the_boundary_gives_the_longer_duration(make):
    """Duration 1 has the half-open interval [0, P(n = 1))."""
    exploration = always_random(make, max_duration=3)
    exploration.select(forbidden, Fixed(0.0, 0.3, float(exploration.durations[0])), 0, Progress())
    assert exploration.repeated[0] == (1, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("mu", 1), ("max_duration", 0), ("max_duration", 1e7), ("duration", 0), ("start", 1.5), ("end", -1)],
)
def test_values_out_of_range_are_refused(make, key, value):
    with pytest.raises(ConfigError, match=rf"^exploration\.{key}="):
        make("exploration", "ez_greedy", 4, **{key: value})
