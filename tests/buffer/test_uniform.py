from __future__ import annotations

import itertools
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer.uniform import Uniform, without_replacement

SPACE = Discrete(30_000)
BELOW_ONE = np.nextafter(1.0, 0.0)


def midpoints(size):
    return (np.arange(size) + 0.5) / size


def filled(numbers, capacity=100, **configuration):
    buffer = Uniform(SPACE, 0.5, 3, capacity=capacity, **configuration)
    for number in numbers:
        buffer.append(0, number, 0, 0.0, number + 1, False, False)
    return buffer


@given(data=st.data(), n_step=st.integers(1, 4), capacity=st.integers(1, 60), replacement=st.booleans())
def test_the_latest_transitions_can_be_drawn_and_no_others(any_episodes, rows_of, data, n_step, capacity, replacement):
    episodes = data.draw(any_episodes)
    buffer = Uniform(SPACE, 0.5, 3, capacity=capacity, n_step=n_step, replacement=replacement)
    for step in episodes.steps:
        buffer.append(*step)
    drawn = rows_of(buffer.sample(midpoints(len(buffer))).transition)
    expected = episodes.transitions(n_step, 0.5)
    assert len(buffer) == min(capacity, len(expected))
    assert len(set(drawn)) == len(buffer)
    assert set(drawn) <= set(expected)


@given(data=st.data())
def test_one_step_windows_store_the_steps_unchanged(any_episodes, rows_of, data):
    steps, buffer = data.draw(any_episodes).steps, Uniform(SPACE, 0.5, 3, capacity=100, n_step=1)
    for step in steps:
        buffer.append(*step)
    plain = [(s.obs, s.action, s.reward, s.next_obs, 0.0 if s.terminated else 0.5) for s in steps]
    assert rows_of(buffer.sample(midpoints(len(steps))).transition) == plain


@pytest.mark.parametrize("count", [5, 23])
def test_the_oldest_transition_is_forgotten_first(count):
    drawn = filled(range(count), capacity=10).sample(midpoints(min(count, 10))).transition.obs
    assert sorted(drawn.tolist()) == list(range(count))[-10:]


def test_equal_parts_of_the_unit_interval_are_drawn_alike():
    buffer = filled(range(7))
    assert np.bincount(buffer.sample(midpoints(7 * 50)).indices).tolist() == [50] * 7


@given(st.integers(1, 60))
def test_the_least_and_the_largest_draw_give_the_first_and_the_last(size):
    assert filled(range(size)).sample(np.array([0.0, BELOW_ONE])).indices.tolist() == [0, size - 1]


@given(data=st.data(), size=st.integers(1, 60))
def test_without_replacement_indices_are_distinct(data, size):
    draws = data.draw(st.lists(st.floats(0, BELOW_ONE), min_size=1, max_size=size))
    indices = without_replacement(np.array(draws), size).tolist()
    assert len(set(indices)) == len(draws)
    assert set(indices) <= set(range(size))


@pytest.mark.parametrize(("size", "batch"), [(4, 3), (5, 2), (4, 4), (1, 1)])
def test_without_replacement_every_ordered_choice_is_equally_likely(size, batch):
    """One draw in each of size · (size − 1) · … equal cells yields every ordered choice exactly once."""
    cells = itertools.product(*(midpoints(size - position) for position in range(batch)))
    choices = sorted(tuple(without_replacement(np.array(draws), size).tolist()) for draws in cells)
    assert choices == sorted(itertools.permutations(range(size), batch))


def test_without_replacement_a_batch_holds_no_transition_twice():
    buffer, rng = filled(range(10), replacement=False), np.random.default_rng(0)
    for _ in range(20):
        assert len(set(buffer.sample(rng.random(8)).transition.obs.tolist())) == 8


def test_with_replacement_a_batch_may_hold_a_transition_twice():
    assert filled(range(10)).sample(np.full(3, 0.25)).indices.tolist() == [2, 2, 2]


@pytest.mark.parametrize(("count", "n_step", "ready"), [(7, 1, False), (8, 1, True), (9, 3, False), (10, 3, True)])
def test_a_buffer_is_ready_once_a_whole_batch_is_stored(count, n_step, ready):
    assert filled(range(count), n_step=n_step).ready(8) is ready


@given(data=st.data(), n_step=st.integers(1, 4), replacement=st.booleans())
def test_saving_leaves_the_next_sample_unchanged(any_episodes, rows_of, data, n_step, replacement):
    steps = data.draw(any_episodes).steps
    cut = data.draw(st.integers(0, len(steps)))
    buffer, other = (Uniform(SPACE, 0.5, 3, capacity=9, n_step=n_step, replacement=replacement) for _ in range(2))
    for step in steps[:cut]:
        buffer.append(*step)
    other.load_state_dict(pickle.loads(pickle.dumps(buffer.state_dict())))
    for step in steps[cut:]:
        buffer.append(*step)
        other.append(*step)
    assert len(other) == len(buffer)
    draws = np.array([0.9, 0.1, 0.5])[: len(buffer)]
    assert rows_of(other.sample(draws).transition) == rows_of(buffer.sample(draws).transition)


def test_a_million_transitions_of_cartpole_fit_into_fifty_megabytes():
    with gymnasium.make("CartPole-v1") as env:
        assert Uniform(env.observation_space, 0.99, 1, capacity=1_000_000).nbytes <= 50e6


@pytest.mark.parametrize(
    ("capacity", "n_step", "batch_size", "problems"),
    [
        (64, 64, 64, []),
        (63, 1, 64, ["train.batch_size=64: must be at most buffer.capacity=63"]),
        (64, 65, 64, ["buffer.n_step=65: must be at most buffer.capacity=64"]),
        (2, 3, 64, ["train.batch_size=64: ", "buffer.n_step=3: "]),
    ],
)
def test_settings_that_never_fit_are_refused_before_a_run(capacity, n_step, batch_size, problems):
    config = {"buffer": {"capacity": capacity, "n_step": n_step}, "train": {"batch_size": batch_size}}
    found = list(Uniform.check(config))
    assert len(found) == len(problems)
    assert all(line.startswith(problem) for line, problem in zip(found, problems, strict=True))
