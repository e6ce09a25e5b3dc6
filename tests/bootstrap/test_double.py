from __future__ import annotations

from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from dqn_lab.bootstrap.double import Double
from dqn_lab.bootstrap.max import Max
from dqn_lab.value.expected import q_learning_target

ROWS = st.lists(st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=4, max_size=4)


def target(bootstrap, q_values):
    size = len(q_values.target_next)
    answer = bootstrap(q_values, torch.zeros(size, dtype=torch.long))
    return q_learning_target(torch.ones(size), torch.full((size,), 0.5), q_values.target_next, answer)


def test_the_online_network_selects_and_the_target_network_evaluates():
    """The online network prefers action 1, which the target network values at 1 and 3: 1 + ½ · 1 and 1 + ½ · 3.

    Max takes the target network's greedy action, worth 5 and 7: 1 + ½ · 5 and 1 + ½ · 7.
    """
    q_values = SimpleNamespace(
        online_next=tensor([[0.0, 9.0], [1.0, 2.0]]), target_next=tensor([[5.0, 1.0], [7.0, 3.0]])
    )
    assert Double()(q_values, tensor([0, 0])).probabilities.tolist() == [[0, 1], [0, 1]]
    assert target(Double(), q_values).tolist() == [1.5, 2.5]
    assert target(Max(), q_values).tolist() == [3.5, 4.5]


def test_nothing_is_shifted_or_added():
    answer = Double()(SimpleNamespace(online_next=tensor([[1.0, 2.0]])), tensor([0]))
    assert not answer.shift.any()
    assert not answer.bonus.any()


@given(ROWS)
def test_double_equals_max_if_both_networks_are_equal(rows):
    q_values = SimpleNamespace(online_next=tensor(rows), target_next=tensor(rows))
    assert torch.equal(target(Double(), q_values), target(Max(), q_values))


@given(ROWS, ROWS)
def test_double_never_expects_more_than_max(online, evaluated):
    q_values = SimpleNamespace(online_next=tensor(online), target_next=tensor(evaluated))
    assert (target(Double(), q_values) <= target(Max(), q_values)).all()
