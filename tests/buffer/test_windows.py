from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer._windows import Windows


def push(windows, *rewards, terminated=False, truncated=False):
    """Pushes one episode o0, o1, …; only its last step may end it."""
    steps = []
    for t, reward in enumerate(rewards):
        last = t == len(rewards) - 1
        ends = (terminated and last, truncated and last)
        steps += windows.push(0, f"o{t}", t, reward, f"o{t + 1}", *ends)
    return [tuple(step) for step in steps]


def test_three_step_returns_at_a_termination_by_hand():
    """Rewards 1, 2, 4, 8 and γ = ½: 1 + 2/2 + 4/4 = 3, 2 + 4/2 + 8/4 = 6, 4 + 8/2 = 8, 8."""
    assert push(Windows(3, 0.5, 1), 1, 2, 4, 8, terminated=True) == [
        ("o0", 0, 3.0, "o3", 0.125),
        ("o1", 1, 6.0, "o4", 0.0),
        ("o2", 2, 8.0, "o4", 0.0),
        ("o3", 3, 8.0, "o4", 0.0),
    ]


def test_three_step_returns_at_a_truncation_by_hand():
    """The same returns, but the last three bootstrap too, from the last observation: γ³, γ², γ."""
    assert push(Windows(3, 0.5, 1), 1, 2, 4, 8, truncated=True) == [
        ("o0", 0, 3.0, "o3", 0.125),
        ("o1", 1, 6.0, "o4", 0.125),
        ("o2", 2, 8.0, "o4", 0.25),
        ("o3", 3, 8.0, "o4", 0.5),
    ]


def test_termination_overrides_truncation_at_the_same_step():
    assert push(Windows(2, 0.5, 1), 1, terminated=True, truncated=True) == [("o0", 0, 1.0, "o1", 0.0)]


def test_an_episode_shorter_than_the_window_is_flushed():
    assert push(Windows(5, 0.5, 1), 4, 8, truncated=True) == [("o0", 0, 8.0, "o2", 0.25), ("o1", 1, 8.0, "o2", 0.5)]


def test_no_transition_is_returned_before_a_window_is_full():
    windows = Windows(3, 0.5, 1)
    assert push(windows, 1, 2) == []


@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_discounts_zero_and_one(discount):
    ((*_, reward, _, future),) = push(Windows(3, discount, 1), 1, 2, 4)
    assert (reward, future) == ((7.0, 1.0) if discount else (1.0, 0.0))


@given(data=st.data(), n_step=st.integers(1, 5), discount=st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_every_step_starts_exactly_one_transition_within_its_episode(any_episodes, data, n_step, discount):
    episodes = data.draw(any_episodes)
    windows = Windows(n_step, discount, 3)
    given_out = [tuple(step) for pushed in episodes.steps for step in windows.push(*pushed)]
    expected = episodes.transitions(n_step, discount)
    assert [step[0] for step in sorted(given_out)] == [step[0] for step in sorted(expected)]
    np.testing.assert_allclose(sorted(given_out), sorted(expected), atol=1e-12)


@given(data=st.data(), discount=st.floats(0, 1))
def test_windows_of_one_step_are_the_steps_themselves(any_episodes, data, discount):
    for pushed in data.draw(any_episodes).steps:
        (step,) = Windows(1, discount, 3).push(*pushed)
        plain = (pushed.obs, pushed.action, pushed.reward, pushed.next_obs, 0.0 if pushed.terminated else discount)
        assert tuple(step) == plain


@given(data=st.data(), n_step=st.integers(1, 5))
def test_unfinished_windows_survive_saving(any_episodes, data, n_step):
    steps = data.draw(any_episodes).steps
    cut = data.draw(st.integers(0, len(steps)))
    windows, other = Windows(n_step, 0.5, 3), Windows(n_step, 0.5, 3)
    for pushed in steps[:cut]:
        list(windows.push(*pushed))
    other.load_state_dict(copy.deepcopy(windows.state_dict()))
    for pushed in steps[cut:]:
        assert list(other.push(*pushed)) == list(windows.push(*pushed))
