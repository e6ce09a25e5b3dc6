from __future__ import annotations

import copy

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st

DRAWS = np.array([0.1, 0.9, 0.5])


@pytest.fixture
def buffer(make):
    return make("buffer", "none", Discrete(30_000), 0.9, 3)


@given(data=st.data())
def test_every_transition_is_sampled_once_as_a_batch_of_one(make, any_episodes, rows_of, data):
    buffer, episodes = make("buffer", "none", Discrete(30_000), 0.5, 3), data.draw(any_episodes)
    seen = []
    for step in episodes.steps:
        buffer.append(*step)
        assert buffer.ready(64)
        seen += rows_of(buffer.sample(DRAWS).transition)
        assert not buffer.ready(1)
    assert sorted(seen) == sorted(episodes.transitions(1, 0.5))


def test_nothing_is_ready_at_first(buffer):
    assert not buffer.ready(1)


def test_an_unused_transition_is_forgotten(buffer):
    for obs in (3, 4):
        buffer.append(0, obs, 1, 2.0, obs + 1, False, False)
    assert buffer.sample(DRAWS).transition.obs.tolist() == [4]
    assert not buffer.ready(1)


@pytest.mark.parametrize(
    ("terminated", "truncated", "discount"),
    [(False, False, 0.9), (False, True, 0.9), (True, False, 0.0), (True, True, 0.0)],
)
def test_only_termination_sets_the_discount_to_zero(buffer, terminated, truncated, discount):
    buffer.append(0, 3, 1, 2.0, 4, terminated, truncated)
    batch = buffer.sample(DRAWS)
    assert batch.transition.discount.tolist() == pytest.approx([discount])
    assert (batch.weights, batch.indices.tolist()) == (None, [0])


@pytest.mark.parametrize("used", [False, True])
def test_saving_keeps_the_transition_and_whether_it_was_used(make, buffer, used):
    buffer.append(0, 3, 1, 2.0, 4, False, False)
    if used:
        buffer.sample(DRAWS)
    other = make("buffer", "none", Discrete(30_000), 0.9, 3)
    other.load_state_dict(copy.deepcopy(buffer.state_dict()))
    assert other.ready(1) is not used
    assert other.sample(DRAWS).transition.obs.tolist() == [3]
