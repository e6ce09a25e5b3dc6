from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer._ring import Ring


def ring_of(capacity, numbers, space=None):
    ring = Ring(space or Discrete(1000), capacity)
    places = [ring.append(number, number % 2, number / 2, number + 1, 0.5) for number in numbers]
    return ring, places


def everything(ring):
    return sorted(ring.gather(np.arange(ring.size)).obs.tolist())


@given(capacity=st.integers(1, 8), count=st.integers(0, 30))
def test_the_oldest_transition_is_forgotten_first(capacity, count):
    ring, _ = ring_of(capacity, range(count))
    assert everything(ring) == list(range(max(0, count - capacity), count))
    assert ring.size == min(count, capacity)


@given(capacity=st.integers(1, 8), count=st.integers(1, 30))
def test_append_tells_where_the_transition_lies(capacity, count):
    ring, places = ring_of(capacity, range(count))
    kept = list(range(max(0, count - capacity), count))
    transition = ring.gather(np.array(places[-len(kept) :]))
    assert transition.obs.tolist() == kept
    assert transition.action.tolist() == [number % 2 for number in kept]
    assert transition.reward.tolist() == [number / 2 for number in kept]
    assert transition.next_obs.tolist() == [number + 1 for number in kept]
    assert transition.discount.tolist() == [0.5] * len(kept)


@pytest.mark.parametrize(
    ("space", "dtype"), [(Box(0, 255, (2, 3), np.uint8), np.uint8), (Box(-1, 1, (2, 3)), np.float32)]
)
def test_observations_keep_their_shape_and_type(space, dtype):
    ring, _ = ring_of(4, [7, 8], space)
    obs = ring.gather(np.array([1, 0, 1])).obs
    assert (obs.shape, obs.dtype) == ((3, 2, 3), dtype)
    assert obs[:, 1, 2].tolist() == [8, 7, 8]


def test_what_was_stored_does_not_change_with_the_callers_array():
    obs = np.zeros(2, np.float32)
    ring = Ring(Box(-1, 1, (2,)), 3)
    ring.append(obs, 0, 0.0, obs, 0.0)
    obs += 1
    assert not ring.gather(np.array([0])).obs.any()


def test_what_was_gathered_is_a_copy():
    ring, _ = ring_of(3, [1, 2])
    ring.gather(np.array([0, 1])).obs[:] = 99
    assert everything(ring) == [1, 2]


def test_memory_is_counted_by_the_arrays():
    ring = Ring(Box(0, 255, (10,), np.uint8), 100)
    assert ring.nbytes == sum(array.nbytes for array in ring.gather(np.zeros(100, np.int64)))


@given(capacity=st.integers(1, 8), before=st.integers(0, 20), after=st.integers(0, 20))
def test_a_ring_goes_on_from_its_saved_state(capacity, before, after):
    ring, _ = ring_of(capacity, range(before))
    other, _ = ring_of(capacity, [500, 501])
    state = ring.state_dict()
    ring.append(900, 0, 0.0, 0, 0.0)
    other.load_state_dict(state)
    for number in range(before, before + after):
        other.append(number, 0, 0.0, 0, 0.0)
    assert everything(other) == list(range(max(0, before + after - capacity), before + after))


def test_only_what_is_stored_is_saved():
    small, _ = ring_of(1000, range(10))
    assert all(len(array) == 10 for array in small.state_dict()["arrays"].values())


def test_more_than_the_machine_has_memory_for_is_refused_before_the_run():
    """Ten million stacks of four Atari frames, twice each, are 564 GB."""
    with pytest.raises(ValueError, match=r"capacity=10000000: needs 564.6 GB, this machine has .* transitions .* fit"):
        Ring(Box(0, 255, (4, 84, 84), np.uint8), 10_000_000)
