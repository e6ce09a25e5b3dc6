from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.network.table import Table
from dqn_lab.seeding import torch_generator
from dqn_lab.types import ConfigError


def table(space, num_actions=2, num_outputs=1, **configuration):
    return Table(space, num_actions, num_outputs, torch_generator(0, "network"), **configuration)


def rows(space, obs, **configuration):
    return table(space, **configuration).rows(torch.as_tensor(np.array(obs, space.dtype))).tolist()


def test_each_state_has_its_own_row():
    network = table(Discrete(3), num_actions=2, num_outputs=2)
    with torch.no_grad():
        network.weight.copy_(torch.arange(12).view(3, 4))
    assert network(torch.tensor([2, 0])).tolist() == [[[8, 9], [10, 11]], [[0, 1], [2, 3]]]


def test_states_may_start_at_another_number():
    assert rows(Discrete(3, start=-1), [-1, 0, 1]) == [0, 1, 2]
    assert rows(MultiDiscrete([2, 3], start=[5, 1]), [[5, 1], [5, 3], [6, 1]]) == [0, 2, 3]
    assert rows(MultiBinary(3), [[0, 0, 1], [1, 0, 0], [1, 1, 1]]) == [1, 4, 7]


@pytest.mark.parametrize("space", [Discrete(7, start=2), MultiDiscrete([3, 4, 2]), MultiDiscrete([3, 2], start=[1, 2])])
def test_no_two_states_share_a_row(space):
    sizes = np.atleast_1d(getattr(space, "nvec", getattr(space, "n", None)))
    states = np.indices(sizes).reshape(len(sizes), -1).T + space.start
    found = rows(space, states if space.shape else states[:, 0])
    assert sorted(found) == list(range(math.prod(sizes)))
    assert len(table(space).weight) == len(found)


def test_bins_by_hand():
    """Four bins from −1 to 1 are ½ wide; an inner edge belongs to the bin above it, and the upper end to the last."""
    obs = [[-1.0], [-0.51], [-0.5], [0.0], [0.49], [0.5], [1.0]]
    assert rows(Box(-1, 1, (1,)), obs, bins=4) == [0, 0, 1, 2, 2, 3, 3]


def test_dimensions_may_have_their_own_bins_and_ends():
    """Two bins of [0, 1] for the first, three of [−3, 3] for the second, which is unbounded."""
    space = Box(np.array([0, -np.inf], np.float32), np.array([1, np.inf], np.float32))
    obs = [[0.4, -2.0], [0.4, 0.0], [0.6, 0.0], [0.6, 2.0]]
    assert rows(space, obs, bins=[2, 3], low=[None, -3.0], high=[None, 3.0]) == [0, 1, 4, 5]


def test_booleans_are_numbers_in_two_bins():
    assert rows(Box(0, 1, (2,), bool), [[False, False], [False, True], [True, True]], bins=2) == [0, 1, 3]


def test_values_beyond_an_end_belong_to_the_last_bin_there():
    obs = [[-5.0, 0.1], [5.0, 0.1], [0.1, -np.inf], [0.1, np.inf]]
    found = rows(Box(-np.inf, np.inf, (2,)), obs, bins=2, low=[0.0, 0.0], high=[1.0, 1.0])
    assert found == [0, 2, 0, 1]


@given(
    st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), st.lists(st.integers(1, 9), min_size=3, max_size=3)
)
def test_a_cell_contains_the_observation_it_stands_for(obs, bins):
    space = Box(-2, 2, (3,))
    (row,) = rows(space, [obs], bins=bins)
    for x, size, place in zip(obs, bins, np.unravel_index(row, bins), strict=True):
        assert -2 + 4 * place / size - 1e-6 <= x <= -2 + 4 * (place + 1) / size + 1e-6


def test_large_states_are_told_apart_in_single_precision_too():
    """float32 cannot represent 2²⁴ + 1."""
    assert rows(Discrete(3, start=2**24), [2**24, 2**24 + 1, 2**24 + 2]) == [0, 1, 2]
    assert table(Discrete(3, start=2**24)).float().rows(torch.tensor([2**24 + 1])).tolist() == [1]


@pytest.mark.parametrize("initial", [0.0, 5.0])
def test_every_entry_starts_at_the_initial_value(initial):
    weight = table(Discrete(4), initial=initial).weight
    assert weight.tolist() == [[initial] * 2] * 4


def test_entries_start_at_zero_by_default():
    assert not table(Discrete(4)).weight.any()


def test_only_the_rows_of_observed_states_get_a_gradient():
    network = table(Discrete(4))
    network(torch.tensor([1, 3, 1])).sum().backward()
    assert network.weight.grad.tolist() == [[0, 0], [2, 2], [0, 0], [1, 1]]


UNBOUNDED = Box(-np.inf, np.inf, (2,))
WRONG = [
    (Box(0, 255, (4, 84, 84), np.uint8), {}, r"^network=table: needs states or a vector of numbers as observations;"),
    (MultiDiscrete([[2, 2], [2, 2]]), {}, r"^network=table: needs states or a vector"),
    (MultiBinary((2, 2)), {}, r"^network=table: needs states or a vector"),
    (Dict(x=Discrete(2)), {}, r"^network=table: needs states or a vector"),
    (Box(0, 255, (128,), np.uint8), {}, r"^network\.bins=10: a table of about 10\^128 numbers is too large$"),
    (Box(0, 1, (9999,)), {}, r"^network\.bins=10: a table of about 10\^9999 numbers is too large$"),
    (Discrete(10**9), {}, r"^network=table: a table of about 10\^9 numbers is too large$"),
    (Box(-1, 1, (2,)), {"bins": [3]}, r"^network\.bins=\[3\]: must be one number, or 2 numbers, one per"),
    (Box(-1, 1, (2,)), {"bins": []}, r"^network\.bins=\[\]: must be one number, or 2 numbers, one per"),
    (Box(-1, 1, (2,)), {"bins": 0}, r"^network\.bins=0: must be greater than 0"),
    (Box(-1, 1, (2,)), {"bins": [3, 0]}, r"^network\.bins\[1\]=0: must be greater than 0"),
    (Box(-1, 1, (2,)), {"low": [0.0]}, r"^network\.low=\[0\.0\]: must be null, or 2 numbers, one per"),
    (Box(-1, 1, (2,)), {"low": [0.0, 1.0]}, r"^network\.low=\[0\.0, 1\.0\]: for observed number 1 it is 1, and must"),
    (UNBOUNDED, {}, r"^network\.low=null: observed number 0 is unbounded; give its end in a list$"),
    (UNBOUNDED, {"low": [0.0, 0.0], "high": [1.0, None]}, r"^network\.high=\[1\.0, None\]: observed number 1"),
]  # fmt: skip


@pytest.mark.parametrize(("space", "configuration", "message"), WRONG)
def test_impossible_tables_are_refused_in_one_line(make, space, configuration, message):
    with pytest.raises(ConfigError, match=message) as error:
        make("network", "table", space, 2, 1, torch_generator(0, "network"), **configuration)
    assert len(error.value.problems) == 1
    assert "\n" not in str(error.value)
