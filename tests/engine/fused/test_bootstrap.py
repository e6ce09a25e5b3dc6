"""Bootstraps in compiled code give the results of those in torch."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab._numba import kernel
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.bootstrap import fill_mixture, fill_soft_mean
from dqn_lab.engine.fused.plan import make_settings
from dqn_lab.engine.fused.workspace import allocate
from tests.engine.fused.compositions import Composition, create, few

EPSILON = 0.3


@kernel
def mixture(q_values, action, rows, plan, settings, space):
    fill_mixture(q_values, action, rows, plan, settings, space)


@kernel
def soft_mean(q_values, action, rows, plan, settings, space):
    fill_soft_mean(q_values, action, rows, plan, settings, space)


def filled(fill, bootstrap, q_values, action):
    """Fills a workspace; returns a function that reads its parts."""
    batch_size, num_actions = q_values.shape[1:]
    engine = Composition(num_actions=num_actions, bootstrap=bootstrap).build("fused", torch.float64)
    plan, rows = engine._plan.copy(), np.random.default_rng(0).permutation(batch_size)
    space, stored = allocate(plan, batch_size, np.float64), np.empty(batch_size, np.int64)
    stored[rows] = action
    settings = make_settings(engine.value, engine.bootstrap, create("optimizer", {"name": "adam"}))
    settings[layout.EPSILON] = EPSILON
    fill(q_values.reshape(-1), stored, rows, plan, settings, space)
    return lambda part, *shape: space[plan[part] :][: np.prod(shape)].reshape(shape)


bootstraps = st.sampled_from([{"name": name} for name in ("max", "double", "expected_sarsa")]) | st.fixed_dictionaries({
    "name": st.just("munchausen"), "temperature": st.floats(0.01, 3), "clip": st.floats(-3, 0),
})  # fmt: skip


def draw(num_actions, seed):
    """Draws Q-values of the passes before an update, [passes, B, A], and actions."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(layout.NUM_PASSES, 33, num_actions)), rng.integers(num_actions, size=33)


@few
@given(bootstraps, st.integers(1, 7), st.integers(0, 99))
def test_probabilities_shift_and_bonus_are_those_of_torch(bootstrap, num_actions, seed):
    q_values, action = draw(num_actions, seed)
    passes = dict(
        zip(["target_next", "online_next", "online_obs", "target_obs"], torch.from_numpy(q_values), strict=True)
    )
    expected = create("bootstrap", bootstrap)(SimpleNamespace(**passes, epsilon=EPSILON), torch.from_numpy(action))
    part = filled(mixture, bootstrap, q_values, action)
    np.testing.assert_allclose(part(layout.PROBABILITIES, 33, num_actions), expected.probabilities, rtol=0, atol=1e-12)
    np.testing.assert_allclose(part(layout.NEXT_SHIFT, 33, num_actions), expected.shift, rtol=0, atol=1e-12)
    np.testing.assert_allclose(part(layout.BONUS, 33), expected.bonus, rtol=0, atol=1e-12)


@few
@given(st.floats(0.01, 3), st.integers(1, 7), st.integers(0, 99))
def test_the_soft_mean_is_that_of_the_mixture(temperature, num_actions, seed):
    bootstrap, (q_values, action) = {"name": "munchausen", "temperature": temperature}, draw(num_actions, seed)
    part, direct = (filled(fill, bootstrap, q_values, action) for fill in (mixture, soft_mean))
    shifted = q_values[layout.TARGET_NEXT] + part(layout.NEXT_SHIFT, 33, num_actions)
    mean = (part(layout.PROBABILITIES, 33, num_actions) * shifted).sum(1)
    np.testing.assert_allclose(direct(layout.MEAN, 33), mean, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(direct(layout.BONUS, 33), part(layout.BONUS, 33))


@pytest.mark.parametrize("bootstrap", ["max", "double"])
def test_the_first_of_several_best_actions_is_taken(bootstrap):
    q_values, action = np.zeros((layout.NUM_PASSES, 4, 3)), np.zeros(4, np.int64)
    q_values[:, 1, 1:] = 1
    part = filled(mixture, {"name": bootstrap}, q_values, action)
    assert part(layout.PROBABILITIES, 4, 3).argmax(1).tolist() == [0, 1, 0, 0]
