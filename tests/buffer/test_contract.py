"""What every buffer must do, with every kind of observation."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dqn_lab import registry

SPACES = {"numbers": Box(-1e6, 1e6, (4,)), "states": Discrete(30_000)}
DISCOUNT = 0.9
DRAWS = np.random.default_rng(0).random(16)
pytestmark = [
    pytest.mark.parametrize("name", registry.names("buffer")),
    pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys()),
]


@pytest.fixture
def build(make, name, space):
    return lambda: make("buffer", name, space, DISCOUNT, 2)


@pytest.fixture
def episodes(play):
    """Returns 42 steps of two environments whose episodes terminate, are truncated, or both."""
    endings = [(7, True, False), (1, False, True), (9, False, True), (4, True, True)]
    return play([endings, endings[::-1]])


def append(buffer, space, step):
    def observe(number):
        return np.full(space.shape, number, space.dtype) if isinstance(space, Box) else number

    buffer.append(step.env_index, observe(step.obs), step.action, step.reward, observe(step.next_obs), *step[-2:])


def same(one, other):
    assert (one.weights is None) is (other.weights is None)
    arrays = [
        (*batch.transition, batch.indices, *([] if batch.weights is None else [batch.weights]))
        for batch in (one, other)
    ]
    return all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


def test_nothing_is_ready_at_first(build):
    assert not build().ready(1)


def test_a_batch_has_a_row_for_every_index(build, space, episodes):
    buffer = build()
    for step in episodes.steps:
        append(buffer, space, step)
    assert buffer.ready(len(DRAWS))
    batch = buffer.sample(DRAWS)
    transition, weights, indices = batch.transition, batch.weights, batch.indices
    shape = space.shape or ()
    size = len(indices)
    assert 1 <= size <= len(DRAWS)
    assert transition.obs.shape == transition.next_obs.shape == (size, *shape)
    assert transition.action.shape == transition.reward.shape == transition.discount.shape == (size,)
    assert transition.obs.dtype == transition.next_obs.dtype == space.dtype
    assert transition.action.dtype == indices.dtype == np.int64
    assert batch.rows.shape == (size,)
    assert batch.rows.dtype == np.int64
    assert weights is None or (weights.shape == (size,) and (weights > 0).all())


def test_rows_of_a_batch_index_its_memory(build, space, episodes):
    buffer = build()
    for step in episodes.steps:
        append(buffer, space, step)
    batch = buffer.sample(DRAWS)
    for stored, drawn in zip(batch.memory, batch.transition, strict=True):
        np.testing.assert_array_equal(stored[batch.rows], drawn)


def test_the_same_memory_keeps_the_same_arrays(build, space, episodes):
    """An engine may cache a memory's arrays: their content may change, but no array may be replaced."""
    buffer, known = build(), {}
    for step in episodes.steps:
        append(buffer, space, step)
        if buffer.ready(1):
            memory = buffer.sample(DRAWS[:1]).memory
            assert known.setdefault(id(memory), [memory, *map(id, memory)])[1:] == [*map(id, memory)]


def test_only_true_windows_within_an_episode_are_drawn(build, space, episodes, rows_of):
    buffer, rng = build(), np.random.default_rng(1)
    windows = {row[:2] + row[3:4]: row for n in range(1, 30) for row in episodes.transitions(n, DISCOUNT)}
    added = set()
    for step in episodes.steps:
        append(buffer, space, step)
        added.add(step.obs)
        if buffer.ready(4):
            for row in rows_of(buffer.sample(rng.random(4)).transition):
                assert row[0] in added
                assert row == pytest.approx(windows[row[:2] + row[3:4]], abs=1e-5)


def test_priorities_of_what_was_drawn_are_accepted(build, space, episodes):
    buffer = build()
    for step in episodes.steps:
        append(buffer, space, step)
    indices = buffer.sample(DRAWS).indices
    buffer.update_priorities(indices, np.linspace(0, 5, len(indices), dtype=np.float32))
    assert len(buffer.sample(DRAWS).indices) == len(indices)


def test_the_transitions_of_a_batch_are_a_copy(build, space, episodes):
    """Changes to one do not affect the other."""
    buffer, other = build(), build()
    for step in episodes.steps[:30]:
        append(buffer, space, step)
        append(other, space, step)
    drawn, kept = buffer.sample(DRAWS).transition, other.sample(DRAWS).transition
    for step in episodes.steps[30:]:
        append(buffer, space, step)
        append(other, space, step)
    for field, copy in zip(drawn, kept, strict=True):
        np.testing.assert_array_equal(field, copy)
        field.fill(0)
    assert same(buffer.sample(DRAWS), other.sample(DRAWS))


@pytest.mark.parametrize("cut", [0, 1, 5, 20, 37])
def test_a_buffer_continues_from_its_saved_state(build, space, episodes, cut):
    buffer, other = build(), build()
    for step in episodes.steps[:cut]:
        append(buffer, space, step)
    saved = pickle.dumps(buffer.state_dict())
    other.load_state_dict(pickle.loads(saved))
    for step in episodes.steps[cut : cut + 5] * 3:
        for each in (buffer, other):
            append(each, space, step)
        assert other.ready(4) is buffer.ready(4)
        if buffer.ready(4):
            one, another = buffer.sample(DRAWS[:4]), other.sample(DRAWS[:4])
            assert same(one, another)
            for each in (buffer, other):
                each.update_priorities(one.indices, np.linspace(0, 5, len(one.indices)))


def test_a_copy_of_a_state_restores_the_buffer_as_it_was(build, space, episodes):
    buffer, late, early = build(), build(), build()
    for step in episodes.steps[:20]:
        append(buffer, space, step)
    state = buffer.state_dict()
    copied = pickle.loads(pickle.dumps(state))
    early.load_state_dict(state)
    for step in episodes.steps[20:]:
        append(buffer, space, step)
    late.load_state_dict(copied)
    assert late.ready(4)
    assert same(late.sample(DRAWS[:4]), early.sample(DRAWS[:4]))


def test_no_global_randomness_is_used(build, space, episodes, check_global_randomness):
    with check_global_randomness():
        buffer = build()
        for step in episodes.steps:
            append(buffer, space, step)
        batch = buffer.sample(DRAWS)
        buffer.update_priorities(batch.indices, np.ones(len(batch.indices)))
