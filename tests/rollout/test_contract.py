"""What every rollout must do: strides, state, and the same rows for strides of any length."""

import pytest

from dqn_lab import registry
from dqn_lab.build import build
from dqn_lab.schedule import NEVER, Progress
from dqn_lab.types import Stride

NAMES = [name for name in registry.names("rollout") if name != "auto"]
pytestmark = pytest.mark.parametrize("name", NAMES)
SETTINGS = (
    "logger=csv",
    "env.implementation=auto",
    "train.learning_starts=8",
    "train.batch_size=8",
    "env.max_episode_steps=40",
)


@pytest.fixture
def rollout(configure, name):
    return lambda *overrides: build(configure(f"rollout={name}", *SETTINGS, *overrides)).rollout


def play(rolling, num_steps, length):
    """Advances in strides of at most `length` steps; returns the episodes' rows."""
    end, rows = rolling.progress.step + num_steps, []
    while (step := rolling.progress.step) < end:
        rows += rolling.advance(NEVER._replace(step=min(end, step + length))).episodes
    return rows


def test_a_stride_begins_where_the_one_before_ended(rollout):
    rolling = rollout()
    at = rolling.progress
    assert at == Progress()
    for length in (1, 5, 30, 200, 3):
        stride = rolling.advance(NEVER._replace(step=at.step + length))
        assert isinstance(stride, Stride)
        assert stride.before == at
        assert at.step < stride.after.step <= at.step + length
        assert len(stride.episodes) == stride.after.episode - at.episode
        at = rolling.progress
        assert at == stride.after


def test_a_stride_stops_at_the_requested_update(rollout):
    rolling = rollout("train.num_updates=2")
    for updates in (2, 4, 10):
        while rolling.progress.updates < updates:
            stride = rolling.advance(NEVER._replace(updates=updates))
        assert stride.after.updates == updates


def test_the_length_of_strides_changes_no_row(rollout):
    rows = [play(rollout(), 300, length) for length in (1, 7, 256)]
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0]) >= 7


@pytest.mark.parametrize("at", [3, 100, 171])
def test_a_fresh_rollout_continues_from_a_saved_state(rollout, at):
    saved, other = rollout(), rollout()
    play(saved, at, 256)
    other.load_state_dict(saved.state_dict())
    assert other.progress == saved.progress
    assert play(other, 200, 256) == play(saved, 200, 256)


def test_closing_twice_does_no_harm(rollout):
    rolling = rollout()
    rolling.advance(NEVER._replace(step=3))
    rolling.close()
    rolling.close()
    assert rolling.progress.step == 3
