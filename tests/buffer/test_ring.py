from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer._ring import Ring
from dqn_lab.statefile import Rows, SavedRows
from dqn_lab.types import StateError


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
def test_append_returns_the_index_of_the_transition(capacity, count):
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
def test_a_ring_continues_from_its_saved_state(capacity, before, after):
    ring, _ = ring_of(capacity, range(before))
    other, _ = ring_of(capacity, [500, 501])
    other.load_state_dict(ring.state_dict())
    ring.append(900, 0, 0.0, 0, 0.0)
    for number in range(before, before + after):
        other.append(number, 0, 0.0, 0, 0.0)
    assert everything(other) == list(range(max(0, before + after - capacity), before + after))


def test_only_what_is_stored_is_saved():
    small, _ = ring_of(1000, range(10))
    for rows in small.state_dict().values():
        assert sum(len(piece) for _, piece in rows.pieces()) == 10
        assert [at for at, _ in rows.pieces(since=4)] == [4]


@pytest.mark.parametrize("written", [0, 3, 7, 8, 23])
@pytest.mark.parametrize("since", [0, 5, 22])
def test_a_ring_is_restored_from_saved_and_newer_rows(written, since):
    """Rows saved earlier and rows written since restore a ring of the same capacity."""
    ring, earlier = np.zeros(7, np.int64), np.zeros(7, np.int64)
    for number in range(written):
        ring[number % 7] = number
        if number < since:
            earlier[number % 7] = number
    saved = SavedRows(written)
    before = [(at, rows.copy()) for at, rows in Rows(earlier, min(since, written)).pieces()]
    saved.pieces = [*before, *Rows(ring, written).pieces(since=min(since, written))]
    restored = np.zeros(7, np.int64)
    saved.copy_to(restored)
    assert restored.tolist() == ring.tolist()


def test_rows_that_are_missing_are_noticed():
    saved = SavedRows(10)
    saved.pieces = [(0, np.arange(4)), (6, np.arange(4))]
    with pytest.raises(StateError, match="rows of the replay are missing"):
        saved.copy_to(np.zeros(20, np.int64))


def test_a_replay_larger_than_the_memory_is_refused_before_the_run():
    """Ten million transitions of two stacks of four Atari frames each need 564 GB."""
    with pytest.raises(ValueError, match=r"capacity=10000000: needs 564.6 GB, this machine has .* transitions .* fit"):
        Ring(Box(0, 255, (4, 84, 84), np.uint8), 10_000_000)
