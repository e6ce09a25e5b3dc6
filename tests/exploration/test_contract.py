"""What every exploration must do."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from dqn_lab import registry
from dqn_lab.records import table_columns
from dqn_lab.schedule import Progress
from dqn_lab.types import Stateful

A = 4
Q_VALUES = np.array([0.5, -1.0, 2.0, 0.0], np.float32)
pytestmark = pytest.mark.parametrize("name", registry.names("exploration"))


def act(exploration, rng, start=0, num_steps=200):
    """Acts in two environments in turn, in episodes of forty steps."""
    actions = []
    for step in range(start, start + num_steps):
        actions.append(
            exploration.select(lambda: Q_VALUES.copy(), rng.random, step % 2, Progress(step, step // 40, step))
        )
        if step % 40 == 39:
            exploration.end_episode(step % 2)
    return actions


def test_actions_are_whole_numbers_in_range(make, name):
    actions = act(make("exploration", name, A), np.random.default_rng(0))
    assert {type(action) for action in actions} == {int}
    assert set(actions) <= set(range(A))


def test_a_single_action_is_always_taken(make, name):
    exploration, rng = make("exploration", name, 1), np.random.default_rng(0)
    assert {exploration.select(lambda: np.zeros(1), rng.random, 0, Progress(step)) for step in range(50)} == {0}


def test_the_same_generator_gives_the_same_actions(make, name):
    one, other = (act(make("exploration", name, A), np.random.default_rng(5)) for _ in range(2))
    assert one == other


def test_the_report_has_the_columns_declared(make, name):
    exploration, rng = make("exploration", name, A), np.random.default_rng(0)
    for progress in (Progress(), Progress(10**6, 10**4, 10**6)):
        exploration.select(lambda: Q_VALUES, rng.random, 0, progress)
        report = exploration.report(progress)
        assert tuple(report) == tuple(exploration.columns)
        assert all(np.isfinite(value) for value in json.loads(json.dumps(report)).values())
    assert not set(exploration.columns) & set(table_columns()["episodes"])


def test_reporting_changes_nothing(make, name):
    asked, other = make("exploration", name, A), make("exploration", name, A)
    asked.report(Progress(3, 0, 3))
    assert act(asked, np.random.default_rng(1)) == act(other, np.random.default_rng(1))


@pytest.mark.parametrize("num_steps", [0, 3, 57, 450])
def test_an_exploration_continues_from_its_saved_state(make, name, num_steps):
    exploration, other, rng = make("exploration", name, A), make("exploration", name, A), np.random.default_rng(2)
    act(exploration, rng, 0, num_steps)
    if isinstance(exploration, Stateful):
        other.load_state_dict(copy.deepcopy(exploration.state_dict()))
    same_rng = copy.deepcopy(rng)
    assert act(other, same_rng, num_steps) == act(exploration, rng, num_steps)


def test_no_global_randomness_is_used(make, name, check_global_randomness):
    with check_global_randomness():
        act(make("exploration", name, A), np.random.default_rng(0))
